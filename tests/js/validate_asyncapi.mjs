// Parses an AsyncAPI document with the project's own parser; exits with 1 and its findings when it has errors.
import { readFileSync } from 'node:fs';
import { Parser } from '@asyncapi/parser';

const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], 'utf8'));
const errors = diagnostics.filter((finding) => finding.severity === 0);
for (const { message, path } of errors) console.error(`${path.join('.')}: ${message}`);
process.exit(document && errors.length === 0 ? 0 : 1);

// Runs Surfpool, an independent Solana validator, offline and with this repository's on-chain programs.
//
//   node tests/js/surfpool.mjs PORTS_FILE [SLOT_MS]
//
// The programs of programs/manifest.json are loaded at their real addresses: the deployed ones where they were fetched,
// else the local stand-ins. When everything is there, PORTS_FILE is written: {"rpc": URL, "ws": URL, "pid": process id}.
// It ends on SIGTERM and SIGINT, and by itself soon after the process that started it has gone. Status 2: wrong usage;
// 3: the optional npm package is not installed.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

// The wrapper package is not published; the platform package holds the native module alone.
const NATIVE = '@solana/surfpool-linux-x64-gnu/surfpool-sdk.linux-x64-gnu.node';
const PROGRAMS = new URL('../../programs/', import.meta.url);
const HOUSEKEEPING_MS = 250;

const [portsFile, slotText = '400'] = process.argv.slice(2);
const slotTimeMs = Number(slotText);
if (!portsFile || !Number.isInteger(slotTimeMs) || slotTimeMs < 1) {
  console.error('usage: node surfpool.mjs PORTS_FILE [SLOT_MS]');
  process.exit(2);
}

function nativeModule() {
  try {
    return createRequire(import.meta.url)(NATIVE);
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND') throw error;
    console.error(`${NATIVE} is not installed: run npm ci in tests/js (it exists for Linux on x86-64 with glibc only)`);
    process.exit(3);
  }
}

const { Surfnet } = nativeModule();
const parent = process.ppid;
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));

const surfnet = Surfnet.startWithConfig({ offline: true, blockProductionMode: 'clock', slotTimeMs });
const manifest = JSON.parse(readFileSync(new URL('manifest.json', PROGRAMS), 'utf8'));
for (const [name, { address }] of Object.entries(manifest)) {
  const [deployed, standIn] = ['deployed', 'bin'].map((folder) =>
    fileURLToPath(new URL(`${folder}/${name}.so`, PROGRAMS))
  );
  surfnet.deploy({ programId: address, soPath: existsSync(deployed) ? deployed : standIn });
}

// Written beside and moved, so that no reader finds half a file.
const addresses = { rpc: surfnet.rpcUrl, ws: surfnet.wsUrl, pid: process.pid };
writeFileSync(`${portsFile}.new`, JSON.stringify(addresses));
renameSync(`${portsFile}.new`, portsFile);
console.log(`surfpool serves ${addresses.rpc} with ${Object.keys(manifest).join(', ')}`);

setInterval(() => {
  // Nobody reads Surfpool's events here; left alone they would pile up.
  surfnet.drainEvents();
  if (process.ppid !== parent) process.exit(0);
}, HOUSEKEEPING_MS);

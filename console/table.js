// Names and attributes of a drop, read from CSV or JSON files and matched with its images. Pure.

/**
 * @typedef {{trait_type: string, value: string}} Attribute
 * @typedef {{file: string, name: string, description: string, symbol: string, external_url: string, copies: number,
 *   attributes: Attribute[]}} Row
 * @typedef {{nft: Omit<Row, "file">, image: File}} Pair
 */

const FIELDS = ["name", "description", "symbol", "external_url"];
const FILE_COLUMNS = ["file", "image", "filename"];
const MAX_NAME_BYTES = 32;
const MAX_IMAGE_BYTES = 10 * 1024 * 1024;
const MAX_COPIES = 1000;

/**
 * Reads one file. Raises Error with a sentence for the person who wrote it.
 * @param {string} name
 * @param {string} text
 * @returns {Row[]}
 */
export function readTable(name, text) {
  if (name.toLowerCase().endsWith(".csv")) return fromCsv(text);
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(`${name} is not JSON`);
  }
  const stem = name.slice(0, name.lastIndexOf("."));
  const several = Array.isArray(value) ? value : (value?.nfts ?? null);
  if (several) return several.map((/** @type {any} */ one) => fromObject(name, one, ""));
  return [fromObject(name, value, stem)];
}

/** @param {string} text @returns {Row[]} */
function fromCsv(text) {
  const [head, ...lines] = cells(text.replace(/^\uFEFF/, ""));
  if (!head) return [];
  const columns = head.map((one) => one.trim());
  return lines.map((line) => {
    const row = blank();
    columns.forEach((column, position) => put(row, column, (line[position] ?? "").trim()));
    return row;
  });
}

/**
 * The cells of a CSV text (RFC 4180), line by line; empty lines are left out.
 * @param {string} text
 * @returns {string[][]}
 */
export function cells(text) {
  const lines = [];
  let line = [];
  const pattern = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/y;
  while (pattern.lastIndex < text.length) {
    const found = pattern.exec(text);
    if (!found) throw new Error(`the CSV has a stray quote in line ${lines.length + 1}`);
    line.push(found[1] === undefined ? found[2] : found[1].replaceAll('""', '"'));
    if (found[3] === ",") {
      if (pattern.lastIndex === text.length) line.push("");
      continue;
    }
    if (line.some((cell) => cell.trim())) lines.push(line);
    line = [];
  }
  if (line.some((cell) => cell.trim())) lines.push(line);
  return lines;
}

/** @param {string} name @param {any} value @param {string} stem @returns {Row} */
function fromObject(name, value, stem) {
  if (typeof value !== "object" || value === null) throw new Error(`${name} must hold objects`);
  const row = blank();
  row.file = stem;
  for (const [key, one] of Object.entries(value)) {
    if (key === "attributes") row.attributes.push(...attributes(name, one));
    else if (typeof one !== "object") {
      // Files as generators write them carry fields of other standards: only what is known is taken.
      const known = [...FIELDS, ...FILE_COLUMNS, "copies"].includes(key.toLowerCase());
      if (known && !(stem && FILE_COLUMNS.includes(key.toLowerCase()) && /:\/\//.test(String(one))))
        put(row, key, String(one));
    }
  }
  return row;
}

/** @param {string} name @param {any} value @returns {Attribute[]} */
function attributes(name, value) {
  const found = Array.isArray(value)
    ? value
    : Object.entries(value ?? {}).map(([trait_type, one]) => ({ trait_type, value: one }));
  return found.map((one) => {
    if (typeof one?.trait_type !== "string" || one.value === undefined)
      throw new Error(`${name}: an attribute needs trait_type and value`);
    return { trait_type: one.trait_type, value: String(one.value) };
  });
}

/** @returns {Row} */
function blank() {
  return { file: "", name: "", description: "", symbol: "", external_url: "", copies: 1, attributes: [] };
}

/** @param {Row} row @param {string} column @param {string} value */
function put(row, column, value) {
  const key = column.toLowerCase();
  if (FILE_COLUMNS.includes(key)) row.file = value;
  else if (key === "copies") row.copies = value === "" ? 1 : Number(value);
  else if (FIELDS.includes(key)) Object.assign(row, { [key]: value });
  else if (column && value) row.attributes.push({ trait_type: column, value });
}

/**
 * Matches images with rows: by the file's name with or without its ending, or, when no row names a file, in order.
 * What has no row is named after `fallback`. Problems are sentences; nothing is minted while there are any.
 * @param {File[]} images
 * @param {Row[]} rows
 * @param {string} fallback
 * @returns {{pairs: Pair[], problems: string[]}}
 */
export function match(images, rows, fallback) {
  const sorted = [...images].sort((one, other) => one.name.localeCompare(other.name, "en", { numeric: true }));
  const problems = [];
  const named = rows.some((row) => row.file);
  /** @type {Map<string, Row>} */
  const byFile = new Map();
  for (const row of named ? rows : []) {
    for (const key of new Set([row.file.toLowerCase(), stemOf(row.file)])) byFile.set(key, row);
  }
  const used = new Set();
  const pairs = sorted.map((image, position) => {
    const row = named ? (byFile.get(image.name.toLowerCase()) ?? byFile.get(stemOf(image.name))) : rows[position];
    if (row) used.add(row);
    else if (rows.length) problems.push(`${image.name} has no row in the table`);
    const { file: _, ...nft } = row ?? blank();
    return { nft: { ...nft, name: nft.name || `${fallback} #${position + 1}` }, image };
  });
  for (const row of rows) if (!used.has(row)) problems.push(`${row.file || row.name || "a row"} has no image`);
  for (const { nft, image } of pairs) {
    if (new TextEncoder().encode(nft.name).length > MAX_NAME_BYTES)
      problems.push(`“${nft.name}” is longer than ${MAX_NAME_BYTES} bytes`);
    if (!Number.isInteger(nft.copies) || nft.copies < 1 || nft.copies > MAX_COPIES)
      problems.push(`${image.name}: copies must be 1 to ${MAX_COPIES}`);
    if (image.size > MAX_IMAGE_BYTES) problems.push(`${image.name} is larger than 10 MiB`);
  }
  return { pairs, problems };
}

/** @param {string} name */
function stemOf(name) {
  return name.toLowerCase().replace(/\.[^.]*$/, "");
}

/**
 * Cuts a drop into requests that the API takes: at most 50 files, 1000 NFTs and 100 MB each.
 * @param {Pair[]} pairs
 * @returns {Pair[][]}
 */
export function requests(pairs) {
  const MOST = { files: 50, items: 1000, bytes: 100e6 };
  /** @type {Pair[][]} */
  const made = [];
  let left = { files: 0, items: 0, bytes: 0 };
  for (const pair of pairs) {
    if (left.files < 1 || left.items < pair.nft.copies || left.bytes < pair.image.size) {
      made.push([]);
      left = { ...MOST };
    }
    made[made.length - 1].push(pair);
    left = { files: left.files - 1, items: left.items - pair.nft.copies, bytes: left.bytes - pair.image.size };
  }
  return made;
}

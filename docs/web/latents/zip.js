/** Zip archives whose members are stored as they are, as torch.save writes them. */
import { InputError } from "../errors.js";
import { readBytes } from "./stored.js";

const END_BYTES = 22;
const MOST_COMMENT_BYTES = 65535;
const ENTRY_BYTES = 46;
const LOCAL_BYTES = 30;
const MOST_DIRECTORY_BYTES = 2 ** 24;
const [END, ENTRY] = [0x06054b50, 0x02014b50];

/** @param {Uint8Array} start  The first bytes of a file. */
export function isZip(start) {
  return start[0] === 0x50 && start[1] === 0x4b && start[2] === 3 && start[3] === 4;
}

/**
 * The members by name, with where their local headers are.
 *
 * @typedef {{size: number, header: number, isStored: boolean}} Member
 * @param {Blob} file
 * @returns {Promise<Map<string, Member>>}
 */
export async function readDirectory(file) {
  const tail = await readBytes(file, Math.max(0, file.size - END_BYTES - MOST_COMMENT_BYTES), file.size);
  const ending = new DataView(tail.buffer);
  let end = tail.length - END_BYTES;
  while (end >= 0 && ending.getUint32(end, true) !== END) end--;
  if (end < 0) throw broken();
  const [size, start] = [ending.getUint32(end + 12, true), ending.getUint32(end + 16, true)];
  if (size > MOST_DIRECTORY_BYTES || start + size > file.size) throw broken();
  const bytes = await readBytes(file, start, start + size);
  const view = new DataView(bytes.buffer);
  const members = new Map();
  for (let at = 0; at + ENTRY_BYTES <= size && view.getUint32(at, true) === ENTRY; ) {
    const short = (/** @type {number} */ offset) => view.getUint16(at + offset, true);
    const long = (/** @type {number} */ offset) => view.getUint32(at + offset, true);
    const nameEnd = at + ENTRY_BYTES + short(28);
    const name = new TextDecoder().decode(bytes.subarray(at + ENTRY_BYTES, nameEnd));
    members.set(name, { size: long(24), header: long(42), isStored: short(10) === 0 });
    at = nameEnd + short(30) + short(32);
  }
  return members;
}

/**
 * The first byte of a member's content in the file.
 *
 * @param {Blob} file
 * @param {Member} member
 */
export async function contentOffset(file, { header, size, isStored }) {
  const local = await readBytes(file, header, header + LOCAL_BYTES);
  if (!isStored || local.length < LOCAL_BYTES || !isZip(local)) throw broken();
  const view = new DataView(local.buffer);
  const offset = header + LOCAL_BYTES + view.getUint16(26, true) + view.getUint16(28, true);
  if (offset + size > file.size) throw broken();
  return offset;
}

function broken() {
  return new InputError("expected a file of torch.save, found a broken or packed one: save it anew");
}

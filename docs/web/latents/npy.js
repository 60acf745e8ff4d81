/** NumPy's .npy files. */
import { InputError } from "../errors.js";
import { readBytes, rowMajor } from "./stored.js";

const HEADER =
  /^\{\s*'descr':\s*'([^']+)',\s*'fortran_order':\s*(True|False),\s*'shape':\s*\(([\d,\s]*)\),?\s*\}\s*$/;
const DTYPES = { "<f8": "float64", "<f4": "float32", "<f2": "float16" };

/** @param {Uint8Array} start  The first bytes of a file. */
export function isNpy(start) {
  return String.fromCharCode(...start.subarray(0, 6)) === "\x93NUMPY";
}

/**
 * @param {Blob} file
 * @returns {Promise<import("./stored.js").StoredArray>}
 */
export async function readNpy(file) {
  const start = await readBytes(file, 0, 12);
  const view = new DataView(start.buffer);
  const isFirst = start[6] === 1;
  const offset = isFirst ? 10 : 12;
  const length = start.length < 12 ? 0 : isFirst ? view.getUint16(8, true) : view.getUint32(8, true);
  const header = await readBytes(file, offset, Math.min(offset + length, offset + 65536));
  const found = HEADER.exec(new TextDecoder("latin1").decode(header));
  if (!found) throw new InputError("expected an .npy file, found a broken one: save it anew");
  const [, descr, isFortran, sizes] = found;
  const shape = sizes.split(",").filter((size) => size.trim()).map(Number);
  return {
    dtype: DTYPES[/** @type {keyof typeof DTYPES} */ (descr)] ?? descr,
    shape,
    offset: offset + length,
    strides: isFortran === "True" ? rowMajor(shape.toReversed()).reverse() : rowMajor(shape),
  };
}

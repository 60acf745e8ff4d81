/** .safetensors files, and ComfyUI's .latent files, which are the same. */
import { InputError } from "../errors.js";
import { chooseLatents } from "./choice.js";
import { readBytes } from "./stored.js";

const MOST_HEADER_BYTES = 100_000_000;
/** The empty array by which ComfyUI says that numbers are in the full VAE's scale. */
const COMFYUI_MARKER = "latent_format_version_0";
const DTYPES = { F64: "float64", F32: "float32", F16: "float16", BF16: "bfloat16" };

/** @param {Uint8Array} start  The first bytes of a file. */
export function isSafetensors(start) {
  return start[8] === "{".charCodeAt(0);
}

/**
 * @param {Blob} file
 * @returns {Promise<import("./stored.js").StoredArray>}
 */
export async function readSafetensors(file) {
  const { header, length } = await readHeader(file);
  const { __metadata__: said, ...entries } = header;
  const arrays = new Map(Object.entries(entries).map(([name, entry]) => [name, arrayOf(entry)]));
  const name = chooseLatents(arrays);
  const { start, ...array } = /** @type {ReturnType<typeof arrayOf>} */ (arrays.get(name));
  return { ...array, offset: 8 + length + start, convention: conventionOf(name, arrays, said) };
}

/**
 * @param {Blob} file
 * @returns {Promise<{header: any, length: number}>}
 */
async function readHeader(file) {
  const start = await readBytes(file, 0, 8);
  const length = Number(new DataView(start.buffer).getBigUint64(0, true));
  if (length > Math.min(file.size - 8, MOST_HEADER_BYTES)) throw broken();
  try {
    return { header: JSON.parse(new TextDecoder().decode(await readBytes(file, 8, 8 + length))), length };
  } catch {
    throw broken();
  }
}

/** @param {any} entry  Of the header, which anybody may have written. */
function arrayOf(entry) {
  const { dtype, shape, data_offsets: span } = entry ?? {};
  if (!Array.isArray(shape) || !Array.isArray(span) || !Number.isSafeInteger(span[0])) throw broken();
  const name = DTYPES[/** @type {keyof typeof DTYPES} */ (dtype)] ?? String(dtype);
  return { dtype: name, shape: /** @type {number[]} */ (shape), start: /** @type {number} */ (span[0]) };
}

/**
 * @param {string} name
 * @param {Map<string, unknown>} arrays
 * @param {any} said  Beside the arrays.
 * @returns {"vae" | "model" | undefined}
 */
function conventionOf(name, arrays, said) {
  // ComfyUI's LoadLatent multiplies by 1 / 0.18215 where its marker is not there.
  if (name === "latent_tensor") return arrays.has(COMFYUI_MARKER) ? "vae" : "model";
  const convention = said?.convention;
  return convention === "vae" || convention === "model" ? convention : undefined;
}

function broken() {
  return new InputError("expected a .safetensors file, found a broken one: copy or save it anew");
}

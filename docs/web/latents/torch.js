/** Files of torch.save, of which only the tensors' places are read, and nothing is run. */
import { InputError } from "../errors.js";
import { chooseLatents } from "./choice.js";
import { DTYPES } from "./numbers.js";
import { Elsewhere, Named, readPickle } from "./pickle.js";
import { readBytes } from "./stored.js";
import { contentOffset, readDirectory } from "./zip.js";

const PICKLE = "data.pkl";
const MOST_PICKLE_BYTES = 2 ** 24;
const STORAGES = new Map([
  ["torch.DoubleStorage", "float64"],
  ["torch.FloatStorage", "float32"],
  ["torch.HalfStorage", "float16"],
  ["torch.BFloat16Storage", "bfloat16"],
]);

/**
 * @typedef {object} Tensor
 * @property {string} dtype
 * @property {string} storage  The name of its storage in the archive.
 * @property {number} start  In numbers.
 * @property {number[]} shape
 * @property {number[]} strides
 */

/**
 * @param {Blob} file
 * @returns {Promise<import("./stored.js").StoredArray>}
 */
export async function readTorch(file) {
  const members = await readDirectory(file);
  const pickle = [...members.keys()].find((name) => name === PICKLE || name.endsWith(`/${PICKLE}`));
  const found = members.get(pickle ?? "");
  if (pickle === undefined || !found || found.size > MOST_PICKLE_BYTES) {
    throw new InputError("expected a file of torch.save, found another zip archive: save it anew");
  }
  const from = await contentOffset(file, found);
  const content = readPickle(await readBytes(file, from, from + found.size));
  const { storage, start, ...tensor } = theTensor(content);
  const member = members.get(`${pickle.slice(0, -PICKLE.length)}data/${storage}`);
  if (!member) throw broken();
  const begin = await contentOffset(file, member);
  const offset = begin + start * (DTYPES[tensor.dtype]?.bytes ?? 0);
  return { ...tensor, offset, end: begin + member.size };
}

/**
 * The tensor of latents in what was saved: it alone, in a list alone, or named in a mapping.
 *
 * @param {any} content
 */
function theTensor(content) {
  if (Array.isArray(content) && content.length === 1) return theTensor(content[0]);
  const single = tensorOf(content);
  if (single) return single;
  if (!(content instanceof Map)) {
    throw new InputError(
      "expected a tensor of latents, alone or named in a mapping, found something else: save the " +
        "latents' tensor alone",
    );
  }
  /** @type {Map<string, Tensor>} */
  const tensors = new Map();
  for (const [name, value] of content) {
    const tensor = tensorOf(value);
    if (tensor) tensors.set(String(name), tensor);
  }
  return /** @type {Tensor} */ (tensors.get(chooseLatents(tensors)));
}

/**
 * @param {any} value
 * @returns {Tensor | null}
 */
function tensorOf(value) {
  if (!(value instanceof Named && value.name === "torch._utils._rebuild_tensor_v2")) return null;
  const [storage, start, shape, strides] = value.called ?? [];
  if (!(storage instanceof Elsewhere && Array.isArray(shape) && Array.isArray(strides))) throw broken();
  const [, kind, name] = storage.identity;
  return { dtype: STORAGES.get(kind?.name) ?? String(kind?.name), storage: name, start, shape, strides };
}

function broken() {
  return new InputError("expected a file of torch.save, found a broken one: save it anew");
}

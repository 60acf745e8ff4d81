/**
 * An array in a file, before its numbers are read.
 *
 * @typedef {object} StoredArray
 * @property {string} dtype  A name in DTYPES.
 * @property {number[]} shape
 * @property {number} offset  Of its first byte in the file.
 * @property {number} [end]  Of the bytes that may be its own; the file's where it is missing.
 * @property {number[]} [strides]  In numbers; row-major where it is missing.
 * @property {"model" | "vae"} [convention]  The scale, where the file says it.
 */
import { InputError } from "../errors.js";
import { DTYPES } from "./numbers.js";

/** @param {number[]} shape */
export function rowMajor(shape) {
  const strides = new Array(shape.length).fill(1);
  for (let axis = shape.length - 2; axis >= 0; axis--) {
    strides[axis] = strides[axis + 1] * shape[axis + 1];
  }
  return strides;
}

/** A shape as messages show it. @param {number[]} shape */
export function shown(shape) {
  return `(${shape.join(", ")}${shape.length === 1 ? "," : ""})`;
}

/**
 * Refuse an array that is not one of floating-point numbers, or that reaches past its file's end.
 *
 * @param {StoredArray} array
 * @param {number} fileSize
 */
export function checkStored({ dtype, shape, offset, end = Infinity, strides = rowMajor(shape) }, fileSize) {
  const known = DTYPES[dtype];
  if (!known) {
    const names = Object.keys(DTYPES).reverse().join(", ");
    throw new InputError(`expected latents in ${names}, found ${dtype}: convert them to float32`);
  }
  if (!shape.every((size) => Number.isSafeInteger(size) && size > 0)) {
    throw new InputError(`expected latents, found an array of shape ${shown(shape)}: save them anew`);
  }
  const last = shape.reduce((sum, size, axis) => sum + (size - 1) * strides[axis], 0);
  const needed = (last + 1) * known.bytes;
  const there = Math.min(end, fileSize) - offset;
  if (!(offset >= 0 && strides.every((stride) => stride >= 0) && needed <= there)) {
    throw new InputError(
      `expected ${needed} bytes for latents of shape ${shown(shape)}, found ${there}: ` +
        "copy or save the file anew",
    );
  }
}

/**
 * @param {Blob} file
 * @param {number} start
 * @param {number} stop
 */
export async function readBytes(file, start, stop) {
  return new Uint8Array(await file.slice(start, stop).arrayBuffer());
}

/** Files of latents of four channels, read one latent at a time. */
import { InputError } from "../errors.js";
import { isNpy, readNpy } from "./npy.js";
import { DTYPES } from "./numbers.js";
import { isSafetensors, readSafetensors } from "./safetensors.js";
import { checkStored, readBytes, rowMajor, shown } from "./stored.js";
import { readTorch } from "./torch.js";
import { isZip } from "./zip.js";

const READERS = [
  { fits: isNpy, read: readNpy },
  { fits: isZip, read: readTorch },
  { fits: isSafetensors, read: readSafetensors },
];

/** The layouts that shapes of so many axes can have. */
const LAYOUTS = { 3: ["CHW"], 4: ["TCHW", "CTHW"], 5: ["NCTHW", "NTCHW"] };

/**
 * Open a file; what it is its content says, whatever its name.
 *
 * @param {Blob} file
 * @param {number} channels  That latents must have.
 * @returns {Promise<Latents>}
 */
export async function openLatents(file, channels) {
  const start = await readBytes(file, 0, 16);
  const read = READERS.find(({ fits }) => fits(start))?.read;
  if (!read) {
    throw new InputError(
      "expected latents as .safetensors, .pt, .npy or ComfyUI's .latent, found another kind of " +
        "file: save them as one of these",
    );
  }
  const array = await read(file);
  checkStored(array, file.size);
  return new Latents(file, array, channels);
}

/** Latents in a file, in the order of time. */
export class Latents {
  #file;
  #array;
  #channels;
  #sizes;
  #strides;

  /**
   * @param {Blob} file
   * @param {import("./stored.js").StoredArray} array
   * @param {number} channels
   */
  constructor(file, array, channels) {
    const layout = layoutOf(array.shape, channels);
    const strides = array.strides ?? rowMajor(array.shape);
    const along = (/** @type {number[]} */ numbers, /** @type {string} */ axis, absent = 1) =>
      numbers[layout.indexOf(axis)] ?? absent;
    this.#file = file;
    this.#array = array;
    this.#channels = channels;
    this.#sizes = { clips: along(array.shape, "N"), steps: along(array.shape, "T") };
    this.#strides = Object.fromEntries([..."NTCHW"].map((axis) => [axis, along(strides, axis, 0)]));
    this.height = along(array.shape, "H");
    this.width = along(array.shape, "W");
    this.frames = this.#sizes.clips * this.#sizes.steps;
    this.convention = array.convention;
  }

  /**
   * One latent, checked to be finite.
   *
   * @param {number} index
   * @returns {Promise<Float32Array>} (channels, height, width)
   */
  async read(index) {
    const { N, T, C } = this.#strides;
    const { steps } = this.#sizes;
    const first = Math.floor(index / steps) * N + (index % steps) * T;
    const area = this.height * this.width;
    const latent = new Float32Array(this.#channels * area);
    for (let channel = 0; channel < this.#channels; channel++) {
      latent.set(await this.#plane(first + channel * C), channel * area);
    }
    this.#checkFinite(latent, index);
    return latent;
  }

  /** One channel of one latent. @param {number} first  Its first number in the array. */
  async #plane(first) {
    const { bytes, toFloats } = DTYPES[this.#array.dtype];
    const { H, W } = this.#strides;
    const count = (this.height - 1) * H + (this.width - 1) * W + 1;
    const start = this.#array.offset + first * bytes;
    const span = toFloats((await readBytes(this.#file, start, start + count * bytes)).buffer);
    if (W === 1 && H === this.width) return span;
    const plane = new Float32Array(this.height * this.width);
    for (let y = 0, to = 0; y < this.height; y++) {
      for (let x = 0; x < this.width; x++, to++) plane[to] = span[y * H + x * W];
    }
    return plane;
  }

  /**
   * @param {Float32Array} latent
   * @param {number} index
   */
  #checkFinite(latent, index) {
    const at = latent.findIndex((number) => !Number.isFinite(number));
    if (at < 0) return;
    const area = this.height * this.width;
    const place = [at / area, (at % area) / this.width, at % this.width].map(Math.floor);
    throw new InputError(
      `expected finite latents, found ${latent[at]} in latent ${index} at (channel, row, column) ` +
        `${shown(place)}: make the latents anew, or choose another frame`,
    );
  }
}

/**
 * @param {number[]} shape
 * @param {number} channels
 */
function layoutOf(shape, channels) {
  const layouts = LAYOUTS[/** @type {keyof typeof LAYOUTS} */ (shape.length)] ?? [];
  const fitting = layouts.filter((layout) => shape[layout.indexOf("C")] === channels);
  if (!fitting.length) {
    throw new InputError(
      `expected latents of ${channels} channels, as Stable Diffusion 1 and 2 make, of shape ` +
        `(${channels}, h, w) or (T, ${channels}, h, w), found ${shown(shape)}: ` +
        "decode others with taesd-video",
    );
  }
  if (fitting.length > 1 && shape.length === 5) {
    throw new InputError(
      `expected one clip, (T, ${channels}, h, w), found shape ${shown(shape)}, of which either ` +
        "axis may be time: save one clip alone",
    );
  }
  return fitting[0];
}

/** The network in ONNX Runtime, on the GPU or on the processor. */
import { InputError } from "./errors.js";

const RUNTIME = new URL("./onnxruntime/", import.meta.url).href;
/** More threads than this wait for each other at the end of every layer. */
const MOST_THREADS = 8;

/**
 * @typedef {object} Network
 * @property {string} where  It runs, in words.
 * @property {(latents: Float32Array, height: number, width: number) => Promise<Float32Array>} decode
 *   (C, h, w) to (3, H, W).
 */

/**
 * @param {{file: string, channels: number}} model
 * @param {"auto" | "gpu" | "cpu"} device  "auto" takes a GPU where there is one.
 * @returns {Promise<Network>}
 */
export async function loadNetwork(model, device) {
  const gpu = device === "cpu" ? null : await adapter();
  if (device === "gpu" && !gpu) {
    throw new InputError(
      "expected a GPU that this browser gives to pages (WebGPU), found none: choose the processor",
    );
  }
  const url = new URL(model.file, import.meta.url).href;
  if (gpu) {
    try {
      return await networkOf(await runtime("ort.webgpu.min.mjs"), url, "webgpu", model.channels);
    } catch (error) {
      if (device === "gpu") throw error;
    }
  }
  return networkOf(await runtime("ort.wasm.min.mjs"), url, "wasm", model.channels);
}

async function adapter() {
  try {
    const { gpu } = /** @type {any} */ (navigator);
    return (await gpu?.requestAdapter()) ?? null;
  } catch {
    return null;
  }
}

/** @param {string} name */
async function runtime(name) {
  const ort = await import(RUNTIME + name);
  ort.env.wasm.wasmPaths = RUNTIME;
  ort.env.wasm.numThreads = self.crossOriginIsolated
    ? Math.min(navigator.hardwareConcurrency, MOST_THREADS)
    : 1;
  return ort;
}

/**
 * @param {any} ort
 * @param {string} url
 * @param {"webgpu" | "wasm"} provider
 * @param {number} channels
 * @returns {Promise<Network>}
 */
async function networkOf(ort, url, provider, channels) {
  const session = await ort.InferenceSession.create(url, { executionProviders: [provider] });
  const threads = ort.env.wasm.numThreads;
  return {
    where:
      provider === "webgpu"
        ? "the GPU (WebGPU)"
        : `the processor (WebAssembly, ${threads === 1 ? "one thread" : `${threads} threads`})`,
    async decode(latents, height, width) {
      const input = new ort.Tensor("float32", latents, [1, channels, height, width]);
      const { images } = await session.run({ latents: input });
      const planes = await images.getData();
      images.dispose();
      return planes;
    },
  };
}

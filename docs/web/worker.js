/** What decodes, off the page's thread: one job after the other, of which only the last counts. */
import { InputError } from "./errors.js";
import { openLatents } from "./latents/open.js";
import { toPixels } from "./pixels.js";
import { doubtOf, toModel } from "./scale.js";
import { loadNetwork } from "./session.js";
import { cutPlane, sizeOf } from "./tiles.js";

/**
 * @typedef {object} Job
 * @property {number} id
 * @property {"open" | "decode" | "cancel"} kind
 * @property {Blob} file
 * @property {number} frame
 * @property {"file" | "model" | "vae"} convention
 * @property {number} most  Latents that a tile may read.
 * @property {"auto" | "gpu" | "cpu"} device
 *
 * @typedef {{channels: number, halo: number, scale: number, file: string, mean: number,
 *   deviation: number}} Model
 */

let last = 0;
let queue = Promise.resolve();
/** @type {Promise<Model> | undefined} */
let model;
/** @type {Map<string, import("./session.js").Network>} */
const networks = new Map();

self.onmessage = ({ data: job }) => {
  last = job.id;
  if (job.kind !== "cancel") queue = queue.then(() => carryOut(job));
};

/** @param {Job} job */
async function carryOut(job) {
  if (job.id !== last) return;
  try {
    model ??= loadModel();
    const latents = await openLatents(job.file, (await model).channels);
    if (job.kind === "open") {
      const { frames, convention } = latents;
      const { scale } = await model;
      const size = { height: latents.height * scale, width: latents.width * scale };
      tell(job, "opened", { frames, ...size, convention });
    } else {
      await decode(job, await model, latents);
    }
  } catch (error) {
    const isExpected = error instanceof InputError;
    const said = error instanceof Error ? error.message : String(error);
    tell(job, "failed", { message: isExpected ? said : `it could not be decoded: ${said}` });
  }
}

/**
 * @param {Job} job
 * @param {Model} model
 * @param {import("./latents/open.js").Latents} latents
 */
async function decode(job, model, latents) {
  const { height, width } = latents;
  const convention = job.convention === "file" ? (latents.convention ?? "model") : job.convention;
  const stored = await latents.read(job.frame);
  const doubt = doubtOf(stored, height * width, convention, model);
  const plane = toModel(stored, convention, model);
  const network = await networkFor(job, model);
  const tiles = cutPlane(height, width, model.halo, job.most);
  tell(job, "started", { tiles, where: network.where, doubt });
  const start = performance.now();
  for (const tile of tiles) {
    await newMessages();
    if (job.id !== last) return;
    const rows = sizeOf(tile.rows.reads);
    const columns = sizeOf(tile.columns.reads);
    const planes = await network.decode(cut(plane, latents, model, tile), rows, columns);
    drawn(job, model, tile, planes);
  }
  tell(job, "done", { seconds: (performance.now() - start) / 1000 });
}

/**
 * Send the pixels that a tile gives.
 *
 * @param {Job} job
 * @param {Model} model
 * @param {import("./tiles.js").Tile} tile
 * @param {Float32Array} planes
 */
function drawn(job, { scale }, { rows, columns }, planes) {
  const part = {
    x: (columns.gives.start - columns.reads.start) * scale,
    y: (rows.gives.start - rows.reads.start) * scale,
    width: sizeOf(columns.gives) * scale,
    height: sizeOf(rows.gives) * scale,
  };
  const size = { height: sizeOf(rows.reads) * scale, stride: sizeOf(columns.reads) * scale };
  const pixels = toPixels(planes, size, part);
  const place = { x: columns.gives.start * scale, y: rows.gives.start * scale };
  tell(job, "tile", { ...place, width: part.width, pixels }, [pixels.buffer]);
}

/**
 * The latents that a tile reads.
 *
 * @param {Float32Array} plane  (C, h, w)
 * @param {{height: number, width: number}} size
 * @param {Model} model
 * @param {import("./tiles.js").Tile} tile
 */
function cut(plane, { height, width }, { channels }, { rows, columns }) {
  const length = sizeOf(columns.reads);
  const part = new Float32Array(channels * sizeOf(rows.reads) * length);
  let to = 0;
  for (let channel = 0; channel < channels; channel++) {
    for (let y = rows.reads.start; y < rows.reads.stop; y++, to += length) {
      const from = (channel * height + y) * width + columns.reads.start;
      part.set(plane.subarray(from, from + length), to);
    }
  }
  return part;
}

/**
 * @param {Job} job
 * @param {Model} model
 */
async function networkFor(job, model) {
  const known = networks.get(job.device);
  if (known) return known;
  const network = await loadNetwork(model, job.device);
  networks.set(job.device, network);
  return network;
}

/** @returns {Promise<Model>} */
async function loadModel() {
  const answer = await fetch(new URL("./decoder.json", import.meta.url));
  if (!answer.ok) {
    throw new InputError("expected the decoder beside this page, found none: build the page with tools/make_web.py");
  }
  return answer.json();
}

/** Let messages in that have come, such as one that cancels. */
function newMessages() {
  return new Promise((resolve) => setTimeout(resolve));
}

/**
 * @param {Job} job
 * @param {string} kind
 * @param {object} facts
 * @param {Transferable[]} [transfer]
 */
function tell(job, kind, facts, transfer = []) {
  self.postMessage({ job: job.id, kind, ...facts }, { transfer });
}

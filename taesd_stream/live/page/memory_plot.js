/** The memory in use over the last five minutes, as a small plot. */
import { element, write } from "./elements.js";
import { ask } from "./server.js";
import { size } from "./words.js";

const SECONDS = 300;
const [WIDTH, HEIGHT] = [300, 64];

/**
 * @typedef {object} Sample  As the server tells it.
 * @property {number} at  Seconds of its clock.
 * @property {number} process  Bytes.
 * @property {number | null} device  Bytes.
 */

export class MemoryPlot {
  /** @type {Sample[]} */
  #samples = [];

  /** Begin with what the server remembers. */
  async begin() {
    try {
      this.#samples = (await (await ask("/status.json")).json()).memory_samples;
    } catch {
      // It is gone again, or else says more from now on.
    }
  }

  /** @param {Sample} sample */
  hear(sample) {
    const last = this.#samples.at(-1);
    if (last && sample.at < last.at) this.#samples = []; // another server
    if (last?.at === sample.at) return;
    this.#samples.push(sample);
    this.#samples = this.#samples.filter(({ at }) => at >= sample.at - SECONDS);
    this.#draw(sample);
  }

  /** @param {Sample} now */
  #draw(now) {
    const values = this.#samples.flatMap(({ process, device }) => [process, device ?? 0]);
    const most = 1.15 * Math.max(...values, 1);
    const x = (/** @type {Sample} */ { at }) => WIDTH * (1 - (now.at - at) / SECONDS);
    const line = (/** @type {"process" | "device"} */ which) =>
      this.#samples
        .filter((each) => each[which] !== null)
        .map((each) => `${x(each).toFixed(1)} ${(HEIGHT * (1 - (each[which] ?? 0) / most)).toFixed(1)}`)
        .join("L");
    const [process, device] = [line("process"), line("device")];
    const left = x(this.#samples[0]).toFixed(1);
    path("plot-process", `M${process}`);
    path("plot-area", `M${left} ${HEIGHT}L${process}L${WIDTH} ${HEIGHT}Z`);
    path("plot-device", device && `M${device}`);
    write(element("dd", "memory-process"), size(now.process));
    element("div", "device-row").hidden = now.device === null;
    write(element("dd", "memory-device"), now.device === null ? "–" : size(now.device));
    const said = `Memory in use over five minutes: the process ${size(now.process)}`;
    const also = now.device === null ? "" : `, the device ${size(now.device)}`;
    document.querySelector("#plot")?.setAttribute("aria-label", said + also);
  }
}

/**
 * @param {string} id
 * @param {string} d
 */
function path(id, d) {
  document.querySelector(`#${id}`)?.setAttribute("d", d);
}

/** Figures of the last two seconds. All times are milliseconds of one clock. */

const LATELY = 2000;

/** Frames per second. */
export class Rate {
  /** @type {{at: number, frames: number}[]} */
  #seen = [];

  /**
   * @param {number} at
   * @param {number} frames  That were presented so far.
   */
  saw(at, frames) {
    const last = this.#seen.at(-1);
    if (last && (frames < last.frames || at < last.at)) this.#seen = []; // another video
    this.#seen.push({ at, frames });
  }

  /** @param {number} now */
  perSecond(now) {
    this.#seen = this.#seen.filter(({ at }) => at >= now - LATELY);
    const [first] = this.#seen;
    const last = this.#seen.at(-1);
    if (!first || !last || last.at === first.at) return 0;
    const frames = last.frames - first.frames;
    // A video that has stopped is slower and slower, until nothing of it is left.
    const until = Math.max(last.at, now - (last.at - first.at) / frames);
    return (1000 * frames) / (until - first.at);
  }
}

/** The median of numbers that came in the last two seconds, or else of the last one. */
export class Median {
  /** @type {{at: number, value: number}[]} */
  #values = [];

  /**
   * @param {number} at
   * @param {number} value
   */
  saw(at, value) {
    this.#values = this.#values.filter((each) => each.at >= at - LATELY);
    this.#values.push({ at, value });
  }

  /** The median; null where there is none. */
  get value() {
    if (!this.#values.length) return null;
    const sorted = this.#values.map(({ value }) => value).sort((one, other) => one - other);
    const half = sorted.length >> 1;
    return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  }

  /** Forget them. */
  forget() {
    this.#values = [];
  }
}

/**
 * Which frame a browser shows, and how long it took to come.
 *
 * The server tells the RTP time of every frame that it hands out, and the browser that of every
 * frame that it presents. The two differ by a number that the connection draws at random: its
 * origin. Of all the origins by which the first frame presented is one that was handed out, those
 * are struck out by which a later frame is none, until one is left; frames come at times so uneven
 * that two or three are enough.
 */

/** Frames handed out that are kept: some seconds of them. */
const MOST_SENT = 512;
const MOST_WAITING = 256;
const SURELY_OWED = 8;
/** After so many milliseconds the server has surely told of a frame that is presented. */
const TOLD_WITHIN = 250;
/** A frame of which it has told nothing after so many is of another origin. */
const GIVEN_UP_AFTER = 1500;
const TICKS_PER_MS = 90;
/** A picture handed out later than so many ticks after its frame was shown is so once more. */
const REPEAT_TICKS = 2 * TICKS_PER_MS;

/**
 * @typedef {object} Sent
 * A frame that was handed out; times are milliseconds of the server's clock.
 * @property {number} number  Of all that were shown.
 * @property {number | null} place  In the file that is played.
 * @property {number} came  When its latent, or it, came to the server.
 * @property {number} shown  When it was handed to the viewers.
 * @property {boolean} isRepeat  Whether it was handed out before.
 * @property {number} order  Of those that are no repeats.
 *
 * @typedef {Sent & {at: number}} Seen
 * A frame that was presented, and when by the browser's clock.
 */

export class SentFrames {
  /** Frames handed out, of those between two presented, that were not. */
  dropped = 0;

  /** @type {Map<number, Sent>} by RTP time */
  #sent = new Map();
  #order = 0;
  /** @type {{rtp: number, at: number, isUsed: boolean}[]} */
  #waiting = [];
  /** @type {number[] | null} */
  #origins = null;
  /** @type {Sent | null} */
  #latest = null;
  /** Told since the last one was presented. */
  #unseen = 0;

  /** What all that was presented has in common; null until only one origin is left. */
  get origin() {
    return this.#origins?.length === 1 ? this.#origins[0] : null;
  }

  /** Frames that were handed out after the last one presented. */
  get owed() {
    if (this.#latest !== null) return this.#order - this.#latest.order;
    // Of a few nobody can tell whether they were presented: the server tells of them later.
    return this.#unseen < SURELY_OWED ? 0 : this.#unseen;
  }

  /**
   * Hear of frames that were handed out.
   *
   * @param {[number, number | null, number, number, number][]} frames  As the server tells them.
   */
  note(frames) {
    for (const [number, place, rtp, came, shown] of frames) {
      const isRepeat = Math.abs((rtp - TICKS_PER_MS * shown) | 0) > REPEAT_TICKS;
      if (!isRepeat) {
        this.#order += 1;
        this.#unseen += 1;
      }
      this.#sent.set(rtp, { number, place, came, shown, isRepeat, order: this.#order });
    }
    for (const rtp of this.#sent.keys()) {
      if (this.#sent.size <= MOST_SENT) break;
      this.#sent.delete(rtp);
    }
  }

  /**
   * Hear of a frame that was presented.
   *
   * @param {number | undefined} rtp  Its RTP time; some browsers do not tell.
   * @param {number} at  Milliseconds of the browser's clock.
   */
  present(rtp, at) {
    this.#unseen = 0;
    if (rtp === undefined) return;
    this.#waiting.push({ rtp, at, isUsed: false });
    if (this.#waiting.length > MOST_WAITING) this.#waiting.shift();
  }

  /**
   * The frames presented that are known by now, and were not before.
   *
   * @param {number} now  Milliseconds of the browser's clock.
   * @returns {Seen[]}
   */
  recognise(now) {
    for (const each of this.#waiting) {
      if (this.origin !== null) break;
      if (each.isUsed || now - each.at < TOLD_WITHIN) continue;
      each.isUsed = true;
      this.#eliminate(each.rtp);
    }
    const { origin } = this;
    if (origin === null) return [];
    /** @type {Seen[]} */
    const seen = [];
    this.#waiting = this.#waiting.filter(({ rtp, at }) => {
      const sent = this.#sent.get((rtp - origin) >>> 0);
      if (sent === undefined) return true;
      seen.push({ ...sent, at });
      return false;
    });
    for (const each of seen) this.#count(each);
    if (this.#waiting.some(({ at, isUsed }) => !isUsed && now - at > GIVEN_UP_AFTER)) this.restart();
    return seen;
  }

  /** Start over: another connection has another origin. */
  restart() {
    this.#origins = null;
    this.#waiting = [];
    this.#latest = null;
    this.#unseen = 0;
  }

  /** Do not count what was not presented up to now: the page was not looked at. */
  forgive() {
    this.#latest = null;
  }

  /** Forget all that was told: the server's clock is another one. */
  forget() {
    this.restart();
    this.#sent.clear();
  }

  /** @param {number} rtp */
  #eliminate(rtp) {
    const left = this.#origins?.filter((origin) => this.#sent.has((rtp - origin) >>> 0)) ?? [];
    this.#origins = left.length ? left : [...this.#sent.keys()].map((sent) => (rtp - sent) >>> 0);
    if (!this.#origins.length) this.#origins = null;
  }

  /** @param {Sent} sent */
  #count(sent) {
    if (this.#latest !== null && sent.order > this.#latest.order + 1) {
      this.dropped += sent.order - this.#latest.order - 1;
    }
    if (this.#latest === null || sent.order >= this.#latest.order) this.#latest = sent;
  }
}

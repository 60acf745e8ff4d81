/** The server's clock, by messages that it answers: the quicker, the better one knows it. */

const MOST = 16;

export class ServerClock {
  /** @type {{ahead: number, took: number}[]} */
  #answers = [];

  /**
   * Hear an answer. All times are milliseconds.
   *
   * @param {number} sent  When it was asked for, by the browser's clock.
   * @param {number} now  The server's clock when it answered.
   * @param {number} received  When it was there, by the browser's clock.
   */
  heard(sent, now, received) {
    this.#answers.push({ ahead: now - (sent + received) / 2, took: received - sent });
    if (this.#answers.length > MOST) this.#answers.shift();
  }

  /**
   * A time of the browser's clock by the server's; null as long as that is not known.
   *
   * @param {number} at
   */
  at(at) {
    if (!this.#answers.length) return null;
    const best = this.#answers.reduce((one, other) => (other.took < one.took ? other : one));
    return at + best.ahead;
  }

  /** Forget it: the server is another one. */
  forget() {
    this.#answers = [];
  }
}

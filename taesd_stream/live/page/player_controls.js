/** The controls of a file that is played. */
import { element, write } from "./elements.js";
import { post } from "./server.js";
import { clock, grouped } from "./words.js";

/**
 * @typedef {object} PlayerStatus  As the server tells it.
 * @property {number | null} place
 * @property {number | null} frames
 * @property {number} rate
 * @property {number} speed
 * @property {boolean} is_paused
 * @property {boolean} can_seek
 *
 * @typedef {object} Listener
 * @property {(status: any) => void} onStatus  The server's, after it was told something.
 * @property {(problem: string) => void} onProblem
 */

/** A frame that was asked for is waited for so many milliseconds, before another may be shown. */
const MOST_TO_ARRIVE = 3000;

export class PlayerControls {
  #listener;
  #group = element("div", "player");
  #seeking = element("div", "seeking");
  #seek = element("input", "seek");
  #toggle = element("button", "toggle");
  #back = element("button", "back");
  #forward = element("button", "forward");
  #speed = element("select", "speed");
  /** @type {PlayerStatus | null} */
  #status = null;
  #isOver = false;
  #isDragged = false;
  /** The frame that is wanted while the server is told of an earlier one. @type {number | null} */
  #wanted = null;
  #isSeeking = false;
  /** The frame that was asked for last, until it is there. */
  #coming = { place: -1, until: 0 };

  /** @param {Listener} listener */
  constructor(listener) {
    this.#listener = listener;
    this.#toggle.addEventListener("click", () => this.toggle());
    this.#back.addEventListener("click", () => this.step(-1));
    this.#forward.addEventListener("click", () => this.step(1));
    this.#speed.addEventListener("change", () => this.#tell("speed", Number(this.#speed.value)));
    this.#seek.addEventListener("input", () => {
      this.#isDragged = true;
      this.#showPlace(this.#seek.valueAsNumber);
      void this.#seekTo(this.#seek.valueAsNumber);
    });
    for (const kind of ["change", "blur"]) {
      this.#seek.addEventListener(kind, () => (this.#isDragged = false));
    }
  }

  /** Whether there is a file that is played. */
  get isThere() {
    return this.#status !== null;
  }

  /**
   * @param {PlayerStatus | null} status
   * @param {string} state
   */
  hear(status, state) {
    this.#status = status;
    this.#isOver = state === "ended";
    this.#group.hidden = this.#seeking.hidden = status === null;
    document.body.classList.toggle("plays", status !== null);
    if (!status) return;
    const stands = status.is_paused || this.#isOver;
    this.#toggle.dataset.shows = stands ? "play" : "pause";
    this.#toggle.setAttribute("aria-label", stands ? "Play" : "Pause");
    this.#toggle.title = `${stands ? "Play" : "Pause"} (space)`;
    this.#toggle.disabled = this.#isOver && !status.can_seek;
    this.#back.disabled = !status.can_seek;
    this.#forward.disabled = this.#isOver;
    this.#seek.disabled = !status.can_seek || status.frames === null;
    this.#seek.max = String(Math.max(0, (status.frames ?? 1) - 1));
    this.#showSpeed(status.speed);
  }

  /**
   * Show where it is, unless somebody is about to go elsewhere.
   *
   * @param {number | null} place
   */
  at(place) {
    if (this.#isDragged || this.#isSeeking || place === null) return;
    if (place !== this.#coming.place && performance.now() < this.#coming.until) return;
    this.#coming.until = 0;
    this.#seek.value = String(place);
    this.#showPlace(place);
  }

  toggle() {
    return this.#tell(this.#isOver ? "play" : "toggle");
  }

  /** @param {number} frames */
  step(frames) {
    return this.#tell("step", frames);
  }

  /** @param {number} seconds */
  jump(seconds) {
    if (!this.#status) return;
    const by = Math.round(seconds * this.#status.rate);
    return this.go((this.#wanted ?? this.#seek.valueAsNumber) + by);
  }

  /**
   * Go to a frame; to the last for ``Infinity``.
   *
   * @param {number} place
   */
  go(place) {
    const { frames = null, can_seek: canSeek = false } = this.#status ?? {};
    if (!canSeek || (place === Infinity && frames === null)) return;
    return this.#seekTo(Math.max(0, Math.min(place, (frames ?? Infinity) - 1)));
  }

  /**
   * Tell the server of one place at a time; of those that are passed meanwhile only the last.
   *
   * @param {number} place
   */
  async #seekTo(place) {
    this.#wanted = place;
    if (this.#isSeeking) return;
    this.#isSeeking = true;
    while (this.#wanted !== null) {
      const next = this.#wanted;
      this.#seek.value = String(next);
      this.#showPlace(next);
      await this.#tell("seek", next);
      this.#coming = { place: next, until: performance.now() + MOST_TO_ARRIVE };
      if (this.#wanted === next) this.#wanted = null;
    }
    this.#isSeeking = false;
  }

  /**
   * @param {string} action
   * @param {number} [value]
   */
  async #tell(action, value) {
    if (!this.#status) return;
    try {
      this.#listener.onStatus(await post("/control", { action, value }));
    } catch (error) {
      this.#listener.onProblem(error instanceof Error ? error.message : String(error));
    }
  }

  /** @param {number} place */
  #showPlace(place) {
    if (!this.#status) return;
    const { frames, rate } = this.#status;
    const of = frames === null ? "" : ` / ${grouped(frames)}`;
    const until = frames === null ? "" : ` / ${clock(frames / rate)}`;
    write(
      element("output", "place"),
      `${grouped(place + 1).padStart(frames === null ? 0 : grouped(frames).length, "\u2007")}${of}` +
        ` · ${clock(place / rate)}${until}`,
    );
    this.#seek.setAttribute("aria-valuetext", `Frame ${place + 1}${frames === null ? "" : ` of ${frames}`}`);
  }

  /** @param {number} speed */
  #showSpeed(speed) {
    if (document.activeElement === this.#speed) return;
    const value = String(speed);
    if (![...this.#speed.options].some((each) => each.value === value)) {
      this.#speed.add(new Option(`${speed}×`, value));
    }
    this.#speed.value = value;
  }
}

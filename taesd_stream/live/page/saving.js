/** What is taken from the page: the frame as PNG, and recordings. */
import { element, write } from "./elements.js";
import { ask, post } from "./server.js";
import { clock } from "./words.js";

/** A link to what was saved is kept for so many milliseconds. */
const KEPT = 60_000;
const SAID_FOR = 6000;

/**
 * @typedef {object} RecordingStatus  As the server tells it.
 * @property {string | null} name
 * @property {number} seconds
 * @property {string[]} finished
 * @property {string | null} failure
 */

export class Saving {
  #save = element("button", "save");
  #record = element("button", "record");
  #line = element("p", "said");
  #isRecording = false;
  #isTold = false;
  /** @type {string | null} */
  #failure = null;
  #quiet = 0;

  constructor() {
    this.#save.addEventListener("click", () => this.save());
    this.#record.addEventListener("click", () => this.record());
  }

  /**
   * @param {RecordingStatus} recording
   * @param {boolean} hasFrames
   */
  hear(recording, hasFrames) {
    this.#isRecording = recording.name !== null;
    this.#save.disabled = !hasFrames;
    this.#record.disabled = !hasFrames && !this.#isRecording;
    this.#record.setAttribute("aria-pressed", String(this.#isRecording));
    const label = this.#isRecording ? `Stop · ${clock(recording.seconds)}` : "Record";
    write(element("span", "record-label"), label);
    this.#record.title = `${this.#isRecording ? "Stop recording" : "Record"} (r)`;
    if (recording.failure !== this.#failure) {
      this.#failure = recording.failure;
      this.#quieten();
    }
    this.#list(recording.finished);
  }

  async save() {
    if (this.#save.disabled) return;
    try {
      const answer = await ask("/frame.png");
      const said = answer.headers.get("Content-Disposition") ?? "";
      const name = /filename="([^"]+)"/.exec(said)?.[1] ?? "frame.png";
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await answer.blob());
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), KEPT);
      this.tell(`Saved ${name}`);
    } catch (error) {
      this.tell(`The frame was not saved: ${reason(error)}`);
    }
  }

  async record() {
    if (this.#record.disabled || this.#isTold) return;
    this.#isTold = true;
    try {
      const wasRecording = this.#isRecording;
      const { name } = await post("/recording", { action: wasRecording ? "stop" : "start" });
      this.#isRecording = !wasRecording; // before the server's word, so that one more press undoes it
      if (name && !this.#failure) this.tell(wasRecording ? `${name} is finished` : `Recording into ${name}`);
    } catch (error) {
      this.tell(`No recording: ${reason(error)}`);
    } finally {
      this.#isTold = false;
    }
  }

  /**
   * Say something for a while.
   *
   * @param {string} text
   */
  tell(text) {
    write(this.#line, text);
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => this.#quieten(), SAID_FOR);
  }

  /** Say no more than what has failed. */
  #quieten() {
    clearTimeout(this.#quiet);
    write(this.#line, this.#failure ? `The recording failed: ${this.#failure}` : "");
  }

  /** @param {string[]} names  The oldest first. */
  #list(names) {
    const list = element("ul", "recordings");
    element("section", "recordings-section").hidden = names.length === 0;
    if (list.childElementCount === names.length) return;
    list.replaceChildren(
      ...[...names].reverse().map((name) => {
        const link = document.createElement("a");
        link.href = `/recordings/${encodeURIComponent(name)}`;
        link.download = name;
        link.textContent = name;
        const item = document.createElement("li");
        item.append(link);
        return item;
      }),
    );
  }
}

/** @param {unknown} error */
function reason(error) {
  return error instanceof Error ? error.message : String(error);
}

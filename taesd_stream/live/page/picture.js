/**
 * The picture: by WebRTC where that works, or else as JPEG pictures, or as HLS, some seconds late, if
 * that is wanted; kept while there is none.
 */
import { unpadded } from "./padding.js";
import { watchFrames } from "./presented.js";
import { connect, hasWebRTC } from "./webrtc.js";

/** All times are in milliseconds. */
const LOOKS = 250;
const ASKS_FOR_KEY = 500;
/** By WebRTC a first frame is seen within so long, or it does not work. */
const MOST_TO_FIRST = 3000;
/** Frames that are handed out and not seen for so long: first a key picture is asked for. */
const STALLED = { key: 1000, reconnect: 3000 };
const PAUSE = 3000;

/**
 * @typedef {"webrtc" | "jpeg" | "hls"} Way
 * @typedef {"auto" | Way} Choice
 *
 * @typedef {object} Listener
 * @property {(presented: import("./presented.js").Presented) => void} onPresented  By WebRTC.
 * @property {(way: Way) => void} onWay  Another connection begins.
 * @property {(problem: string | null) => void} onProblem
 * @property {() => void} onNeedsKey
 * @property {() => number} owed  Frames handed out since the last one that was seen.
 */

export class Picture {
  /** Whether the picture that is wanted is seen now. */
  isSeen = false;
  /** @type {Way} */
  way = "webrtc";

  #video;
  #image;
  #kept;
  #listener;
  /** @type {Choice} */
  #choice = "auto";
  /** @type {RTCPeerConnection | null} */
  #connection = null;
  #isOpen = false;
  /** Of the frames, in pixels. */
  #size = { width: 0, height: 0 };
  #hasFrames = false;
  #hasVideo = true;
  /** Whether WebRTC has failed since the server was found. */
  #isHopeless = false;
  /** Counts what was begun, so that what is late knows. */
  #turn = 0;
  #begunAt = 0;
  #askedAt = 0;
  /** @type {number | null} */
  #owedSince = null;

  /**
   * @param {{video: HTMLVideoElement, image: HTMLImageElement, kept: HTMLCanvasElement}} elements
   * @param {Listener} listener
   */
  constructor({ video, image, kept }, listener) {
    this.#video = video;
    this.#image = image;
    this.#kept = kept;
    this.#listener = listener;
    watchFrames(video, (presented) => {
      if (this.#connection === null && this.way !== "hls") return;
      this.#see();
      listener.onPresented(presented);
    });
    image.addEventListener("load", () => this.#see());
    for (const shown of [video, image]) {
      shown.addEventListener("error", () => this.#stopped(shown.hasAttribute("src")));
    }
    // Else the server takes half a minute to see that nobody looks any more.
    addEventListener("pagehide", () => this.lose());
    setInterval(() => this.#look(), LOOKS);
  }

  /** @param {Choice} choice */
  choose(choice) {
    this.#choice = choice;
    this.#isHopeless = false;
    if (this.#isOpen) this.#begin();
  }

  /** Begin: the server is there, perhaps another one than before, and was heard. */
  open() {
    this.#isOpen = true;
    this.#isHopeless = false;
    this.#begin();
  }

  /** The server is gone: keep the picture. */
  lose() {
    this.#isOpen = false;
    this.#end();
  }

  /** @param {{shown: number, width: number, height: number, has_video: boolean}} status */
  hear({ shown, width, height, has_video: hasVideo }) {
    this.#size = { width, height };
    if (shown > 0 && !this.#hasFrames) this.#begunAt = performance.now();
    this.#hasFrames = shown > 0;
    if (hasVideo === this.#hasVideo) return;
    this.#hasVideo = hasVideo;
    if (this.#isOpen && this.#choice === "auto") this.#begin();
  }

  #begin() {
    this.#end();
    const canVideo = this.#hasVideo && !this.#isHopeless;
    this.way = this.#choice === "auto" ? (canVideo ? "webrtc" : "jpeg") : this.#choice;
    this.#begunAt = performance.now();
    this.#owedSince = null;
    // A video that is not displayed presents nothing, so it is there before it has frames.
    this.#video.hidden = this.way === "jpeg";
    this.#image.hidden = this.way !== "jpeg";
    this.#listener.onWay(this.way);
    if (this.way === "webrtc") void this.#beginVideo(this.#turn);
    else if (this.way === "hls") this.#video.src = `/hls/live.m3u8?${this.#turn}`;
    else this.#image.src = `/stream.mjpg?${this.#turn}`;
  }

  /** @param {number} turn */
  async #beginVideo(turn) {
    try {
      if (!hasWebRTC()) throw new Error("this browser has no WebRTC");
      const { connection, track } = await connect();
      if (turn !== this.#turn) {
        connection.close();
        return;
      }
      this.#connection = connection;
      connection.addEventListener("connectionstatechange", () => {
        if (turn === this.#turn && connection.connectionState === "failed") this.#begin();
      });
      this.#video.srcObject = new MediaStream([track]);
      await this.#video.play();
    } catch (error) {
      const { name, message, status } = /** @type {any} */ (error);
      if (turn !== this.#turn || name === "AbortError") return;
      if (status === 503) this.#tryLater(message);
      else this.#videoFailed(message);
    }
  }

  /** @param {string} reason */
  #videoFailed(reason) {
    this.#isHopeless = true;
    if (this.#choice === "auto") this.#begin();
    else this.#tryLater(`no picture by WebRTC: ${reason}`);
  }

  /** @param {boolean} isWanted  An element without an address fails, too, when its stream is cut. */
  #stopped(isWanted) {
    if (!this.#isOpen || this.way === "webrtc" || !isWanted) return;
    this.#tryLater(this.isSeen ? "the picture has stopped" : "there is no picture yet");
  }

  /** @param {string} problem */
  #tryLater(problem) {
    this.#end();
    this.#listener.onProblem(`${problem}; trying again`);
    const turn = this.#turn;
    setTimeout(() => {
      if (turn === this.#turn && this.#isOpen) this.#begin();
    }, PAUSE);
  }

  #end() {
    this.#turn += 1;
    if (this.isSeen) this.#keep(this.way === "jpeg" ? this.#image : this.#video);
    this.isSeen = false;
    this.#connection?.close();
    this.#connection = null;
    this.#video.srcObject = null;
    if (this.#video.hasAttribute("src")) {
      this.#video.removeAttribute("src");
      this.#video.load(); // or else it goes on asking
    }
    this.#image.removeAttribute("src");
  }

  /** @param {HTMLVideoElement | HTMLImageElement} shown */
  #keep(shown) {
    const [width, height] =
      shown instanceof HTMLVideoElement
        ? [shown.videoWidth, shown.videoHeight]
        : [shown.naturalWidth, shown.naturalHeight];
    if (!width || !height) return;
    this.#kept.width = unpadded(width, this.#size.width);
    this.#kept.height = unpadded(height, this.#size.height);
    this.#kept.getContext("2d")?.drawImage(shown, 0, 0);
    this.#kept.hidden = false;
  }

  #see() {
    if (this.isSeen) return;
    this.isSeen = true;
    this.#kept.hidden = true;
    this.#listener.onProblem(null);
  }

  #look() {
    const now = performance.now();
    if (document.hidden || !this.#hasFrames || !this.#connection) {
      // A browser presents no frames of a page that nobody sees.
      this.#begunAt = Math.max(this.#begunAt, document.hidden ? now : 0);
      this.#owedSince = null;
      return;
    }
    if (!this.isSeen) {
      if (now - this.#begunAt > MOST_TO_FIRST) this.#videoFailed("none came within 3 seconds");
      else this.#askForKey(now);
      return;
    }
    if (this.#listener.owed() === 0) this.#owedSince = null;
    else this.#owedSince ??= now;
    const stalled = now - (this.#owedSince ?? now);
    if (stalled > STALLED.reconnect) this.#begin();
    else if (stalled > STALLED.key) this.#askForKey(now);
  }

  /** @param {number} now */
  #askForKey(now) {
    if (now - Math.max(this.#begunAt, this.#askedAt) < ASKS_FOR_KEY) return;
    this.#askedAt = now;
    this.#listener.onNeedsKey();
  }
}

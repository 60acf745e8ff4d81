/** The server's word on what goes on: a socket that is opened again whenever it is lost. */
import { RefusedError, ask } from "./server.js";

const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 3000;
/** The server says something four times a second; if it does not for so long, it is gone. */
const SILENCE = 5000;
const PINGS = { first: 200, later: 2000, many: 5 };

/**
 * @typedef {object} Listener
 * @property {(status: any) => void} onStatus
 * @property {(frames: [number, number | null, number, number, number][]) => void} onFrames
 * @property {(sent: number, now: number, received: number) => void} onClock
 * @property {() => void} onOpen
 * @property {(reason: RefusedError | null) => void} onLost  A reason is given where the server
 *   answers, and refuses.
 */

export class StatusLink {
  #listener;
  /** @type {WebSocket | null} */
  #socket = null;
  #pause = FIRST_PAUSE;
  #heardAt = 0;
  #pings = 0;

  /** @param {Listener} listener */
  constructor(listener) {
    this.#listener = listener;
    this.#open();
    setInterval(() => this.#look(), 1000);
    addEventListener("online", () => (this.#pause = FIRST_PAUSE));
  }

  /** @param {{type: string, [name: string]: unknown}} message */
  tell(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #open() {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/status`);
    this.#socket = socket;
    this.#heardAt = performance.now();
    socket.onopen = () => {
      this.#pause = FIRST_PAUSE;
      this.#pings = 0;
      this.#listener.onOpen();
      this.#ping(socket);
    };
    socket.onmessage = ({ data }) => this.#hear(JSON.parse(data));
    socket.onclose = () => {
      if (this.#socket === socket) this.#lose();
    };
  }

  /** @param {any} message */
  #hear(message) {
    this.#heardAt = performance.now();
    if (message.type === "status") this.#listener.onStatus(message);
    else if (message.type === "frames") this.#listener.onFrames(message.frames);
    else if (message.type === "pong") {
      this.#listener.onClock(message.sent, message.now, performance.now());
    }
  }

  /** @param {WebSocket} socket */
  #ping(socket) {
    if (socket.readyState !== WebSocket.OPEN) return;
    this.tell({ type: "ping", sent: performance.now() });
    this.#pings += 1;
    setTimeout(() => this.#ping(socket), this.#pings < PINGS.many ? PINGS.first : PINGS.later);
  }

  #look() {
    // A page that sleeps hears nothing, and is given the time to hear what has come.
    if (document.hidden || this.#socket?.readyState !== WebSocket.OPEN) return;
    if (performance.now() - this.#heardAt < SILENCE) return;
    this.#socket.close();
    this.#lose();
  }

  #lose() {
    this.#socket = null;
    this.#listener.onLost(null);
    setTimeout(() => this.#tryAgain(), this.#pause);
  }

  /** A request first, since a socket does not tell why it is refused. */
  async #tryAgain() {
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE);
    try {
      await ask("/status.json");
      this.#open();
    } catch (error) {
      this.#listener.onLost(error instanceof RefusedError ? error : null);
      setTimeout(() => this.#tryAgain(), this.#pause);
    }
  }
}

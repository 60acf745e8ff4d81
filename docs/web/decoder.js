/** The page's side of the worker: one job at a time, of which a newer one makes an end. */
import { InputError } from "./errors.js";

/** A job that a newer one, or the user, has ended. */
export class Cancelled extends Error {}

export class Decoder {
  #worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  #id = 0;
  /** @type {{listen: (message: any) => void, reject: (error: Error) => void} | null} */
  #job = null;

  constructor() {
    this.#worker.onmessage = ({ data }) => {
      if (data.job === this.#id) this.#job?.listen(data);
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#job?.reject(new Error(`the decoder could not be started: ${event.message ?? "its file is missing"}`));
    };
  }

  /**
   * What a file holds; height and width are those of its pictures, in pixels.
   *
   * @param {Blob} file
   * @returns {Promise<{frames: number, height: number, width: number, convention?: string}>}
   */
  open(file) {
    return this.#start({ kind: "open", file }, "opened", () => {});
  }

  /**
   * Decode one latent of a file.
   *
   * @param {object} request  See worker.js.
   * @param {(message: any) => void} listen  Told of the start and of every tile.
   * @returns {Promise<{seconds: number}>}
   */
  decode(request, listen) {
    return this.#start({ kind: "decode", ...request }, "done", listen);
  }

  /** End what is being done; its promise is rejected at once. */
  cancel() {
    this.#job?.reject(new Cancelled("cancelled"));
    this.#job = null;
    this.#worker.postMessage({ kind: "cancel", id: ++this.#id });
  }

  /**
   * @param {object} request
   * @param {string} last  The kind of message that ends the job.
   * @param {(message: any) => void} listen
   * @returns {Promise<any>}
   */
  #start(request, last, listen) {
    this.#job?.reject(new Cancelled("a newer job took its place"));
    const id = ++this.#id;
    return new Promise((resolve, reject) => {
      this.#job = {
        reject,
        listen: (message) => {
          if (message.kind === "failed") reject(new InputError(message.message));
          else if (message.kind === last) resolve(message);
          else listen(message);
        },
      };
      this.#worker.postMessage({ ...request, id });
    });
  }
}

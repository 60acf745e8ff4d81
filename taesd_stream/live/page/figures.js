/** The figures beside the picture. */
import { element, say, write } from "./elements.js";
import { counted, grouped } from "./words.js";

/**
 * @typedef {object} Measured  By this browser, of what it presented; null where it cannot tell.
 * @property {number | null} fps
 * @property {boolean} isMeasured  Whether the latency can be known.
 * @property {number | null} latency  Milliseconds.
 * @property {number | null} dropped
 * @property {number | null} number
 * @property {"webrtc" | "jpeg" | "hls"} way
 */

const WAYS = { webrtc: "WebRTC", jpeg: "JPEG", hls: "HLS" };

/**
 * @param {any} status  The server's.
 * @param {Measured} measured
 */
export function showFigures(status, measured) {
  const { fps, dropped, number, way } = measured;
  write(element("dd", "fps"), (fps ?? status.fps).toFixed(1));
  showLatency(status, measured);
  write(element("dd", "dropped"), grouped((dropped ?? 0) + status.dropped));
  element("dd", "dropped").title =
    `${dropped === null ? "not counted" : grouped(dropped)} on the way to this page,` +
    ` ${grouped(status.dropped)} before they were decoded`;
  write(element("dd", "frame"), frame(status, number));
  write(element("dd", "size"), status.width ? `${status.width} × ${status.height}` : "–");
  element("div", "model-row").hidden = status.model === null;
  write(element("dd", "model"), status.model ?? "–");
  write(element("select", "way").options[0], `auto: ${WAYS[way]}`);
  const count = (/** @type {string} */ kind) =>
    status.viewers.filter((/** @type {any} */ each) => each.kind === kind).length;
  write(element("dd", "viewers"), grouped(status.viewers.length));
  element("dd", "viewers").title = `${count("webrtc")} by WebRTC, ${count("mjpeg")} by JPEG`;
  element("div", "pushed-row").hidden = !status.takes_latents;
  const pushed = counted(status.pushed, "latent");
  write(element("dd", "pushed"), status.dropped ? `${pushed}, ${grouped(status.dropped)} dropped` : pushed);
  element("section", "plan-section").hidden = status.plan === null;
  write(element("p", "plan"), status.plan ?? "");
  say(element("p", "failure"), status.failure);
}

/**
 * @param {any} status
 * @param {Measured} measured
 */
function showLatency(status, { isMeasured, latency }) {
  // A frame of a file waits for its turn: only what comes after that is delay.
  const fromServer = isMeasured || status.player ? null : status.latency_ms;
  const value = latency ?? fromServer;
  write(element("dd", "latency"), value === null ? "–" : value.toFixed(0));
  const [of, about] = status.player
    ? ["ms to screen", "from a frame's turn until it is on the screen"]
    : fromServer !== null
      ? ["ms in the server", "from a push until its frame is handed out; what comes after is not known"]
      : ["ms, push to pixel", "from a push until its frame is on the screen"];
  write(element("dt", "latency-of"), of);
  element("dd", "latency").title = about;
}

/**
 * @param {any} status
 * @param {number | null} number
 */
function frame(status, number) {
  if (!status.shown) return "–";
  return grouped((number ?? status.shown - 1) + 1);
}

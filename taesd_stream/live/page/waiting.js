/** What is shown before the first frame: how to push one. */
import { element, write } from "./elements.js";

/** Others are reached with a token, which the page itself does not know. */
const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];

/** @param {any} status  The server's. */
export function showWaiting({ shown, takes_latents: takesLatents, model }) {
  element("div", "waiting").hidden = shown > 0;
  document.body.classList.toggle("waits", shown === 0);
  element("div", "pushing").hidden = !takesLatents;
  if (shown > 0 || !takesLatents) return;
  const address = location.origin;
  write(element("b", "pushed-model"), model);
  write(element("code", "pushed-to"), `${address}/latents`);
  const hasToken = !LOOPBACK.includes(location.hostname);
  const token = hasToken ? "/?token=..." : "";
  write(
    element("pre", "example"),
    `import taesd_stream as ts\nclient = ts.LiveClient("${address}${token}")\nclient.push(latent)  # (C, h, w), each when it is there`,
  );
  element("p", "with-token").hidden = !hasToken;
}

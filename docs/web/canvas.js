/** The picture on the page. */
import { InputError } from "./errors.js";

/** Sides and areas that browsers on desktops draw. */
const MOST_SIDE = 16384;
const MOST_AREA = 2 ** 28;

/**
 * Make room for a picture, and clear what was there.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 */
export function clear(canvas, width, height) {
  if (Math.max(width, height) > MOST_SIDE || width * height > MOST_AREA) {
    throw new InputError(
      `expected a picture of up to ${MOST_SIDE} pixels a side, found ${width}x${height}: ` +
        "decode it with taesd-video, which takes any size",
    );
  }
  canvas.width = width;
  canvas.height = height;
  canvas.setAttribute("aria-label", `The decoded picture, ${width}x${height} pixels`);
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {{x: number, y: number, width: number, pixels: Uint8ClampedArray<ArrayBuffer>}} tile
 */
export function draw(canvas, { x, y, width, pixels }) {
  context(canvas).putImageData(new ImageData(pixels, width), x, y);
}

/**
 * Save the picture as PNG in the browser's way.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {string} name
 */
export async function download(canvas, name) {
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  if (!blob) throw new InputError("expected memory for a PNG, found too little: close other pages");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** @param {HTMLCanvasElement} canvas */
function context(canvas) {
  const found = canvas.getContext("2d");
  if (!found) throw new InputError("expected a canvas that can be drawn on, found none: reload");
  return found;
}

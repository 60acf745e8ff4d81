/** From the network's floats to a canvas' bytes. */

/** Bytes are rounded to the nearest, halves up, as the engine's are. @param {number} value */
function toByte(value) {
  return Math.floor(Math.min(Math.max(value, 0), 1) * 255 + 0.5);
}

/**
 * Cut a rectangle of opaque pixels out of a picture.
 *
 * @param {Float32Array} planes  (3, height, stride), of which [0, 1] counts.
 * @param {{height: number, stride: number}} size
 * @param {{x: number, y: number, width: number, height: number}} part
 * @returns {Uint8ClampedArray<ArrayBuffer>} (height, width, 4)
 */
export function toPixels(planes, { height, stride }, part) {
  const plane = height * stride;
  const pixels = new Uint8ClampedArray(part.width * part.height * 4);
  let to = 0;
  for (let y = part.y; y < part.y + part.height; y++) {
    const row = y * stride;
    for (let from = row + part.x; from < row + part.x + part.width; from++, to += 4) {
      pixels[to] = toByte(planes[from]);
      pixels[to + 1] = toByte(planes[from + plane]);
      pixels[to + 2] = toByte(planes[from + 2 * plane]);
      pixels[to + 3] = 255;
    }
  }
  return pixels;
}

// The two scales of latents, and the bytes of pixels.
import assert from "node:assert/strict";
import { test } from "node:test";
import { toPixels } from "../../docs/web/pixels.js";
import { doubtOf, toModel } from "../../docs/web/scale.js";

const SD1 = { mean: 0, deviation: 1 / 0.18215 };
const AREA = 64;

/** Latents of four channels, each of which deviates by about so much. */
function latents(deviation) {
  return Float32Array.from({ length: 4 * AREA }, (_, index) => (index % 2 ? deviation : -deviation));
}

test("the full VAE's scale is brought to the model's", () => {
  const [number] = toModel(Float32Array.of(2 / 0.18215), "vae", SD1);
  assert.ok(Math.abs(number - 2) < 1e-6);
  const [shifted] = toModel(Float32Array.of(8), "vae", { mean: 2, deviation: 3 });
  assert.equal(shifted, 2);
  assert.deepEqual(toModel(Float32Array.of(2), "model", SD1), Float32Array.of(2));
});

test("numbers of the other scale are told of", () => {
  assert.match(doubtOf(latents(5), AREA, "model", SD1), /by 5.04 .* choose the scale of the full VAE/);
  assert.match(doubtOf(latents(1), AREA, "vae", SD1), /about 5.5: .* choose the scale of the diffusion/);
  assert.equal(doubtOf(latents(1), AREA, "model", SD1), null);
  assert.equal(doubtOf(latents(5), AREA, "vae", SD1), null);
  assert.equal(doubtOf(latents(0.01), AREA, "vae", SD1), null, "a flat picture tells nothing");
  assert.equal(doubtOf(latents(5).subarray(0, 16), 4, "model", SD1), null, "nor does a tiny one");
});

test("bytes are the nearest ones, and of the part that is asked for", () => {
  const planes = Float32Array.of(...[0, 0.5, 1, 2], ...[-1, 0.2, 0.3, 0.4], ...[0, 0.001, 0.002, 1]);
  const part = { x: 1, y: 0, width: 1, height: 2 };
  const pixels = toPixels(planes, { height: 2, stride: 2 }, part);
  assert.deepEqual([...pixels], [128, 51, 0, 255, 255, 102, 255, 255]);
});

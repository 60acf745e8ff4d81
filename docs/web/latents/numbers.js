/** Floating-point numbers as files store them, little-endian. */

/**
 * @typedef {object} Dtype
 * @property {number} bytes  Of one number.
 * @property {(buffer: ArrayBuffer) => Float32Array} toFloats
 */

/** @type {Readonly<Record<string, Dtype>>} */
export const DTYPES = Object.freeze({
  float64: { bytes: 8, toFloats: (buffer) => Float32Array.from(new Float64Array(buffer)) },
  float32: { bytes: 4, toFloats: (buffer) => new Float32Array(buffer) },
  float16: { bytes: 2, toFloats: (buffer) => fromShorts(buffer, halfBits) },
  bfloat16: { bytes: 2, toFloats: (buffer) => fromShorts(buffer, (short) => short << 16) },
});

/**
 * @param {ArrayBuffer} buffer
 * @param {(short: number) => number} toBits  Those of the same number in float32.
 */
function fromShorts(buffer, toBits) {
  return new Float32Array(Int32Array.from(new Uint16Array(buffer), toBits).buffer);
}

/** A float16's bits to a float32's. @param {number} half */
function halfBits(half) {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (fraction << 13);
  if (exponent) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (!fraction) return sign;
  const shift = Math.clz32(fraction) - 21; // brings a subnormal's leading bit to where it is implied
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}

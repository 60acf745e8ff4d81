/**
 * The two scales that latents are handed around in: the diffusion model's, and the full VAE's,
 * which is z_vae = z_model * deviation + mean.
 *
 * @typedef {"model" | "vae"} Convention
 * @typedef {{mean: number, deviation: number}} Figures
 */

/** The least deviation within a channel, in the model's scale, of what is no flat picture. */
const LEAST_OF_A_PICTURE = 0.45;
const FEWEST_POSITIONS = 16;

/**
 * @param {Float32Array} latent
 * @param {Convention} convention  That it has.
 * @param {Figures} figures
 */
export function toModel(latent, convention, { mean, deviation }) {
  return convention === "model" ? latent : latent.map((number) => (number - mean) / deviation);
}

/**
 * A line where numbers plainly have the other scale, or null; the engine warns of the same.
 *
 * @param {Float32Array} latent
 * @param {number} area  Of a channel.
 * @param {Convention} convention
 * @param {Figures} figures
 */
export function doubtOf(latent, area, convention, { deviation }) {
  if (area < FEWEST_POSITIONS) return null;
  const found = meanDeviation(latent, area);
  const isLarge = convention === "model" && found > Math.sqrt(deviation);
  const isSmall = convention === "vae" && found > 0.4 && found < LEAST_OF_A_PICTURE * deviation;
  if (!isLarge && !isSmall) return null;
  const usual = isLarge ? 1 : deviation;
  return (
    `these latents deviate by ${found.toFixed(2)} within a channel, where ` +
    `${isLarge ? "the diffusion model's" : "the full VAE's"} do by about ${usual.toFixed(1)}: if ` +
    `colours are wrong, choose the scale of ${isLarge ? "the full VAE" : "the diffusion model"}`
  );
}

/**
 * @param {Float32Array} latent
 * @param {number} area
 */
function meanDeviation(latent, area) {
  let sum = 0;
  for (let start = 0; start < latent.length; start += area) {
    const channel = latent.subarray(start, start + area);
    const mean = channel.reduce((total, number) => total + number, 0) / area;
    const squares = channel.reduce((total, number) => total + (number - mean) ** 2, 0);
    sum += Math.sqrt(squares / (area - 1));
  }
  return (sum * area) / latent.length;
}

/** The one of several named arrays that holds the latents. */
import { InputError } from "../errors.js";
import { shown } from "./stored.js";

const USUAL_NAMES = ["latents", "samples", "latent_tensor"];
const MOST_LISTED = 4;
const MOST_LETTERS = 40;

/**
 * The name of the array that holds latents: a usual one, or the only one of three axes and more.
 *
 * @param {Map<string, {dtype: string, shape: number[]}>} arrays
 * @returns {string}
 */
export function chooseLatents(arrays) {
  const fitting = [...arrays.keys()].filter((name) => (arrays.get(name)?.shape.length ?? 0) >= 3);
  const usual = USUAL_NAMES.find((name) => fitting.includes(name));
  if (usual !== undefined) return usual;
  if (fitting.length === 1) return fitting[0];
  throw new InputError(
    `expected the name latents or a single array of 3 to 5 axes, found ${listing(arrays)}: ` +
      "save the latents alone",
  );
}

/** @param {Map<string, {dtype: string, shape: number[]}>} arrays */
function listing(arrays) {
  const found = [...arrays].slice(0, MOST_LISTED).map(([name, { dtype, shape }]) => {
    return `'${name.slice(0, MOST_LETTERS)}': ${dtype} ${shown(shape)}`;
  });
  const more = arrays.size - found.length;
  return (found.join(", ") || "no arrays") + (more > 0 ? ` and ${more} more` : "");
}

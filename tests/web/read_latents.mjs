// Print what the page reads of files of latents, or the line that it shows: a list as JSON.
import { openAsBlob } from "node:fs";
import { openLatents } from "../../docs/web/latents/open.js";

async function read(path) {
  try {
    const latents = await openLatents(await openAsBlob(path), 4);
    const { frames, height, width, convention } = latents;
    const numbers = [];
    for (let index = 0; index < frames; index++) numbers.push([...(await latents.read(index))]);
    return { frames, height, width, convention, numbers };
  } catch (error) {
    return { error: `${error.constructor.name}: ${error.message}` };
  }
}

console.log(JSON.stringify(await Promise.all(process.argv.slice(2).map(read))));

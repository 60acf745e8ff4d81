/** The targets beside the page, and what became of the frames for each. */
import { element, write } from "./elements.js";
import { counted, grouped } from "./words.js";

/** @param {{target: string, written: number, dropped: number, failure: string | null}[]} targets */
export function showPublished(targets) {
  const list = element("ul", "published");
  element("section", "published-section").hidden = targets.length === 0;
  while (list.children.length < targets.length) list.append(document.createElement("li"));
  targets.forEach((target, index) => write(/** @type {HTMLElement} */ (list.children[index]), told(target)));
}

/** @param {{target: string, written: number, dropped: number, failure: string | null}} target */
function told({ target, written, dropped, failure }) {
  const lost = dropped ? `, ${grouped(dropped)} dropped` : "";
  return failure === null ? `${target}: ${counted(written, "frame")}${lost}` : `${target}: ${failure}`;
}

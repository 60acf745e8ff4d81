/** The elements of the page. */

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} id
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, id) {
  return /** @type {HTMLElementTagNameMap[Tag]} */ (document.querySelector(`${tag}#${id}`));
}

/**
 * Write into an element, and leave it alone where that is there already: it may be selected.
 *
 * @param {Element} shown
 * @param {string} text
 */
export function write(shown, text) {
  if (shown.textContent !== text) shown.textContent = text;
}

/**
 * Say something, or, with nothing to say, hide the line.
 *
 * @param {HTMLElement} line
 * @param {string | null | undefined} text
 */
export function say(line, text) {
  write(line, text ?? "");
  line.hidden = !text;
}

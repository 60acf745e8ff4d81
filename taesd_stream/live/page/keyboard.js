/** Keys for what the buttons do; never while somebody types, nor in place of a control's own. */

/** Keys by which a slider goes. */
const SLIDES = ["ArrowLeft", "ArrowRight", "Home", "End"];
/** Keys by which a button or a link is pressed. */
const PRESSES = [" ", "Enter"];

/**
 * Do what belongs to a key when it is pressed.
 *
 * @param {Record<string, (isRepeated: boolean) => unknown>} actions  By the key's name.
 */
export function listen(actions) {
  document.addEventListener("keydown", (event) => {
    const { key, repeat } = event;
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
    if (document.querySelector("dialog[open]") && key !== "?") return;
    const name = key.length === 1 ? key.toLowerCase() : key;
    const action = actions[name];
    if (!action || isTheirs(event.target, name)) return;
    event.preventDefault();
    action(repeat);
  });
}

/**
 * Whether a key is a control's own.
 *
 * @param {EventTarget | null} target
 * @param {string} key
 */
function isTheirs(target, key) {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement && target.type === "range") return SLIDES.includes(key);
  if (target.isContentEditable || target.matches("input, select, textarea")) return true;
  return target.matches("button, a[href], summary") && PRESSES.includes(key);
}

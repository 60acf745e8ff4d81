/** The controls: a file is opened when it is chosen or dropped, and decoded with what is chosen. */
import { clear, download, draw } from "./canvas.js";
import { Cancelled, Decoder } from "./decoder.js";
import { sizeOf } from "./tiles.js";

/** Latents that a tile may read, halo included, and what it takes about in memory. */
const TILES = [
  { label: "small, about 100 MB", most: 64 ** 2 },
  { label: "medium, about 300 MB", most: 128 ** 2, isUsual: true },
  { label: "large, about 1 GB", most: 256 ** 2 },
];

const BUILD = "build the page with tools/make_web.py";

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} id
 * @returns {HTMLElementTagNameMap[Tag]}
 */
function element(tag, id) {
  return /** @type {HTMLElementTagNameMap[Tag]} */ (document.querySelector(`${tag}#${id}`));
}

const decoder = new Decoder();
const drop = element("div", "drop");
const fileInput = element("input", "file");
const frame = element("input", "frame");
const convention = element("select", "convention");
const most = element("select", "most");
const device = element("select", "device");
const decodeButton = element("button", "decode");
const cancelButton = element("button", "cancel");
const saveButton = element("button", "save");
const progress = element("progress", "progress");
const status = element("p", "status");
const picture = element("canvas", "picture");

/** @type {{file: File, frames: number, height: number, width: number} | null} */
let opened = null;

/** @param {File} file */
async function open(file) {
  opened = null;
  complain(null);
  element("section", "controls").hidden = true;
  picture.hidden = true;
  await attempt(async () => {
    const found = await decoder.open(file);
    opened = { file, ...found };
    const pixels = `${found.width}x${found.height} pixels`;
    const frames = found.frames === 1 ? "one latent" : `${found.frames} latents`;
    const scale = found.convention === "vae" ? ", in the full VAE's scale" : "";
    element("p", "about").textContent = `${file.name}: ${frames} of ${pixels}${scale}`;
    frame.max = String(found.frames - 1);
    frame.value = "0";
    element("div", "frame-row").hidden = found.frames === 1;
    element("section", "controls").hidden = false;
    await decode();
  });
}

async function decode() {
  if (!opened) return;
  const { file, frames, height, width } = opened;
  element("output", "frame-shown").value = `${Number(frame.value) + 1} of ${frames}`;
  complain(null);
  note(null);
  await attempt(async () => {
    clear(picture, width, height);
    picture.hidden = false;
    busy(true);
    progress.removeAttribute("value");
    status.textContent = "Loading the decoder";
    const request = {
      file,
      frame: Number(frame.value),
      convention: convention.value,
      most: Number(most.value),
      device: device.value,
    };
    let plan = "";
    let count = 0;
    const { seconds } = await decoder.decode(request, (message) => {
      if (message.kind === "started") {
        plan = inWords(message.tiles, message.where);
        progress.max = message.tiles.length;
        progress.value = 0;
        status.textContent = `Decoding ${plan}`;
        note(message.doubt);
      } else {
        draw(picture, message);
        progress.value = ++count;
      }
    });
    busy(false);
    saveButton.disabled = false;
    status.textContent = `Decoded ${plan} in ${seconds.toFixed(2)} s`;
  });
}

/**
 * @param {import("./tiles.js").Tile[]} tiles
 * @param {string} where
 */
function inWords(tiles, where) {
  const [{ rows, columns }] = tiles;
  const size = `${sizeOf(rows.reads)}x${sizeOf(columns.reads)} latents`;
  const cut = tiles.length === 1 ? `one tile of ${size}` : `${tiles.length} exact tiles of ${size}`;
  return `${cut} on ${where}`;
}

/** Do something, and tell of its failure unless something newer takes its place. */
async function attempt(/** @type {() => Promise<void>} */ action) {
  try {
    await action();
  } catch (error) {
    if (error instanceof Cancelled) return;
    busy(false);
    progress.value = 0;
    status.textContent = "";
    complain(error instanceof Error ? error.message : String(error));
  }
}

/** @param {boolean} isBusy */
function busy(isBusy) {
  decodeButton.disabled = isBusy;
  cancelButton.disabled = !isBusy;
  if (isBusy) saveButton.disabled = true;
}

/** @param {string | null} message */
function complain(message) {
  const line = element("p", "error");
  line.textContent = message ?? "";
  line.hidden = message === null;
}

/** @param {string | null} message */
function note(message) {
  const line = element("p", "doubt");
  line.textContent = message ?? "";
  line.hidden = message === null;
}

function cancel() {
  decoder.cancel();
  busy(false);
  progress.value = 0;
  status.textContent = "Cancelled";
  decodeButton.focus();
}

function save() {
  if (!opened) return;
  const stem = opened.file.name.replace(/\.[^.]+$/, "");
  const number = opened.frames === 1 ? "" : `_${frame.value.padStart(5, "0")}`;
  return attempt(() => download(picture, `${stem}${number}.png`));
}

async function takeSample() {
  await attempt(async () => {
    const answer = await fetch("sample.safetensors");
    if (!answer.ok) throw new Error(`expected the sample beside this page, found none: ${BUILD}`);
    await open(new File([await answer.blob()], "sample.safetensors"));
  });
}

/** @param {DragEvent} event */
function dragged(event) {
  event.preventDefault();
  const isOver = event.type === "dragover";
  drop.classList.toggle("over", isOver);
  const [file] = event.dataTransfer?.files ?? [];
  if (event.type === "drop" && file) void open(file);
}

for (const { label, most: value, isUsual = false } of TILES) {
  most.add(new Option(label, String(value), isUsual, isUsual));
}
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => dragged(/** @type {DragEvent} */ (event)));
}
fileInput.addEventListener("change", () => {
  const [file] = fileInput.files ?? [];
  if (file) void open(file);
  fileInput.value = ""; // the same file again is a choice, too
});
for (const control of [frame, convention, most, device]) control.addEventListener("change", decode);
frame.addEventListener("input", () => {
  element("output", "frame-shown").value = `${Number(frame.value) + 1} of ${opened?.frames}`;
});
element("button", "sample").addEventListener("click", takeSample);
decodeButton.addEventListener("click", decode);
cancelButton.addEventListener("click", cancel);
saveButton.addEventListener("click", save);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !cancelButton.disabled) cancel();
});
element("p", "unserved").remove();

/** The stage: the picture as large as the window lets it be, and the whole screen for it. */
import { element } from "./elements.js";
import { hidePadding } from "./padding.js";

/** From so many screen pixels for one of the picture on, these are shown as what they are: squares. */
const SHOWS_PIXELS = 3;

export class Stage {
  #stage = element("div", "stage");
  #picture = element("div", "picture");
  #video = element("video", "video");
  #width = 0;
  #height = 0;

  constructor() {
    new ResizeObserver(() => this.#scale()).observe(this.#picture);
    this.#video.addEventListener("resize", () => this.#scale());
    this.#stage.addEventListener("dblclick", () => this.toggleFull());
    element("button", "full").addEventListener("click", () => this.toggleFull());
  }

  /**
   * Make room for a picture; none for null.
   *
   * @param {number | null} width
   * @param {number | null} height
   */
  fit(width, height) {
    this.#picture.hidden = !width || !height;
    if (!width || !height) return;
    [this.#width, this.#height] = [width, height];
    document.documentElement.style.setProperty("--ratio", String(width / height));
    this.#scale();
  }

  async toggleFull() {
    if (document.fullscreenElement) await document.exitFullscreen();
    else await this.#stage.requestFullscreen?.();
  }

  #scale() {
    hidePadding(this.#video, this.#width, this.#height);
    const shown = this.#picture.clientWidth * devicePixelRatio;
    this.#picture.classList.toggle("pixels", this.#width > 0 && shown >= SHOWS_PIXELS * this.#width);
  }
}

/** The page: what the server says, what the browser presents, and what the user wants, joined. */
import { element, say, write } from "./elements.js";
import { showFigures } from "./figures.js";
import { listen } from "./keyboard.js";
import { Median, Rate } from "./lately.js";
import { MemoryPlot } from "./memory_plot.js";
import { Picture } from "./picture.js";
import { PlayerControls } from "./player_controls.js";
import { Saving } from "./saving.js";
import { showPublished } from "./published.js";
import { SentFrames } from "./sent_frames.js";
import { ServerClock } from "./server_clock.js";
import { Stage } from "./stage.js";
import { StatusLink } from "./status_link.js";
import { showWaiting } from "./waiting.js";

const [sent, clock, rate, latency] = [new SentFrames(), new ServerClock(), new Rate(), new Median()];
const [stage, plot, saving] = [new Stage(), new MemoryPlot(), new Saving()];
const player = new PlayerControls({ onStatus: hear, onProblem: (problem) => saving.tell(problem) });

/** @type {any} */
let status = null;
/** Of the frame that was presented last. @type {{number: number, place: number | null} | null} */
let presented = null;
/** @type {string | null} */
let problem = null;
let isLost = false;
/** Whether the picture was begun since the server was found. */
let isOpened = false;
/** Whether the browser tells which frame it presents. */
let isTold = true;

const picture = new Picture(
  {
    video: element("video", "video"),
    image: element("img", "image"),
    kept: element("canvas", "kept"),
  },
  {
    onPresented({ at, frames, rtp }) {
      rate.saw(at, frames);
      isTold = rtp !== undefined;
      sent.present(rtp, at);
      recognise();
    },
    onWay() {
      sent.restart();
      latency.forget();
      presented = null;
      show();
    },
    onProblem(found) {
      problem = found;
      notice();
    },
    onNeedsKey: () => link.tell({ type: "key" }),
    owed: () => sent.owed,
  },
);

const link = new StatusLink({
  onStatus: hear,
  onFrames(frames) {
    sent.note(frames);
    recognise();
  },
  onClock: (asked, now, received) => clock.heard(asked, now, received),
  onOpen() {
    isLost = false;
    isOpened = false;
    problem = null;
    sent.forget();
    clock.forget();
    void plot.begin();
  },
  onLost(refusal) {
    if (!isLost) picture.lose();
    isLost = true;
    problem = !refusal
      ? "The server is gone; this page goes on when it is back"
      : refusal.status === 401
        ? "The server was started anew with another token: open the address that it printed"
        : refusal.message;
    notice();
  },
});

/** Find out which frames were presented. */
function recognise() {
  for (const each of sent.recognise(performance.now())) {
    presented = each;
    const at = clock.at(each.at);
    // A frame of a file waits for its turn, and one that is handed out again came long ago.
    if (at !== null && !each.isRepeat) latency.saw(each.at, at - (status?.player ? each.shown : each.came));
  }
  if (presented) player.at(presented.place);
}

/** @param {any} said */
function hear(said) {
  status = said;
  document.title = status.title;
  write(element("h1", "title"), status.title);
  stage.fit(status.width, status.height);
  player.hear(status.player, status.state);
  if (!presented) player.at(status.player?.place ?? null);
  saving.hear(status.recording, status.shown > 0);
  plot.hear(status.memory);
  picture.hear(status);
  if (!isOpened && !isLost) picture.open();
  isOpened = true;
  recognise();
  showWaiting(status);
  showPublished(status.published);
  show();
}

function show() {
  if (!status) return;
  const isVideo = picture.way !== "jpeg";
  showFigures(status, {
    way: picture.way,
    fps: isVideo && picture.isSeen ? rate.perSecond(performance.now()) : null,
    isMeasured: picture.way === "webrtc" && isTold,
    latency: isVideo ? latency.value : null,
    dropped: picture.way === "webrtc" ? sent.dropped : null,
    number: presented?.number ?? null,
  });
  notice();
}

/** Say what is wrong with the connection, and else what the server does. */
function notice() {
  const state = element("p", "state");
  const shown = isLost ? "not connected" : (status?.state ?? "connecting");
  state.dataset.state = isLost ? "lost" : shown;
  write(state, shown);
  say(element("p", "notice"), problem);
  for (const id of ["seeking", "controls"]) element("div", id).inert = isLost;
}

const keys = element("dialog", "keys");
const toggleKeys = () => (keys.open ? keys.close() : keys.showModal());
element("button", "help").addEventListener("click", toggleKeys);
element("button", "close-keys").addEventListener("click", toggleKeys);
const way = element("select", "way");
const hls = way.options[3];
hls.hidden = hls.disabled = !element("video", "video").canPlayType("application/vnd.apple.mpegurl");
way.addEventListener("change", () => picture.choose(/** @type {any} */ (way.value)));
document.addEventListener("visibilitychange", () => sent.forgive());

/** @param {() => unknown} action */
const once = (action) => (/** @type {boolean} */ isRepeated) => isRepeated || action();
listen({
  " ": once(() => player.toggle()),
  ",": () => player.step(-1),
  ".": () => player.step(1),
  ArrowLeft: () => player.jump(-1),
  ArrowRight: () => player.jump(1),
  Home: () => player.go(0),
  End: () => player.go(Infinity),
  s: once(() => saving.save()),
  r: once(() => saving.record()),
  f: once(() => stage.toggleFull()),
  "?": once(toggleKeys),
});

// Of frames presented, the number and the latency are found from what the server tells and no more.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Median, Rate } from "../../taesd_stream/live/page/lately.js";
import { SentFrames } from "../../taesd_stream/live/page/sent_frames.js";
import { ServerClock } from "../../taesd_stream/live/page/server_clock.js";
import { clock, counted, size } from "../../taesd_stream/live/page/words.js";

const CYCLE = 2 ** 32;

/** Numbers from 0 to 1 that are the same each time. */
function chance(seed) {
  return () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / CYCLE;
  };
}

/** Frames as a server hands them out: [number, place, rtp, came, shown], at uneven times from `first` on. */
function handedOut(count, first, random) {
  return Array.from({ length: count }, (_, number) => {
    const seconds = first + number / 24 + 0.01 * random();
    return [number, number % 10, Math.round(90_000 * seconds) % CYCLE, Math.round(1000 * seconds) - 20, Math.round(1000 * seconds)];
  });
}

/** Tell of frames and present them, as a browser does; gives those that were recognised. */
function play(sent, frames, origin, { isPresented = () => true, at = 0 } = {}) {
  const seen = [];
  frames.forEach((frame, index) => {
    const now = at + 40 * index;
    if (isPresented(index)) sent.present((frame[2] + origin) % CYCLE, now);
    seen.push(...sent.recognise(now));
    sent.note([frame]); // later than the picture
    seen.push(...sent.recognise(now + 20));
  });
  return [...seen, ...sent.recognise(at + 40 * frames.length + 400)];
}

test("every frame presented gets its number, whatever the origin", () => {
  const random = chance(1);
  for (const first of [1, 54_000.5, CYCLE / 90_000 - 0.5]) {
    for (const origin of [0, 1, 12_345_678, CYCLE - 1]) {
      const [sent, frames] = [new SentFrames(), handedOut(60, first, random)];
      const seen = play(sent, frames, origin);
      assert.equal(sent.origin, origin);
      assert.deepEqual(seen.map(({ number }) => number), frames.map(([number]) => number));
      assert.ok(seen.every(({ number, at }) => at === 40 * number));
      assert.ok(seen.every(({ shown, came, isRepeat }) => shown - came === 20 && !isRepeat));
      assert.equal(sent.dropped, 0);
      assert.equal(sent.owed, 0);
    }
  }
});

test("frames that are not presented are counted, and those that nobody looked at are not", () => {
  const [sent, frames] = [new SentFrames(), handedOut(60, 7, chance(2))];
  const seen = play(sent, frames, 99, { isPresented: (index) => index % 3 === 0 });
  assert.deepEqual(seen.map(({ number }) => number), frames.map(([number]) => number).filter((each) => each % 3 === 0));
  assert.equal(sent.dropped, 2 * 19);
  assert.equal(sent.owed, 2);
  sent.forgive();
  play(sent, handedOut(20, 60, chance(3)), 99, { at: 10_000 });
  assert.equal(sent.dropped, 2 * 19);
});

test("another connection has another origin, also where nobody says that there is one", () => {
  const [sent, random] = [new SentFrames(), chance(4)];
  const parts = [handedOut(30, 5, random), handedOut(60, 10, random), handedOut(60, 20, random)];
  play(sent, parts[0], 1000);
  sent.restart();
  play(sent, parts[1], 77_777, { at: 5000 });
  assert.equal(sent.origin, 77_777);
  const seen = play(sent, parts[2], 500_000, { at: 15_000 });
  assert.equal(sent.origin, 500_000);
  assert.deepEqual(seen.at(-1).number, 59);
});

test("one frame alone is known, if no other was handed out, and once more it is a repeat", () => {
  const sent = new SentFrames();
  const [frame] = handedOut(1, 100, chance(5));
  sent.note([frame]);
  sent.present((frame[2] + 4321) % CYCLE, 0);
  assert.deepEqual(sent.recognise(10), []);
  assert.equal(sent.recognise(300)[0].number, 0);
  const later = [...frame];
  later[2] += 90_000;
  sent.note([later]);
  sent.present((later[2] + 4321) % CYCLE, 1000);
  const [again] = sent.recognise(1000);
  assert.ok(again.isRepeat && again.number === 0);
  assert.equal(sent.owed, 0);
  assert.equal(sent.dropped, 0);
});

test("what is handed out and never presented is owed", () => {
  const [sent, frames] = [new SentFrames(), handedOut(90, 3, chance(6))];
  play(sent, frames.slice(0, 30), 5);
  assert.equal(sent.owed, 0);
  sent.note(frames.slice(30, 33));
  assert.equal(sent.owed, 3);
  const blind = new SentFrames(); // of a browser that does not tell RTP times
  blind.note(frames.slice(0, 3));
  assert.equal(blind.owed, 0);
  blind.note(frames.slice(3, 30));
  assert.equal(blind.owed, 30);
  blind.present(undefined, 0);
  assert.equal(blind.owed, 0);
});

test("the quickest answer tells the server's clock", () => {
  const server = new ServerClock();
  assert.equal(server.at(5), null);
  server.heard(100, 5160, 180); // slow there
  server.heard(200, 5202, 204);
  server.heard(300, 5301, 380); // slow back
  assert.equal(server.at(1000), 6000);
  server.forget();
  assert.equal(server.at(5), null);
});

test("rates and medians are of the last two seconds", () => {
  const rate = new Rate();
  for (let frame = 0; frame <= 100; frame++) rate.saw(40 * frame, frame);
  assert.ok(Math.abs(rate.perSecond(4000) - 25) < 0.01);
  assert.ok(rate.perSecond(4500) < 25);
  assert.equal(rate.perSecond(9000), 0);
  rate.saw(9000, 3); // another video
  assert.equal(rate.perSecond(9000), 0);
  const median = new Median();
  assert.equal(median.value, null);
  [30, 1000, 20, 40].forEach((value, index) => median.saw(index, value));
  assert.equal(median.value, 35);
  median.saw(5000, 7);
  assert.equal(median.value, 7);
});

test("figures in words", () => {
  assert.equal(clock(59.9), "0:59");
  assert.equal(clock(3723), "1:02:03");
  assert.equal(size(455 * 2 ** 20), "455 MiB");
  assert.equal(size(1.5 * 2 ** 30), "1.50 GiB");
  assert.equal(counted(1, "latent"), "1 latent");
  assert.equal(counted(12345, "latent"), "12\u202f345 latents");
});

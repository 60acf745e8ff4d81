/** The frames of a video as they are presented. */

const LOOKS = 100;

/**
 * @typedef {object} Presented
 * @property {number} at  When it is seen: milliseconds of the browser's clock.
 * @property {number} frames  How many of this video were presented so far.
 * @property {number | undefined} rtp  Its RTP time, where the browser tells it.
 */

/**
 * Tell of each frame that is presented, as long as the page lives; where the browser does not say, as
 * often as there are new ones.
 *
 * @param {HTMLVideoElement} video
 * @param {(presented: Presented) => void} onPresented
 */
export function watchFrames(video, onPresented) {
  if (!("requestVideoFrameCallback" in video)) {
    poll(video, onPresented);
    return;
  }
  const next = () =>
    video.requestVideoFrameCallback((_, { expectedDisplayTime, presentedFrames, rtpTimestamp }) => {
      next();
      onPresented({ at: expectedDisplayTime, frames: presentedFrames, rtp: rtpTimestamp });
    });
  next();
}

/**
 * @param {HTMLVideoElement} video
 * @param {(presented: Presented) => void} onPresented
 */
function poll(video, onPresented) {
  let last = 0;
  setInterval(() => {
    const frames = video.getVideoPlaybackQuality?.().totalVideoFrames ?? 0;
    if (frames > 0 && frames !== last) {
      onPresented({ at: performance.now(), frames, rtp: undefined });
    }
    last = frames;
  }, LOOKS);
}

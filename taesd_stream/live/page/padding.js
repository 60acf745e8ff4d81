/** A video's width and height are even: frames of an odd one get a column or a row more. */

/**
 * The true size of a side.
 *
 * @param {number} padded  The video's.
 * @param {number} size  The frames'.
 */
export function unpadded(padded, size) {
  return padded === size + 1 ? size : padded;
}

/**
 * Leave out of view what a video has more than its frames.
 *
 * @param {HTMLVideoElement} video  In a box of the frames' shape, which shows nothing outside.
 * @param {number} width
 * @param {number} height
 */
export function hidePadding(video, width, height) {
  const { videoWidth, videoHeight } = video;
  video.style.width = `${(100 * videoWidth) / (unpadded(videoWidth, width) || 1) || 100}%`;
  video.style.height = `${(100 * videoHeight) / (unpadded(videoHeight, height) || 1) || 100}%`;
}

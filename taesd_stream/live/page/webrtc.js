/** The picture as a video that the server sends, as soon as each frame is there. */
import { post } from "./server.js";

const MOST_GATHERING = 1000;

/** Whether this browser can. */
export const hasWebRTC = () => typeof globalThis.RTCPeerConnection === "function";

/**
 * Connect to the server.
 *
 * @returns {Promise<{connection: RTCPeerConnection, track: MediaStreamTrack}>}
 * @throws {Error}  It refuses, or the browser does.
 */
export async function connect() {
  const connection = new RTCPeerConnection({ iceServers: [] });
  try {
    const { receiver } = connection.addTransceiver("video", { direction: "recvonly" });
    hurry(receiver);
    await connection.setLocalDescription();
    await gathered(connection);
    const answer = await post("/offer", { sdp: connection.localDescription?.sdp });
    await connection.setRemoteDescription({ type: "answer", sdp: answer.sdp });
    return { connection, track: receiver.track };
  } catch (error) {
    connection.close();
    throw error;
  }
}

/**
 * Present frames when they come, not when they would flow most evenly.
 *
 * @param {any} receiver
 */
function hurry(receiver) {
  if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
  else receiver.playoutDelayHint = 0;
}

/** @param {RTCPeerConnection} connection */
function gathered(connection) {
  return new Promise((resolve) => {
    const look = () => connection.iceGatheringState === "complete" && resolve(undefined);
    connection.addEventListener("icegatheringstatechange", look);
    setTimeout(resolve, MOST_GATHERING);
    look();
  });
}

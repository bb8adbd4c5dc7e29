// 扫牌打卡: the plate at a waypoint holds `https://host/m#w=CODE`. The phone's own camera opens
// it, or this screen reads it.

import { go, h, say, show } from "./dom.js";
import { strip } from "./strip.js";
import { t } from "./words.js";
import * as patrol from "./patrol.js";
import * as place from "./place.js";
import * as position from "./position.js";
import * as session from "./session.js";

const EVERY_MS = 250;
/** The longer side that is looked at, pixels: half of a usual frame is read as well and four times as fast. */
const LOOK_PX = 640;

/** Opens the screen; gives the way to leave it. */
export async function open() {
  const video = h("video", { playsinline: true, muted: true, autoplay: true, "aria-label": t("camera.picture") });
  const words = h("p", { class: "calm", role: "status" }, t("plate.words"));
  show(strip(t("plate.title")), h("main", { class: "screen below plate" }, video, words));
  const stop = position.follow("plate", () => undefined);
  let stream = null;
  let timer = null;
  let trouble = "plate.no_camera";
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    video.srcObject = stream;
    await video.play();
    // The reader may not have come yet.
    trouble = "plate.no_reader";
    const read = await reader();
    timer = setInterval(async () => {
      const code = codeOf(await read(video));
      if (!code || !video.isConnected) return;
      clearInterval(timer);
      await reached(code);
    }, EVERY_MS);
  } catch (error) {
    words.textContent = t(trouble);
  }
  return () => {
    stop();
    clearInterval(timer);
    if (stream) stream.getTracks().forEach((track) => track.stop());
  };
}

/** What reads a frame: the browser's own reader, else the library, which is fetched now. */
async function reader() {
  if ("BarcodeDetector" in window) {
    const detector = new window.BarcodeDetector({ formats: ["qr_code"] });
    return async (video) => ((await detector.detect(video).catch(() => []))[0] || {}).rawValue;
  }
  await import("./jsqr.js");
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  return async (video) => {
    const scale = Math.min(1, LOOK_PX / Math.max(video.videoWidth, video.videoHeight, 1));
    [canvas.width, canvas.height] = [video.videoWidth * scale, video.videoHeight * scale];
    if (canvas.width < 1) return null;
    pen.drawImage(video, 0, 0, canvas.width, canvas.height);
    const { data, width, height } = pen.getImageData(0, 0, canvas.width, canvas.height);
    return (window.jsQR(data, width, height) || {}).data;
  };
}

const codeOf = (text) => (/#w=([^&]+)$/.exec(text || "") || [])[1];

/** Somebody stands before the plate `code`. */
export async function reached(code) {
  const spot = place.place().waypoints.find((w) => w.code === code);
  const person = session.person();
  if (!spot) say(t("plate.unknown", { code }), { bad: true });
  else if (await patrol.reach(person, spot, position.freeze().position)) say(t("plate.reached", { name: spot.name }));
  else say(t("plate.no_patrol"), { bad: true });
  go("home");
}

// 说一句: a voice note, for whoever would rather speak than type. A minute at most; it lies with the draft as soon as it
// ends, however it ends.

import { button, h, icon, say, show } from "./dom.js";
import { sha256 } from "./photo.js";
import { t } from "./words.js";
import * as store from "./store.js";

const LONGEST_MS = 60000;
const TICK_MS = 250;
/** Speech is clear at this; a minute takes 240 KB. */
const BITS_PER_S = 32000;
/** What the server takes: Chrome, Safari, others. */
const TYPES = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus"];

/**
 * Opens the screen. `back` is called with the voice note, or null, when all is done; `write` goes to the keyboard instead.
 * Gives the way to leave it: what is being spoken is kept.
 */
export function open(voice, ways) {
  const here = { voice, ...ways, left: false, end: () => undefined, audio: null };
  if (voice) listen(here);
  else record(here);
  return () => {
    here.left = true;
    here.end();
    forget(here);
  };
}

function forget(here) {
  if (!here.audio) return;
  here.audio.pause();
  URL.revokeObjectURL(here.audio.src);
  here.audio = null;
}

function screen(...content) {
  show(h("main", { class: "screen ask voice" }, h("h1", {}, t("report.voice")), ...content));
}

const done = (here) => button({ class: "main", onclick: () => here.back(here.voice) }, t("done"));

/** Why nothing can be recorded is said, and the keyboard is there: nobody is held up. */
function mute(here, why) {
  screen(h("p", { class: "calm", role: "status" }, t(why)),
    h("div", { class: "thumb" },
      h("div", { class: "two" }, button({ class: "tile", onclick: here.write }, icon("ellipsis"), t("report.note")),
        button({ class: "tile", onclick: () => record(here) }, icon("mic"), t("outbox.again"))), done(here)));
}

async function record(here) {
  forget(here);
  if (!window.MediaRecorder || !navigator.mediaDevices) return mute(here, "voice.none");
  screen(h("p", { class: "calm", role: "status" }, t("voice.opening")), h("div", { class: "thumb" }, done(here)));
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    try {
      if (!here.left) await keep(here, await spoken(here, stream));
    } finally {
      stream.getTracks().forEach((track) => track.stop());
    }
  } catch (error) {
    // Nothing was kept in the place of what was there before, and that is what is said.
    if (here.left) return undefined;
    if (["NotAllowedError", "NotFoundError", "NotReadableError", "SecurityError"].includes(error.name)) {
      return mute(here, "voice.denied");
    }
    say(t(error.name === "QuotaExceededError" ? "trouble.full" : "trouble.voice"), { bad: true, seconds: 15 });
    return mute(here, "voice.none");
  }
  return undefined;
}

/** Records until the large button, a minute, another app or a call ends it. */
async function spoken(here, stream) {
  const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
  const recorder = new MediaRecorder(stream, { audioBitsPerSecond: BITS_PER_S, ...(mimeType ? { mimeType } : {}) });
  const [pieces, begun] = [[], performance.now()];
  const elapsed_ms = () => Math.min(performance.now() - begun, LONGEST_MS);
  here.end = () => recorder.state === "recording" && recorder.stop();
  const hidden = () => document.visibilityState === "hidden" && here.end();
  const clock = h("p", { class: "clock num", role: "timer" });
  const bar = h("progress", { max: String(LONGEST_MS), "aria-label": t("voice.recording") });
  const tick = () => {
    const s = Math.floor(elapsed_ms() / 1000);
    clock.textContent = t("voice.seconds", { n: s });
    bar.value = elapsed_ms();
  };
  recorder.addEventListener("dataavailable", ({ data }) => pieces.push(data));
  const ended = new Promise((stopped, failed) => {
    recorder.addEventListener("stop", stopped);
    recorder.addEventListener("error", ({ error }) => failed(error || new Error("recorder")));
  });
  // In pieces: a browser that fails at the end has given the rest.
  recorder.start(1000);
  const dot = h("i", { class: "dot", "aria-hidden": "true" });
  screen(h("p", { class: "calm", role: "status" }, dot, t("voice.recording")), clock, bar,
    h("div", { class: "thumb" }, button({ id: "stop", class: "main", onclick: here.end }, icon("square"), t("voice.stop"))));
  tick();
  const ticking = setInterval(tick, TICK_MS);
  const longest = setTimeout(here.end, LONGEST_MS);
  document.addEventListener("visibilitychange", hidden);
  try {
    await ended;
  } finally {
    document.removeEventListener("visibilitychange", hidden);
    clearTimeout(longest);
    clearInterval(ticking);
  }
  const seconds = Math.max(1, Math.round(elapsed_ms() / 1000));
  return { blob: new Blob(pieces), seconds, type: (recorder.mimeType || mimeType || TYPES[0]).split(";")[0] };
}

/** In the store with the draft, before anything is called kept. */
async function keep(here, { blob, seconds, type }) {
  const bytes = await blob.arrayBuffer();
  if (bytes.byteLength > 0) {
    const voice = { sha256: await sha256(bytes), size: bytes.byteLength, type, seconds };
    await store.keepVoice(voice, bytes);
    here.voice = voice;
  }
  if (here.left) return;
  if (here.voice) await listen(here);
  else here.back(null);
}

/** What was said, to be heard, said again, or thrown away. */
async function listen(here) {
  const { sha256: hash, type, seconds } = here.voice;
  const bytes = await store.getBytes(hash);
  if (here.left) return;
  forget(here);
  // Its own controls are too small for a glove.
  here.audio = h("audio", { src: URL.createObjectURL(new Blob([bytes], { type })) });
  const play = button({ id: "play", class: "tile heard" });
  const turn = () => (here.audio.paused ? here.audio.play() : here.audio.pause());
  const tell = ({ target: { paused } }) => {
    play.replaceChildren(icon(paused ? "play" : "square"), t(paused ? "voice.play" : "voice.pause"));
  };
  play.addEventListener("click", turn);
  ["play", "pause", "ended"].forEach((event) => here.audio.addEventListener(event, tell));
  tell({ target: { paused: true } });
  const remove = async () => {
    await store.keepVoice(null);
    here.back(null);
  };
  screen(play, here.audio, h("p", { class: "calm" }, t("voice.kept", { n: seconds })),
    h("div", { class: "thumb" },
      h("div", { class: "two" },
        button({ id: "again", class: "tile", onclick: () => record(here) }, icon("mic"), t("voice.again")),
        button({ id: "remove", class: "tile", onclick: remove }, icon("x"), t("voice.remove"))), done(here)));
}

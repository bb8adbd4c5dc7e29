// Camera first: the picture fills the screen, with the stamp that the server's copy will carry and the fix in words.

import { button, go, h, hush, icon, say, show } from "./dom.js";
import { now } from "./clock.js";
import { isoDay, second, t } from "./words.js";
import * as patrol from "./patrol.js";
import * as photo from "./photo.js";
import * as place from "./place.js";
import * as position from "./position.js";
import * as session from "./session.js";
import * as settings from "./settings.js";
import * as store from "./store.js";

const TICK_MS = 500;
/** A file this young was taken here and now, with the phone's own camera. */
const FRESH_MS = 120000;

/** Opens the screen; gives the way to leave it. */
export async function open() {
  const draft = await store.get("draft");
  const view = build();
  hush();
  show(view.main);
  const fromAlbum = () => take(view, draft, photo.fromFile(view.file.files[0], settings.original()), view.file.files[0]);
  view.shutter.addEventListener("click", () => shoot(view, draft));
  view.file.addEventListener("change", () => view.file.files[0] && fromAlbum());
  view.without.addEventListener("click", () => withoutPhoto(draft));
  const stop = position.follow("camera", () => tell(view));
  const ticking = setInterval(() => tell(view), TICK_MS);
  tell(view);
  await film(view);
  return () => {
    stop();
    clearInterval(ticking);
    unfilm(view);
  };
}

function build() {
  const video = h("video", { playsinline: true, muted: true, autoplay: true, "aria-label": t("camera.picture") });
  const file = h("input", { type: "file", id: "album", accept: "image/jpeg,image/png,image/*", class: "hide" });
  const fix = h("p", { class: "fix", role: "status" });
  const stamp = h("p", { class: "stamp num" });
  const ghost = h("img", { class: "over", alt: "", hidden: true });
  const over = button({ class: "round", hidden: true, "aria-pressed": "false", "aria-label": t("camera.ghost") },
    icon("layers-2"));
  const shutter = button({ class: "shutter", "aria-label": t("camera.shutter") });
  const without = button({ class: "sq" }, icon("x"), h("span", {}, t("camera.without")));
  const close = button({ class: "round", "aria-label": t("back"), onclick: () => go("home") }, icon("x"));
  const album = h("label", { class: "sq", for: "album" }, icon("image"), h("span", {}, t("camera.album")));
  const busy = h("p", { class: "busy", hidden: true }, t("camera.saving"));
  over.addEventListener("click", () => {
    ghost.hidden = !ghost.hidden;
    over.setAttribute("aria-pressed", String(!ghost.hidden));
  });
  const main = h("main", { class: "cam" }, h("h1", { class: "hide" }, t("camera.title")),
    h("div", { class: "view" }, video, ghost, h("div", { class: "top" }, close, over, fix), busy, stamp),
    h("div", { class: "ctl" }, album, file, shutter, without));
  return { main, video, file, fix, stamp, ghost, over, shutter, without, busy };
}

/** The back camera; without one the shutter opens the phone's own. */
async function film({ main, video, file }) {
  try {
    const size = { width: { ideal: 2048 }, height: { ideal: 1536 } };
    const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", ...size } });
    video.srcObject = stream;
    await video.play();
  } catch (error) {
    file.setAttribute("capture", "environment");
    main.classList.add("own");
  }
}

/** Lets go of the camera. */
function unfilm({ video }) {
  if (video.srcObject) video.srcObject.getTracks().forEach((track) => track.stop());
}

/** Accuracy in words, and the stamp. */
function tell({ fix, stamp, ghost, over }) {
  const at = position.newest();
  const quality = position.quality(at && at.accuracy_m);
  fix.className = `fix ${quality}`;
  fix.replaceChildren(h("i", { "aria-hidden": "true" }), position.words(position.freeze()));
  const { sector, outfall } = at ? place.whereabouts(at) : {};
  const ms = Date.now();
  const where = [sector && sector.name, outfall && t("camera.beside", { name: outfall.name })].filter(Boolean).join(t("comma"));
  const degrees = at && `${at.lat.toFixed(5)}, ${at.lng.toFixed(5)} ±${Math.round(at.accuracy_m)} m`;
  stamp.replaceChildren(h("b", {}, `${isoDay(ms)} ${second(ms)}`), h("span", {}, `${place.place().place} ${where}`),
    h("span", { class: "where" }, degrees || position.freeze().no_position), h("span", {}, session.person().name));
  const earlier = at && place.sameHere(at, at.accuracy_m).map((same) => same.earlier).find((e) => e && e.photo);
  over.hidden = !earlier;
  if (earlier && ghost.dataset.of !== earlier.photo) {
    ghost.dataset.of = earlier.photo;
    ghost.src = `/api/v1/photos/${earlier.photo}/preview`;
  }
}

function shoot(view, draft) {
  if (!view.video.srcObject) view.file.click();
  else if (view.video.videoWidth > 0) take(view, draft, photo.fromVideo(view.video));
}

/** What is known at the shutter, frozen here. */
async function begun() {
  const person = session.person();
  const walk = await patrol.current(person);
  const frozen = position.freeze();
  const at = frozen.position || null;
  const spot = walk && !patrol.isAbandoned(walk) ? patrol.here(walk, at) : null;
  return {
    person, made: now(), frozen, photos: [], kind: null, form: {}, note: "", outfall: null,
    patrol: walk && !patrol.isAbandoned(walk) ? walk.id : null, waypoint: spot && spot.code,
  };
}

/** An old photo of the album has its own time, and nobody knows where the phone was then. */
function dated(begin, { lastModified }) {
  const { made } = begin;
  if (made.ms - lastModified < FRESH_MS) return begin;
  return { ...begin, made: { ...made, ms: lastModified }, frozen: { no_position: t("no_fix.album") }, waypoint: null };
}

/** Another photo of the same draft keeps the draft's time and fix. */
async function take(view, draft, packing, file) {
  view.busy.hidden = false;
  view.shutter.disabled = true;
  // The picture has been taken; a camera that goes on would take the time that packing needs.
  unfilm(view);
  const begin = draft || (await begun());
  const base = file && !draft ? dated(begin, file) : begin;
  try {
    const { bytes, thumb, ...known } = await packing;
    const photos = [...base.photos.filter((p) => p.sha256 !== known.sha256), known];
    await store.keepPhoto({ sha256: known.sha256, bytes, thumb }, { ...base, photos });
    go("report");
  } catch (error) {
    // Nothing was kept, and that is what is said.
    view.busy.hidden = true;
    view.shutter.disabled = false;
    await film(view);
    say(t(error.name === "QuotaExceededError" ? "trouble.full" : "trouble.photo"), { bad: true, seconds: 15 });
  }
}

async function withoutPhoto(draft) {
  await store.set("draft", draft || (await begun()));
  go("report");
}

// 看到了什么: four pictures, perhaps 同一处, and send. All else may be left out.

import { Pictures, button, go, h, icon, picture, preview, say, show } from "./dom.js";
import { iso, now, uuid } from "./clock.js";
import { ago, metres, minute, t } from "./words.js";
import * as form from "./form.js";
import * as patrol from "./patrol.js";
import * as place from "./place.js";
import * as position from "./position.js";
import * as send from "./send.js";
import * as session from "./session.js";
import * as store from "./store.js";

const KINDS = ["sewage_outflow", "water_hyacinth", "other", "nothing_found"];
const PHOTOS_MAX = 20;

const pictures = new Pictures();
/** Ends a recording under way. */
let hush = () => undefined;

/** Opens the screen with the draft; without one there is nothing to say. */
export async function open() {
  const draft = await store.get("draft");
  if (!draft) return go("home");
  const thumbs = await Promise.all(draft.photos.map((p) => store.getThumb(p.sha256)));
  paint(draft, thumbs);
  return () => {
    hush();
    pictures.drop();
  };
}

/** Every choice is kept at once: a crash costs none. */
async function keep(draft, thumbs, change) {
  Object.assign(draft, change);
  await store.set("draft", draft);
  paint(draft, thumbs);
}

function paint(draft, thumbs) {
  const focused = document.activeElement && document.activeElement.id;
  const main = h("main", { class: "screen report" },
    head(draft, thumbs), h("div", { class: "grid" }, KINDS.map((kind) => pick(draft, thumbs, kind))), same(draft, thumbs),
    h("div", { class: "more" },
      form.asks(draft.kind) ? more(draft, thumbs) : null,
      button({ id: "note", class: "row", onclick: () => note(draft, thumbs) }, icon("ellipsis"),
        h("span", {}, draft.note || t("report.note"))),
      button({ id: "voice", class: "row", onclick: (e) => speak(draft, thumbs, e.currentTarget) }, icon("mic"),
        h("span", {}, draft.voice ? t("report.spoken", { n: draft.voice.seconds }) : t("report.voice")))),
    h("div", { class: "thumb stuck" },
      button({ id: "send", class: "main", onclick: (e) => file(draft, thumbs, e.currentTarget) }, t("report.send")),
      h("p", { class: "calm" }, t("report.calm"))));
  show(main);
  const again = focused && document.getElementById(focused);
  if (again) again.focus({ preventScroll: true });
}

function head(draft, thumbs) {
  const newest = thumbs[thumbs.length - 1];
  const again = async () => {
    await store.dropDraft();
    go("camera");
  };
  const seen = newest ? pictures.image(thumbs.length, newest, t("report.photo")) : icon(draft.photos.length ? "image" : "x");
  const count = draft.photos.length > 1 ? h("b", { class: "count num" }, draft.photos.length) : null;
  return h("header", { class: "mini" },
    h("div", { class: "tn" }, seen, count),
    h("div", { class: "words" }, h("h1", {}, t("report.what")),
      h("p", { class: "num" }, `${minute(draft.made.ms)} ${position.words(draft.frozen)}`)),
    h("div", { class: "verbs" },
      button({ class: "again", onclick: again }, t(draft.photos.length ? "report.again" : "report.drop")),
      draft.photos.length < PHOTOS_MAX
        ? button({ class: "again", onclick: () => go("camera") }, t("report.one_more")) : null));
}

function pick(draft, thumbs, kind) {
  const on = draft.kind === kind;
  const choose = () => keep(draft, thumbs, { kind, form: on ? draft.form : {}, ...(on ? {} : { same_as: null }) });
  return button({ id: kind, class: `pick${on ? " on" : ""}`, "aria-pressed": String(on), onclick: choose },
    picture(kind), h("span", {}, t(`kind.${kind}`)), on ? h("i", { class: "tick" }, icon("check")) : null);
}

/** What is near and known already. Never in the way: leaving it alone is an answer too. */
function same(draft, thumbs) {
  const at = draft.frozen.position;
  if (!at || draft.kind === "nothing_found") return null;
  return place.sameHere(at, at.accuracy_m, draft.kind).slice(0, draft.kind ? 2 : 1).map(({ spot, m, earlier }) => {
    const on = spot ? draft.outfall === spot.code : draft.same_as === earlier.id;
    const choice = spot ? { outfall: on ? null : spot.code } : { same_as: on ? null : earlier.id };
    const seen = earlier ? t("same.seen", { when: ago(Date.parse(earlier.observed_at), Date.now()) }) : t("same.none");
    return h("section", { class: "same" },
      h("div", { class: "tn" }, earlier && earlier.photo ? preview(earlier.photo, t("same.photo")) : icon("map-pin")),
      h("div", {}, h("b", {}, spot ? spot.name : t(`kind.${earlier.kind}`)), h("p", {}, `${metres(m).join(" ")}${t("comma_wide")}${seen}`)),
      button({ id: spot ? spot.code : earlier.id, class: `yes${on ? " on" : ""}`, "aria-pressed": String(on),
        onclick: () => keep(draft, thumbs, choice) }, on ? icon("check") : null, t("same.yes")));
  });
}

function more(draft, thumbs) {
  const ask = () => form.ask(draft, (answers) => keep(draft, thumbs, { form: answers }), () => paint(draft, thumbs));
  return button({ id: "more", class: "row", onclick: ask }, icon("list-todo"),
    h("span", {}, form.summary(draft) || t("report.more")));
}

function note(draft, thumbs) {
  const text = h("textarea", { id: "text", rows: "5", maxlength: "1000" });
  text.value = draft.note;
  const done = () => keep(draft, thumbs, { note: text.value.trim() });
  show(h("main", { class: "screen ask" }, h("h1", {}, h("label", { for: "text" }, t("report.note"))), text,
    h("div", { class: "thumb" }, button({ class: "main", onclick: done }, t("done")))));
  text.focus();
}

/** The recorder comes when somebody wants to speak. */
async function speak(draft, thumbs, pressed) {
  pressed.disabled = true;
  const left = () => {
    hush();
    hush = () => undefined;
  };
  const back = (voice) => {
    left();
    Object.assign(draft, { voice });
    paint(draft, thumbs);
  };
  const write = () => {
    left();
    note(draft, thumbs);
  };
  try {
    const recorder = await import("./voice.js");
    // Somebody went elsewhere meanwhile.
    if (pressed.isConnected) hush = recorder.open(draft.voice, { back, write });
  } catch (error) {
    pressed.disabled = false;
    // Without a network and before the worker has everything.
    say(t("voice.none"), { bad: true });
  }
}

/** The body as it will be sent, for ever. */
function body(draft, id, made) {
  const { kind, person, frozen, outfall, same_as, note: text, photos, voice } = draft;
  const same = kind === "nothing_found" ? {} : { ...(outfall ? { outfall } : {}), ...(same_as ? { same_as } : {}) };
  const forms = { sewage_outflow: "sewage", water_hyacinth: "hyacinth" };
  const answers = Object.keys(draft.form).length > 0 && forms[kind] ? { [forms[kind]]: draft.form } : {};
  return {
    id, kind, ...frozen, observed_at: iso(draft.made.ms), device_at: iso(made.ms), person,
    ...(draft.patrol ? { patrol: draft.patrol } : {}), ...same,
    ...answers, ...(text ? { note: text } : {}), photos: photos.map((p) => p.sha256),
    ...(voice ? { voice: voice.sha256 } : {}),
  };
}

function itemOf(draft) {
  const [id, made] = [uuid(), now()];
  const { sector, outfall } = draft.frozen.position ? place.whereabouts(draft.frozen.position) : {};
  const spot = draft.outfall ? place.nameOf(draft.outfall) : (outfall || sector || { name: "" }).name;
  return {
    id, kind: "report", what: draft.kind, where: spot, person: draft.person, made, sectors: sector ? [sector.code] : [],
    photos: store.partsOf(draft).map((p) => p.sha256), body: new TextEncoder().encode(JSON.stringify(body(draft, id, made))),
  };
}

async function file(draft, thumbs, pressed) {
  if (!draft.kind) return say(t("report.first"));
  pressed.disabled = true;
  const item = itemOf(draft);
  try {
    await store.addItem(item, store.partsOf(draft), "draft");
  } catch (error) {
    // Nothing was put into the queue; the draft is as it was.
    pressed.disabled = false;
    return say(t(error.name === "QuotaExceededError" ? "trouble.full" : "trouble.report"), { bad: true, seconds: 15 });
  }
  await reached(draft);
  send.send({ now: true });
  go("home");
  return say(t("report.saved"), { verb: t("report.undo"), act: () => undo(item.id, draft), seconds: send.UNDO_MS / 1000 });
}

/** A photo within the fence reaches the waypoint, whatever it shows. */
async function reached({ waypoint, frozen, photos }) {
  const spot = waypoint && place.place().waypoints.find((w) => w.code === waypoint);
  if (!spot) return patrol.change(session.person(), () => ({ last_ms: Date.now() }));
  return patrol.reach(session.person(), spot, frozen.position, photos[0] && photos[0].sha256);
}

async function undo(id, draft) {
  const item = await store.getItem(id);
  // Too late: it may be under way.
  if (!item || !send.isHeld(item)) return say(t("report.too_late"));
  await store.takeBack(id, draft);
  if (draft.waypoint) await patrol.forget(draft.person, draft.waypoint, draft.photos[0] && draft.photos[0].sha256);
  return go("report");
}

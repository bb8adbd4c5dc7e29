// 巡湖首页: today's duty, the next waypoint, what has reached the server, and one large button.

import { button, go, h, icon, inTurn, needle, repaint, say, show } from "./dom.js";
import { homeStrip } from "./strip.js";
import { daysBetween, longDay, metres, midnight, minute, second, shortDay, t } from "./words.js";
import * as health from "./health.js";
import * as patrol from "./patrol.js";
import * as place from "./place.js";
import * as position from "./position.js";
import * as session from "./session.js";
import * as store from "./store.js";
import * as tasks from "./tasks.js";

const TICK_MS = 20000;
const HOLD_MS = 1200;

/** Opens the screen; gives the way to leave it. */
export async function open() {
  const person = session.person();
  const walk = await patrol.current(person);
  let paint = show;
  const draw = inTurn(async () => {
    const seen = await look(person);
    paint(...screen(person, seen));
    if (paint === show) paint = repaint;
  });
  if (walk && !walk.paused && !patrol.isAbandoned(walk)) patrol.track(person, draw);
  const ticking = setInterval(draw, TICK_MS);
  const unwatch = store.watch(draw);
  network("addEventListener", draw);
  await draw();
  return () => {
    paint = () => undefined;
    unwatch();
    clearInterval(ticking);
    network("removeEventListener", draw);
  };
}

function network(verb, listener) {
  window[verb]("online", listener);
  window[verb]("offline", listener);
}

/** Everything the screen says, read at one moment. */
async function look(person) {
  const now = Date.now();
  const [walk, open, done, draft, warnings] = await Promise.all([
    patrol.current(person), store.listOpen(), store.listDoneSince(midnight(now)), store.get("draft"), health.warnings(now),
  ]);
  return { now, walk, open, done, draft, warnings };
}

function screen(person, seen) {
  const { walk } = seen;
  const abandoned = walk && patrol.isAbandoned(walk);
  const main = h("main", { class: `screen below home${walk && !abandoned ? " walking" : ""}` },
    notices(seen), today(seen), abandoned ? unfinished(person, walk) : next(walk), arrived(seen.done),
    h("div", { class: "thumb" }, tiles(seen), thumbButtons(person, walk, abandoned)));
  return [homeStrip(), main];
}

function notices({ warnings, draft }) {
  const lines = warnings.map((words) => h("p", { class: "warn" }, icon("circle-alert"), h("span", {}, words)));
  const resume = draft && button({ class: "warn", onclick: () => go("report") }, icon("camera"),
    h("span", {}, t("home.draft")));
  return [...lines, resume];
}

function today({ now, open, done, walk }) {
  const { weather } = place.place();
  const days = weather.days_without_rain;
  const sky = days > 0 ? t("weather.dry_days", { n: days }) : t(`weather.${weather.state}`);
  // What this phone knows before the server does.
  const mine = new Set([...(walk ? walk.sectors : []), ...[...open, ...done].flatMap((item) => (item.sectors || []))]);
  const windows = place.windowsOf(now);
  const current = windows.find((w) => now <= w.to_ms);
  const rows = windows.map((w) => duty(w, now, isNow(w, now) ? mine : new Set(), w === current));
  return h("section", { class: "today" },
    h("h1", {}, longDay(now), h("small", {}, sky)),
    rows, current ? still(current, now, mine) : h("p", { class: "still" }, t(windows.length ? "duty.over" : "duty.unknown")));
}

const isNow = (w, now) => w.from_ms <= now && now <= w.to_ms;
const windowName = (w) => t(`window.${w.code}`) || w.name;
const shortName = (code) => place.nameOf(code).replace(/^岸段/, "").slice(0, 2);

function duty(w, now, mine, current) {
  const boxes = w.sectors.map(({ code, walked }) => {
    const done = walked || mine.has(code);
    const words = done ? t("duty.walked") : t(now < w.from_ms ? "duty.waiting" : now <= w.to_ms ? "duty.open" : "duty.missed");
    return h("li", { class: done ? "y" : now < w.from_ms ? "w" : null },
      h("span", { "aria-hidden": "true" }, shortName(code)), h("span", { class: "hide" }, `${place.nameOf(code)} ${words}`));
  });
  const when = current ? " now" : now < w.from_ms ? " off" : "";
  return h("div", { class: `win${when}` }, h("b", {}, windowName(w)),
    h("span", { class: "num" }, `${minute(w.from_ms)}–${minute(w.to_ms)}`), h("ul", { class: "seg" }, boxes));
}

/** What is missing, in one line. */
function still(w, now, mine) {
  const left = w.sectors.filter((s) => !s.walked && !(isNow(w, now) && mine.has(s.code)));
  if (now < w.from_ms) return h("p", { class: "still" }, t("duty.begins", { name: windowName(w), time: minute(w.from_ms) }));
  if (left.length === 0) return h("p", { class: "still" }, t("duty.done", { name: windowName(w) }));
  const minutes = Math.ceil((w.to_ms - now) / 60000);
  const named = left.map((s) => place.nameOf(s.code)).join(t("comma"));
  const names = left.length > 2 ? t("duty.stretches", { n: left.length }) : named;
  return h("p", { class: "still" }, t("duty.left"), h("b", {}, names), t("comma_wide"), t("duty.time", { n: minutes }));
}

function next(walk) {
  if (!walk) return null;
  const left = patrol.remaining(walk);
  if (left.length === 0) return h("p", { class: "next done" }, icon("circle-check"), t("next.none"));
  const [{ spot, m }] = left;
  const at = position.newest();
  const arrivedAt = patrol.here(walk, at);
  const far = m === null ? null : metres(m);
  return button({ id: "next", class: `next${arrivedAt ? " here" : ""}`, onclick: () => go("camera") },
    at ? needle(place.bearing(at, spot)) : icon("map-pin"),
    h("span", { class: "what" }, h("span", {}, arrivedAt ? t("next.here") : t("next.title")), h("b", {}, spot.name)),
    far && !arrivedAt ? h("span", { class: "far num" }, far[0], h("small", {}, far[1])) : null,
    arrivedAt ? icon("camera") : null);
}

function unfinished(person, walk) {
  const when = `${shortDay(walk.started_ms)} ${minute(walk.started_ms)}`;
  const goOn = async () => {
    await patrol.change(person, () => ({ last_ms: Date.now(), paused: false }));
    store.changed();
    patrol.track(person, () => store.changed());
  };
  return h("section", { class: "card" }, h("p", {}, t("patrol.unfinished", { when })),
    h("div", { class: "two" },
      patrol.canGoOn(walk) ? button({ class: "tile", onclick: goOn }, t("patrol.go_on")) : null,
      button({ class: "tile", onclick: () => go("finish") }, t("patrol.end_then"))));
}

function arrived(done) {
  if (done.length === 0) return null;
  return h("p", { class: "safe" }, icon("circle-check"), t("home.arrived", { n: done.length }),
    h("span", { class: "num" }, second(done[done.length - 1].done_at)));
}

function tile(hash, name, words, count) {
  return button({ class: "tile", id: `tile-${hash}`, onclick: () => go(hash) }, icon(name),
    h("span", {}, words), count === undefined ? null : h("b", { class: "num" }, count));
}

function tiles({ now, open, done, walk }) {
  const all = [
    tile("tasks", "list-todo", t("home.tasks"), tasks.left(now, [...open, ...done]).length),
    tile("outbox", "cloud-upload", t("home.outbox"), open.length),
  ];
  if (walk) all.push(tile("plate", "qr-code", t("home.plate")));
  return h("div", { class: walk ? "three" : "two" }, all);
}

function thumbButtons(person, walk, abandoned) {
  if (!walk || abandoned) {
    const begin = async () => {
      await patrol.begin(person);
      store.changed();
      patrol.track(person, () => store.changed());
      say(t("patrol.begun"));
    };
    return button({ class: "main", id: "main", disabled: Boolean(abandoned), onclick: begin }, t("patrol.begin"));
  }
  const pause = async () => {
    await patrol.change(person, (p) => ({ paused: !p.paused, last_ms: Date.now() }));
    if (walk.paused) patrol.track(person, () => store.changed());
    else patrol.untrack();
    store.changed();
  };
  return [
    button({ class: "main", id: "main", onclick: () => go("camera") }, icon("camera"), t("report.begin")),
    h("div", { class: "walkbar" },
      h("p", { class: "tracking" }, walk.paused ? t("patrol.paused") : t("patrol.tracking", { time: minute(walk.started_ms) })),
      button({ id: "pause", onclick: pause }, walk.paused ? t("patrol.resume") : t("patrol.pause")), hold()),
  ];
}

/** A button that is held: with the finger, or with the key that presses it. */
function hold() {
  let timer = null;
  const element = button({ id: "end", class: "hold" }, h("span", {}, t("patrol.hold")));
  const press = () => {
    if (timer) return;
    element.classList.add("held");
    timer = setTimeout(() => go("finish"), HOLD_MS);
  };
  const let_go = () => {
    if (timer && element.isConnected && window.location.hash !== "#finish") say(t("patrol.hold_longer"));
    clearTimeout(timer);
    timer = null;
    element.classList.remove("held");
  };
  element.addEventListener("pointerdown", press);
  for (const end of ["pointerup", "pointerleave", "pointercancel", "keyup", "blur"]) element.addEventListener(end, let_go);
  element.addEventListener("keydown", (event) => (event.key === "Enter" || event.key === " ") && press());
  element.addEventListener("contextmenu", (event) => event.preventDefault());
  return element;
}

/** The day of a time that is not today. */
export const dayOf = (ms, now) => (daysBetween(ms, now) === 0 ? minute(ms) : `${shortDay(ms)} ${minute(ms)}`);

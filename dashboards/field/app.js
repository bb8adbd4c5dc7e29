// The field app: opens the phone's store, speaks the person's language, shows the screen that the address names.

import { h, hush, say, show } from "./dom.js";
import { missing, guide } from "./guide.js";
import { knows, speak, t } from "./words.js";
import * as heads from "./heads.js";
import * as home from "./home.js";
import * as patrol from "./patrol.js";
import * as people from "./people.js";
import * as place from "./place.js";
import * as send from "./send.js";
import * as session from "./session.js";
import * as settings from "./settings.js";
import * as store from "./store.js";
import * as worker from "./worker.js";

/** Those that are not the first to be seen come behind it. */
const SCREENS = {
  camera: () => import("./camera.js"), report: () => import("./report.js"), outbox: () => import("./outbox.js"),
  tasks: () => import("./tasks.js"), finish: () => import("./finish.js"), plate: () => import("./plate.js"),
  home: () => home, people: () => people, settings: () => settings,
};
const REFRESH_MS = 300000;
/** The phone's store answers within milliseconds. */
const HELD_MS = 8000;

let leave = null;

/** The screen that the address names; `#w=` and `#enrol=` are what the printed codes hold. */
async function route() {
  const [name, ...rest] = window.location.hash.slice(1).split("=");
  const code = decodeURIComponent(rest.join("="));
  if (leave) leave();
  leave = null;
  if (name === "enrol") leave = await people.open({ code });
  else if (!session.person()) leave = await people.open({});
  else if (name === "w") await (await SCREENS.plate()).reached(code);
  else leave = (await (await (SCREENS[name] || SCREENS.home)()).open()) || null;
}

/** One after the other: a quick finger must not open two cameras. */
let turn = Promise.resolve();
function navigate() {
  turn = turn.then(route).catch(trouble);
  return turn;
}

/** What nobody foresaw is said, and what was kept stays kept. */
function trouble(error) {
  const words = knows("trouble.unforeseen") ? t("trouble.unforeseen") : "出错了，已保存的都还在。";
  say(`${words} ${error.message || error}`, { bad: true, seconds: 15 });
}

/** Asks the server who is here and what is known; resolves when there is somebody, or somebody to choose. */
async function keepFresh() {
  const known = place.refresh();
  await session.renew();
  heads.check();
  if (!session.person()) await known;
}

/** Takes what the phone keeps. Another page of ours may hold the store and never let go; then the person is told. */
async function recall(spoken) {
  let waits = true;
  const tell = () => waits && say(t("trouble.held"), { bad: true, seconds: 600 });
  const held = setTimeout(() => spoken.then(tell), HELD_MS);
  try {
    await Promise.all([session.recall(), place.recall(), settings.recall(), spoken.then(heads.recall)]);
    await store.tidy(Date.now());
  } finally {
    waits = false;
    clearTimeout(held);
    hush();
  }
}

async function begin() {
  window.addEventListener("unhandledrejection", (event) => trouble(event.reason));
  const spoken = speak(settings.language());
  settings.apply();
  const lacking = missing() || (await store.open().then(() => null, () => "storage"));
  if (lacking) return spoken.then(() => guide(lacking));
  await recall(spoken);
  const named = keepFresh();
  await spoken;
  // The first time there is nobody to show before the server has said whom.
  if (!session.person()) await named;
  if (await store.get("draft") && !window.location.hash) window.location.hash = "report";
  window.addEventListener("hashchange", navigate);
  await navigate();
  setInterval(() => document.visibilityState === "visible" && keepFresh(), REFRESH_MS);
  window.addEventListener("online", keepFresh);
  window.addEventListener("pagehide", patrol.untrack);
  send.start();
  worker.start();
  // Before the network goes: a worker that is not installed yet keeps none of them. What does not come now is asked for
  // again when somebody goes there.
  const later = Object.values(SCREENS).map((load) => Promise.resolve(load()).catch(() => undefined));
  return Promise.all(later);
}

begin().catch((error) => show(h("main", { class: "screen" }, h("h1", {}, "巡湖"), h("p", {}, String(error)))));

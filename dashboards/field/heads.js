// The phone as a witness: it keeps the newest head of the log it has seen, and says so loudly when the server's log no
// longer goes on from there. What is kept and compared stands in log-heads.js; here is when, and how it is said.

import { Refused, Unreachable, ask, isReached } from "./api.js";
import { button, h, icon } from "./dom.js";
import { minute, shortDay, t } from "./words.js";
import * as session from "./session.js";
import * as store from "./store.js";

/** Between two comparisons; after something was sent they come sooner. */
const EVERY_MS = 240000;
/** So long a receipt may be under no head, and a phone that reaches the server be without an answer, unsaid. */
const LONG_MS = 86400000;

// The first screen does not wait for it.
const comparing = () => import("./log-heads.js");

let log = null;
let running = null;

/** Takes what the phone has kept. */
export async function recall() {
  log = (await store.get("log")) || null;
  paint();
}

/** Compares with the server, and says what is wrong; without an answer nothing changes. `now`: something was just sent. */
export function check({ now = false } = {}) {
  const passed_ms = log ? Math.abs(Date.now() - log.checked_ms) : EVERY_MS;
  const due = now || passed_ms >= EVERY_MS;
  // Where nobody is asked who they are (demo) a head is kept by nobody; one that was kept is compared there, too.
  const known = session.state() === "open" ? log : session.isEnrolled() || session.state() === "in";
  if (!running && due && known) running = look().catch(forgive).finally(() => { running = null; });
  return running || Promise.resolve();
}

/** No network, nothing signed yet, nobody signed in: it is asked again. */
function forgive(error) {
  if (!(error instanceof Unreachable) && !(error instanceof Refused)) throw error;
}

async function look() {
  const { RECEIPTS_MAX, compare, forked, question } = await comparing();
  const receipts = (await store.listReceipts()).slice(0, RECEIPTS_MAX);
  const body = JSON.stringify(question(log, receipts));
  const headers = { "Content-Type": "application/json" };
  const { json: answer } = await ask("POST", "/api/v1/log/heads", { body, headers });
  if (!answer || !answer.checkpoint) throw new Unreachable("no head of the log");
  try {
    const { kept, found, lost } = await compare(log, receipts, answer, Date.now());
    if (lost !== null) kept.restored = { ...kept.restored, again: await store.reopen(lost) };
    // A crash before this line: it is compared again, and the same things go again.
    await store.keepLog(kept, found);
    log = kept;
    // What is to be sent again goes at once.
    if (lost !== null) window.dispatchEvent(new Event("reopened"));
    if (found.length === RECEIPTS_MAX) setTimeout(() => check({ now: true }), 0);
  } catch (error) {
    log = forked(log, answer, error, Date.now());
    await store.keepLog(log, []);
  }
  paint();
}

const when = (ms) => `${shortDay(ms)} ${minute(ms)}`;

/** Puts what was found over every screen, or takes it away. */
export function paint() {
  const place = document.getElementById("alarm");
  place.replaceChildren(...[alarm(), restored()].filter(Boolean));
}

function alarm() {
  if (!log || !log.fork) return null;
  const { key, args, shown, at_ms } = log.fork;
  return h("section", { class: "fork", role: "alert" }, icon("circle-alert"),
    h("div", {}, h("b", {}, t("fork.title")), h("p", {}, t(`fork.${key}`, args)), h("p", {}, t("fork.do")),
      h("details", {}, h("summary", {}, t("fork.heads", { when: when(at_ms) })), h("pre", {}, [log.head, shown].join("\n")))));
}

function restored() {
  const lost = log && log.restored;
  if (!lost) return null;
  const { records, without } = lost.again || { records: 0, without: 0 };
  const hide = async () => {
    log = { ...log, restored: null };
    await store.keepLog(log, []);
    paint();
  };
  return h("section", { class: "restored", role: "status" }, icon("circle-alert"),
    h("div", {}, h("b", {}, t("restored.title")),
      h("p", {}, t("restored.words", { when: when(lost.at_ms), kept: lost.kept, held: lost.held })),
      h("p", {}, t("restored.again", { n: records })), without > 0 ? h("p", {}, t("restored.without", { n: without })) : null,
      button({ id: "restored-seen", onclick: hide }, t("restored.seen"))));
}

/** A warning in words when receipts are under no head for long, or none has come for long although there is a network. */
export async function warning(now) {
  const [oldest] = await store.listReceipts();
  const since = oldest && Date.parse(oldest.received_at);
  if (since && now - since > LONG_MS) return t("warn.unsigned", { when: when(since) });
  return log && isReached() && now - log.checked_ms > LONG_MS ? t("warn.no_head", { when: when(log.checked_ms) }) : null;
}

/** What the settings say of it; `again` opens them anew. */
export function settings(again) {
  if (!log || !log.head) return [h("p", { class: "calm" }, t("heads.none"))];
  const forget = async () => {
    if (!window.confirm(t("heads.forget_sure"))) return;
    log = (await comparing()).begun(log);
    await store.keepLog(log, []);
    paint();
    await again();
  };
  return [h("p", { class: "calm" }, t("heads.words", { size: log.size, when: when(log.checked_ms) })),
    h("details", {}, h("summary", {}, t("heads.show")), h("pre", {}, [log.head, ...log.old].join("\n"))),
    log.fork ? button({ id: "forget-log", class: "choice", onclick: forget }, t("heads.forget")) : null];
}

// A desk as a witness: this browser keeps the newest head of the log it has seen, and says so on every page when the
// server's log no longer goes on from there. What is kept and compared stands in log-heads.js.

import { ask, catalogue, session } from "./api.js";
import { begun, compare, forked, question } from "./log-heads.js";

const KEY = "jijia.log";
const EVERY_MS = 300000;

const kept = () => JSON.parse(localStorage.getItem(KEY) || "null");
const keep = (log) => localStorage.setItem(KEY, JSON.stringify(log));

async function look() {
  const { state } = await session();
  const before = kept();
  // Where nobody is asked who they are (demo) nobody keeps a head; one that was kept is compared there, too.
  if (state !== "in" && !(state === "open" && before)) return;
  if (before && Math.abs(Date.now() - before.checked_ms) < EVERY_MS) return;
  const answer = await ask("POST", "/api/v1/log/heads", question(before, []));
  const after = await compare(before, [], answer, Date.now())
    .then((compared) => compared.kept, (error) => forked(before, answer, error, Date.now()));
  // What another tab has found meanwhile stays.
  const { fork } = kept() || after;
  keep({ ...after, fork: after.fork || fork });
  show();
}

function line(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

/** 2026-07-14 09:02, 北京时间. */
const beijing = (ms) => new Date(ms + 8 * 3600000).toISOString().slice(0, 16).replace("T", " ");

/** A button with what it writes down. */
function choice(words, log, sure) {
  const button = line("button", words);
  button.type = "button";
  button.addEventListener("click", () => {
    if (sure && !window.confirm(sure)) return;
    keep(log());
    show();
  });
  return button;
}

/** Puts what was found above the page, or takes it away. */
function show() {
  const place = document.getElementById("alarm");
  const log = kept();
  const t = catalogue("alarm-words");
  place.replaceChildren();
  if (log && log.fork) {
    const { key, args, shown, at_ms } = log.fork;
    const details = document.createElement("details");
    const forget = choice(t("forget"), () => begun(kept()), t("forget_sure"));
    details.append(line("summary", t("heads", { when: beijing(at_ms) })),
      line("pre", [log.head, shown].join("\n")), forget);
    place.append(line("h2", t("title")), line("p", t(key, args)), line("p", t("do")), details);
  } else if (log && log.restored) {
    const { held, kept: restored } = log.restored;
    place.append(line("h2", t("restored")), line("p", t("restored_words", { held, kept: restored })),
      choice(t("seen"), () => ({ ...kept(), restored: null })));
  }
  place.className = log && log.fork ? "alarm fork" : "alarm";
  place.hidden = place.childElementCount === 0;
}

show();
const again = () => {
  // No network, nothing signed yet: it is asked again.
  if (!document.hidden) look().catch(() => undefined);
};
again();
setInterval(again, EVERY_MS);

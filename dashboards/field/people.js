// 登录选人: whose hands the phone is in. What waits in the queue stays as it is, whoever comes.

import { Refused, Unreachable } from "./api.js";
import { button, go, h, icon, say, show } from "./dom.js";
import { strip } from "./strip.js";
import { minute, shortDay, t } from "./words.js";
import * as patrol from "./patrol.js";
import * as place from "./place.js";
import * as send from "./send.js";
import * as session from "./session.js";
import * as settings from "./settings.js";
import * as store from "./store.js";

const PIN_MIN = 4;
const PIN_MAX = 8;

/** Opens the screen; with the code of the office's wall it makes the phone known first. */
export async function open({ code } = {}) {
  const said = code && (await enrol(code)) ? t("enrol.done") : null;
  if (!session.isEnrolled()) return paintEnrol();
  return paintPeople(said);
}

function heading() {
  return session.person() ? strip(t("people.title")) : h("header", { class: "strip" }, h("h1", {}, t("people.title")));
}

/** `said`: a line before the names; one that lies over them would hide whom one looks for. */
async function paintPeople(said) {
  const waiting = await store.countOpen();
  const list = session.people();
  const buttons = list.map((p) => button({ class: "person", onclick: () => pick(p) },
    h("b", { "aria-hidden": "true" }, Array.from(p.name).pop()), p.name));
  show(heading(), h("main", { class: "screen below" },
    said ? h("p", { class: "safe", role: "status" }, icon("circle-check"), said) : null,
    list.length === 0 ? h("p", { class: "empty" }, t("people.none")) : h("div", { class: "people" }, buttons),
    session.state() === "open" && list.length === 0 ? anybody() : null,
    waiting > 0 ? h("p", { class: "calm" }, t("people.waiting", { n: waiting })) : null,
    h("div", { class: "thumb" }, button({ class: "tile", onclick: elder }, icon("settings"),
      t(settings.isElder() ? "settings.normal" : "settings.elder")))));
}

/** Where nobody is asked and nobody is named, the phone stands for the person. */
function anybody() {
  const person = { id: "phone", name: t("people.anybody") };
  return button({ class: "tile", onclick: () => pick(person) }, person.name);
}

/** 长辈版 stands where everybody comes by. */
function elder() {
  settings.turnElder();
  return paintPeople();
}

/** A person is chosen: where nobody is asked that is all. */
async function pick(person) {
  if (session.state() !== "open") return paintPin(person);
  await session.choose(person);
  return enter();
}

function enter() {
  patrol.untrack();
  send.send({ now: true });
  // What there is at this lake is told to those who are in: the phone may have been without it until now.
  place.refresh();
  if (window.location.hash === "" || window.location.hash === "#home") window.dispatchEvent(new Event("hashchange"));
  else go("home");
}

/** Digits, typed large. `done` gets them; `words` stand above, `go` on the key that ends them. */
function paintPad({ title, words, go: on = t("pin.ok"), done, leave }) {
  let pin = "";
  const dots = h("p", { class: "dots num", role: "status", "aria-label": t("pin.entered", { n: 0 }) });
  const draw = () => {
    dots.textContent = "●".repeat(pin.length);
    dots.setAttribute("aria-label", t("pin.entered", { n: pin.length }));
  };
  const press = (digit) => {
    pin = (pin + digit).slice(0, PIN_MAX);
    draw();
  };
  const remove = () => {
    pin = pin.slice(0, -1);
    draw();
  };
  const enterPin = async (pressed) => {
    if (pin.length < PIN_MIN) return say(t("pin.short", { n: PIN_MIN }));
    pressed.disabled = true;
    const said = pin;
    pin = "";
    draw();
    await done(said);
    pressed.disabled = false;
    return undefined;
  };
  const key = (d) => button({ class: "key num", onclick: () => press(d) }, d);
  const ok = button({ class: "key ok", onclick: (e) => enterPin(e.currentTarget) }, on);
  const back = button({ class: "back", "aria-label": t("back"), onclick: leave }, icon("chevron-left"));
  show(h("header", { class: "strip" }, back, h("h1", {}, title)),
    h("main", { class: "screen below pin" }, words ? h("p", { class: "calm" }, words) : null, dots,
      h("div", { class: "keys" }, [..."123456789"].map(key),
        button({ class: "key", "aria-label": t("pin.remove"), onclick: remove }, icon("delete")), key("0"), ok)));
}

const paintPin = (person) => paintPad({
  title: t("pin.title", { name: person.name }),
  done: (pin) => tryPin(person, pin),
  leave: () => paintPeople(),
});

/** The PIN that the office gave opens this alone: then nobody in the office knows the one that counts. */
const paintChoose = (person, given) => paintPad({
  title: t("pin.choose"),
  words: t("pin.choose_words"),
  go: t("pin.next"),
  done: (own) => paintRepeat(person, given, own),
  leave: () => paintPeople(),
});

const paintRepeat = (person, given, own) => paintPad({
  title: t("pin.repeat"),
  done: (again) => {
    if (again === own) return tryPin(person, given, own);
    say(t("pin.differs"), { bad: true });
    return paintChoose(person, given);
  },
  leave: () => paintChoose(person, given),
});

async function tryPin(person, pin, own) {
  try {
    const { result, wait_s, notices } = await session.signIn(person, pin, own);
    if (result === "in") return notices.length > 0 ? paintNotices(notices) : enter();
    if (result === "choose") {
      if (own) say(t("pin.weak"), { bad: true, seconds: 8 });
      return paintChoose(person, pin);
    }
    if (result === "wait") return say(t("pin.wait", { n: wait_s }), { bad: true });
    return say(t(result === "wrong" ? "pin.wrong" : "pin.unknown"), { bad: true, seconds: 8 });
  } catch (error) {
    if (error instanceof Refused) return say(error.detail, { bad: true });
    throw error;
  }
}

/** What others did to the account: by each of it they could have come in as this person. */
function paintNotices(notices) {
  const known = async () => {
    await session.know(notices[0].entry);
    return enter();
  };
  const line = ({ what, by, at }) => {
    const ms = Date.parse(at);
    const when = `${shortDay(ms)} ${minute(ms)}`;
    return h("li", {}, h("b", {}, t(`notice.${what}`)),
      h("p", {}, t("notice.by", { by: by === "shell" ? t("notice.shell") : by, when })));
  };
  show(h("header", { class: "strip" }, h("h1", {}, t("notice.title"))),
    h("main", { class: "screen below" }, h("p", { class: "calm" }, t("notice.words")),
      h("ul", { class: "notices" }, notices.map(line)),
      h("div", { class: "thumb" }, button({ class: "main", id: "known", onclick: known }, t("notice.known")))));
}

function paintEnrol() {
  const field = h("input", { id: "code", autocomplete: "off", autocapitalize: "characters", required: true });
  const submit = async (event) => {
    event.preventDefault();
    await open({ code: field.value.trim() });
  };
  show(h("header", { class: "strip" }, h("h1", {}, t("enrol.title"))),
    h("main", { class: "screen below" }, h("form", { class: "enrol", onsubmit: submit }, h("p", {}, t("enrol.words")),
      h("label", { for: "code" }, t("enrol.code")), field,
      h("button", { type: "submit", class: "main" }, t("enrol.go")))));
}

/** Gives true where the phone is the office's now; what stands against it is said. */
async function enrol(code) {
  // The code is of no use to whom looks over the shoulder or into the history.
  window.history.replaceState(null, "", window.location.pathname);
  try {
    await session.enrol(code);
    return true;
  } catch (error) {
    if (error instanceof Unreachable) say(t("enrol.offline"), { bad: true, seconds: 10 });
    else if (error instanceof Refused) say(error.detail, { bad: true, seconds: 10 });
    else throw error;
    return false;
  }
}

// How the app looks and speaks, and what becomes of originals. Looks are kept where they can be read before anything is
// drawn.

import { button, h, show } from "./dom.js";
import { place } from "./place.js";
import { strip } from "./strip.js";
import { speak, t } from "./words.js";
import * as heads from "./heads.js";
import * as store from "./store.js";

const ZOOMS = ["100", "130", "165"];
let keepOriginal = false;

const look = (name, other) => localStorage.getItem(`jijia.${name}`) || other;

/** `zh` or `en`: chosen, else Chinese. */
export const language = () => look("lang", "zh");

/** Is the camera's own file sent, and not the small copy? */
export const original = () => keepOriginal;

/** Takes what the phone has kept. */
export async function recall() {
  keepOriginal = (await store.get("original")) === true;
}

/** Puts the looks on the page. */
export function apply() {
  const root = document.documentElement;
  root.dataset.size = look("size", "normal");
  root.dataset.theme = look("theme", "light");
  root.dataset.zoom = look("zoom", "100");
}

function keep(name, value) {
  localStorage.setItem(`jijia.${name}`, value);
  apply();
}

/** Is this the 长辈版? */
export const isElder = () => look("size", "normal") === "elder";

/** To the 长辈版, or back. */
export const turnElder = () => keep("size", isElder() ? "normal" : "elder");

async function choose(name, value) {
  keep(name, value);
  if (name === "lang") await speak(value);
  await open();
}

function group(name, now, values) {
  const buttons = values.map(([value, words]) => button({
    id: `${name}-${value}`, class: "choice", "aria-pressed": String(value === now), onclick: () => choose(name, value),
  }, words));
  return h("fieldset", {}, h("legend", {}, t(`settings.${name}`)), h("div", { class: "choices" }, buttons));
}

/** Opens the screen. */
export async function open() {
  const focused = document.activeElement && document.activeElement.id;
  const flip = async (event) => {
    keepOriginal = event.currentTarget.checked;
    await store.set("original", keepOriginal);
  };
  show(strip(t("settings.title")), h("main", { class: "screen below settings" },
    group("size", look("size", "normal"), [["normal", t("settings.normal")], ["elder", t("settings.elder")]]),
    group("zoom", look("zoom", "100"), ZOOMS.map((z) => [z, `${z}%`])),
    group("theme", look("theme", "light"), [["light", t("settings.light")], ["sun", t("settings.sun")]]),
    group("lang", language(), [["zh", "中文"], ["en", "English"]]),
    h("label", { class: "check" }, h("input", { type: "checkbox", checked: keepOriginal, onchange: flip }),
      h("span", {}, t("settings.original"))),
    h("p", { class: "calm" }, t("settings.original_words")),
    h("h2", {}, t("settings.install")), h("p", { class: "calm" }, t("settings.install_words")),
    h("h2", {}, t("heads.title")), heads.settings(open),
    h("h2", {}, t("settings.privacy")), h("p", { class: "calm" }, t("settings.privacy_words")),
    place().notice ? h("p", { class: "calm" }, t("settings.notice", { place: place().place })) : null));
  const again = focused && document.getElementById(focused);
  if (again) again.focus({ preventScroll: true });
}

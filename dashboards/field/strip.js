// The strip at the top: who, and whether there is a network; on the other screens the way back.

import { isReached } from "./api.js";
import { button, go, h, icon } from "./dom.js";
import * as session from "./session.js";
import { t } from "./words.js";

/** Is there a network, as far as one can tell? */
export const isOnline = () => navigator.onLine && isReached() !== false;

/** 有网络 or 没有网络. */
export function network() {
  const words = isOnline() ? t("net.on") : t("net.off");
  return h("span", { class: "net" }, icon(isOnline() ? "signal" : "wifi-off"), words);
}

/** Home's strip. */
export function homeStrip() {
  const who = session.person();
  const person = button({ class: "who", onclick: () => go("people") },
    h("b", { "aria-hidden": "true" }, Array.from(who.name).pop()), h("span", {}, who.name),
    h("span", { class: "hide" }, t("home.who")));
  const gear = button({ class: "gear", onclick: () => go("settings"), "aria-label": t("settings.title") },
    icon("settings"));
  return h("header", { class: "strip" }, person, network(), gear);
}

/** Another screen's strip with its heading. */
export function strip(title) {
  const back = button({ class: "back", onclick: () => go("home"), "aria-label": t("back") },
    icon("chevron-left"));
  return h("header", { class: "strip" }, back, h("h1", {}, title));
}

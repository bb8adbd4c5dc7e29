// What the app cannot do without, and how the person gets it: said in words, with a picture of where to tap.

import { button, h, icon, picture, show } from "./dom.js";
import { t } from "./words.js";

/** `wechat`, `secure`, or null where all is there. */
export function missing() {
  if (/MicroMessenger/i.test(navigator.userAgent)) return "wechat";
  if (!window.isSecureContext || !crypto.subtle) return "secure";
  return window.indexedDB ? null : "storage";
}

/** Shows the way; the app goes no further. */
export function guide(lacking) {
  const copy = button({ class: "main ghost", onclick: copyAddress }, t("guide.copy"));
  const lines = t(`guide.${lacking}`).split("\n").map((line) => h("li", {}, line));
  show(h("main", { class: "screen guide" },
    h("h1", {}, icon("circle-alert"), t(`guide.${lacking}_title`)),
    lacking === "wechat" ? picture("wechat_menu") : null,
    h("ol", {}, lines),
    h("p", { class: "address num" }, window.location.origin + window.location.pathname),
    h("div", { class: "thumb" }, navigator.clipboard ? copy : null)));
}

async function copyAddress(event) {
  const pressed = event.currentTarget;
  await navigator.clipboard.writeText(window.location.href);
  pressed.textContent = t("guide.copied");
}

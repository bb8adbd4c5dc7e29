// What others did to an account, in words.
import { catalogue } from "./api.js";

/** 2026-07-14 09:02, 北京时间. */
const beijing = (ms) => new Date(ms + 8 * 3600000).toISOString().slice(0, 16).replace("T", " ");

/** An element with text or elements in it. */
export function line(tag, ...inside) {
  const element = document.createElement(tag);
  element.append(...inside);
  return element;
}

/** A list item for each notice. */
export function lines(notices) {
  const t = catalogue("told-words");
  return notices.map(({ what, by, at }) => line("li", line("b", t(what)), " ",
    t("by", { by: by === "shell" ? t("shell") : by, when: beijing(Date.parse(at)) })));
}

// 我的任务: what somebody is asked to do. The server gives none yet.

import { h, show } from "./dom.js";
import { strip } from "./strip.js";
import { t } from "./words.js";

export async function open() {
  show(strip(t("tasks.title")), h("main", { class: "screen below" }, h("p", { class: "empty" }, t("tasks.none"))));
}

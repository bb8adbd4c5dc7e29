// 我的任务: outfalls from which sewage came on the last days and at which nobody has looked since. Whether it still flows is
// what the next meeting asks.

import { h, icon, preview, show } from "./dom.js";
import { strip } from "./strip.js";
import { ago, daysBetween, metres, midnight, t } from "./words.js";
import * as place from "./place.js";
import * as position from "./position.js";
import * as store from "./store.js";

/** What is left of them at `now`, after the `items` of this phone, in the order of the place. */
export function left(now, items) {
  const today = items.filter((item) => daysBetween(item.made.ms, now) === 0).map((item) => item.where);
  return place.revisits(now).filter(({ spot }) => !today.includes(spot.name));
}

/** Opens the screen. */
export async function open() {
  const now = Date.now();
  const items = [...await store.listOpen(), ...await store.listDoneSince(midnight(now))];
  const tasks = left(now, items);
  const words = h("p", { class: "empty" }, t(tasks.length > 0 ? "tasks.why" : "tasks.none"));
  show(strip(t("tasks.title")), h("main", { class: "screen below" }, words, h("ul", { class: "items" }, tasks.map((task) => row(task, now)))));
}

function row({ spot, earlier }, now) {
  const at = position.newest();
  const far = at ? `${t("comma_wide")}${metres(place.distance(at, spot)).join(" ")}` : "";
  const seen = t("same.seen", { when: ago(Date.parse(earlier.observed_at), now) });
  return h("li", {}, h("div", { class: "tn" }, earlier.photo ? preview(earlier.photo, t("same.photo")) : icon("map-pin")),
    h("div", {}, h("b", {}, `${spot.name} ${t("kind.sewage_outflow")}`), h("p", {}, `${seen}${far}`)));
}

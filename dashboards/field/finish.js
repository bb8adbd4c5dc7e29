// 结束巡湖: which stretches were walked, as far as the track knows, and the person says the rest.

import { button, go, h, icon, say, show } from "./dom.js";
import { strip } from "./strip.js";
import { minute, t } from "./words.js";
import * as patrol from "./patrol.js";
import * as place from "./place.js";
import * as send from "./send.js";
import * as session from "./session.js";
import { dayOf } from "./home.js";

/** Opens the screen. */
export async function open() {
  const walk = await patrol.current(session.person());
  if (!walk) return go("home");
  const ended_ms = patrol.isAbandoned(walk) ? patrol.lastSign(walk) : Date.now();
  paint(walk, new Set(walk.sectors), ended_ms);
  return undefined;
}

function paint(walk, chosen, ended_ms) {
  const left = patrol.remaining(walk).length;
  const boxes = place.place().sectors.map(({ code, name }) => sector(walk, chosen, code, name));
  const save = async (event) => {
    if (chosen.size === 0) return say(t("finish.none"), { bad: true });
    event.currentTarget.disabled = true;
    await patrol.end(walk, [...chosen].sort(), ended_ms);
    send.send({ now: true });
    go("home");
    return say(t("finish.saved"));
  };
  show(strip(t("finish.title")), h("main", { class: "screen below" },
    h("p", { class: "pad num" }, `${dayOf(walk.started_ms, Date.now())} – ${minute(ended_ms)}`),
    h("h2", { class: "pad" }, t("finish.sectors")), h("div", { class: "choices" }, boxes),
    h("p", { class: "calm" }, left > 0 ? t("finish.waypoints", { n: left }) : t("next.none")),
    h("div", { class: "thumb stuck" }, button({ class: "main", onclick: save }, icon("check"), t("finish.save")),
      button({ class: "row", onclick: () => go("home") }, t("finish.go_on")))));
}

function sector(walk, chosen, code, name) {
  const press = (event) => {
    if (chosen.has(code)) chosen.delete(code);
    else chosen.add(code);
    event.currentTarget.setAttribute("aria-pressed", String(chosen.has(code)));
  };
  return button({ class: "choice", "aria-pressed": String(chosen.has(code)), onclick: press },
    name, walk.sectors.includes(code) ? h("small", {}, t("finish.by_track")) : null);
}

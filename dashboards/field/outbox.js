// 待上传: every item with the state of its parts in words, icon and colour. Hundreds are drawn in slices.

import { Pictures, button, h, icon, inTurn, picture, repaint, say, show } from "./dom.js";
import { dayOf } from "./home.js";
import { strip } from "./strip.js";
import { second, t } from "./words.js";
import * as patrol from "./patrol.js";
import * as send from "./send.js";
import * as session from "./session.js";
import * as store from "./store.js";

const SLICE = 12;

/** Opens the screen; gives the way to leave it. */
export async function open() {
  const pictures = new Pictures();
  let slices = 1;
  let left = false;
  const draw = inTurn(async () => {
    const seen = await look(slices * SLICE, pictures);
    if (!left) repaint(strip(t("outbox.title")), screen(seen, pictures, onMore));
  });
  const onMore = () => {
    slices += 1;
    draw();
  };
  show(strip(t("outbox.title")));
  const stops = [store.watch(draw), send.watch(draw)];
  await draw();
  return () => {
    left = true;
    stops.forEach((stop) => stop());
    pictures.drop();
  };
}

async function look(most, pictures) {
  const [ids, open, walks] = await Promise.all([store.listIds(), store.countOpen(), patrol.listOpen()]);
  const items = await Promise.all(ids.slice(0, most).map((id) => row(id, pictures)));
  const others = walks.filter((w) => patrol.isAbandoned(w) || w.person.id !== session.person().id);
  return { items, open, others, more: ids.length - items.length };
}

async function row(id, pictures) {
  const item = await store.getItem(id);
  const photos = await Promise.all(item.photos.map(store.getPhoto));
  const thumb = item.photos.length > 0 && !pictures.has(id) ? await store.getThumb(item.photos[0]) : null;
  return { item, photos, thumb };
}

function screen({ items, open, others, more }, pictures, onMore) {
  const now = send.isSending() ? t("outbox.sending") : t("outbox.send");
  const list = items.map((item) => line(item, pictures));
  return h("main", { class: "screen below outbox" },
    h("h2", { class: "pad" }, t("outbox.waiting"), " ", h("b", { class: "num" }, open)),
    others.map(unended), items.length === 0 ? h("p", { class: "empty" }, t("outbox.empty")) : h("ul", { class: "items" }, list),
    more > 0 ? button({ id: "more", class: "row", onclick: onMore }, t("outbox.more", { n: more })) : null,
    h("div", { class: "thumb stuck" },
      button({ id: "now", class: "main ghost", onclick: () => send.send({ now: true }) }, icon("cloud-upload"), now),
      open > 0 ? button({ id: "export", class: "exp", onclick: rescue }, icon("file-archive"), t("outbox.export")) : null));
}

function line({ item, photos, thumb }, pictures) {
  const { id, what, where, made, person, record } = item;
  const needs = record.state === "needs" || photos.some((p) => p && p.state === "needs");
  return h("li", { class: needs ? "need" : null, "data-id": id },
    h("div", { class: "tn" }, thumb || pictures.has(id) ? pictures.image(id, thumb) : picture(what)),
    h("div", {}, h("b", {}, `${where} ${t(`kind.${what}`)}`),
      h("p", { class: "t" }, h("span", { class: "num" }, dayOf(made.ms, Date.now())), ` ${person.name}`),
      states(item, photos), needs ? verbs(item, photos) : null));
}

/** One line where all parts stand alike, else one for each; a voice note has one of its own. */
function states(item, all) {
  if (!item.open) return state("sent", second(item.done_at));
  const isVoice = (p) => Boolean(p) && store.isVoice(p);
  const parts = [part(item.record), ...all.filter((p) => !isVoice(p)).map((p) => part(p, true))];
  const voices = all.filter(isVoice).map((p) => part(p, true)).map((p) => state(p.key, p.more, t("part.voice"), p.part));
  const alike = parts.every((p) => p.key === parts[0].key && p.key !== "sending");
  const name = (i) => (i === 0 ? t("part.record") : t("part.photo", { i }));
  const lines = alike ? [state(parts[0].key, parts[0].more)] : parts.map((p, i) => state(p.key, p.more, name(i), p.part));
  return [...lines, ...voices];
}

/** How a part stands: saved, sending, sent, needs, login, gone. */
function part(kept, isPhoto) {
  if (!kept) return { key: "saved" };
  const going = isPhoto ? send.fraction(kept.sha256) : undefined;
  if (going !== undefined) return { key: "sending", part: going };
  if (kept.state === "sent") return { key: "sent", more: second(kept.at) };
  return { key: kept.state, more: kept.detail };
}

const ICONS = {
  saved: "smartphone", sending: "cloud-upload", sent: "circle-check", needs: "circle-alert", login: "log-in",
  gone: "circle-check",
};

function state(key, more, name, done) {
  const bar = done === undefined ? null
    : h("progress", { max: "100", value: String(Math.round(done * 100)), "aria-label": `${name} ${t("state.sending")}` });
  return h("p", { class: `st ${key}` }, icon(ICONS[key]), name ? `${name} ` : null, t(`state.${key}`), " ",
    more ? h("span", { class: "num" }, more) : null, bar);
}

/** What one can do about a refusal: try again, or see the office; nothing is thrown away. */
function verbs(item, photos) {
  const again = async () => {
    if (item.record.state === "needs") await store.settleRecord(item.id, { state: "saved" });
    for (const p of photos) if (p && p.state === "needs") await store.settlePhoto(p.sha256, { state: "saved", detail: null });
    send.send({ now: true });
  };
  return h("p", { class: "t" }, t("outbox.needs"), " ",
    button({ id: `again-${item.id}`, class: "again", onclick: again }, t("outbox.again")));
}

/** A patrol that somebody began on this phone and did not end. */
function unended(walk) {
  const end = async () => {
    if (walk.sectors.length === 0) return say(t("outbox.no_sector", { name: walk.person.name }));
    await patrol.end(walk, walk.sectors, patrol.lastSign(walk));
    return send.send({ now: true });
  };
  const whose = { name: walk.person.name, when: dayOf(walk.started_ms, Date.now()) };
  return h("section", { class: "card" }, h("p", {}, t("outbox.unended", whose)),
    button({ class: "tile", onclick: end }, t("patrol.end_then")));
}

async function rescue() {
  const { exportOpen } = await import("./rescue.js");
  const count = await exportOpen();
  say(t("outbox.exported", { n: count }), { seconds: 10 });
}

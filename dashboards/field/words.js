// Words: one catalogue per language, the same keys in both. Times are 北京时间, whatever the phone is set to.

const FILES = { zh: "zh-CN", en: "en" };
const BEIJING_MS = 8 * 3600000;
const DAY_MS = 86400000;

let catalogue = {};
let language = "zh";

const read = async (file) => (await fetch(`/m/${file}.json`)).json();

/** What was chosen, else Chinese; also where the browser keeps nothing, which is said later. */
function chosen() {
  try {
    return FILES[localStorage.getItem("jijia.lang")] || FILES.zh;
  } catch (error) {
    return FILES.zh;
  }
}

// The page reads this file before the others: the words are on their way while those still come.
let early = { file: chosen(), words: read(chosen()) };
early.words.catch(() => { early = null; });

/** Loads a language; it is on the phone already where the worker is. */
export async function speak(lang) {
  const file = FILES[lang] || FILES.zh;
  catalogue = await (early && early.file === file ? early.words : read(file));
  language = FILES[lang] ? lang : "zh";
  document.documentElement.lang = file;
  document.title = t("app.name");
}

/** `zh` or `en`. */
export const spoken = () => language;

/** Is there a text of this key? Codes of the server have one where we knew them. */
export const knows = (key) => key in catalogue;

/** The text of a key with its {names} filled in; `one|many` by the name `n`. */
export function t(key, names = {}) {
  let text = catalogue[key] || "";
  if (text.includes("|")) text = text.split("|")[names.n === 1 ? 0 : 1];
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in names ? String(names[name]) : whole));
}

function beijing(ms) {
  const d = new Date(ms + BEIJING_MS);
  const two = (n) => String(n).padStart(2, "0");
  return {
    y: d.getUTCFullYear(), m: d.getUTCMonth() + 1, d: d.getUTCDate(), weekday: d.getUTCDay(),
    hour: two(d.getUTCHours()), minute: two(d.getUTCMinutes()), second: two(d.getUTCSeconds()), two,
  };
}

/** 2026-07-14 */
export function isoDay(ms) {
  const b = beijing(ms);
  return `${b.y}-${b.two(b.m)}-${b.two(b.d)}`;
}

/** 08:21 */
export function minute(ms) {
  const b = beijing(ms);
  return `${b.hour}:${b.minute}`;
}

/** 08:21:38 */
export const second = (ms) => `${minute(ms)}:${beijing(ms).second}`;

const ZH_DAYS = "日一二三四五六";
const EN_DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const EN_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** 7月14日 or 14 Jul */
export function shortDay(ms) {
  const b = beijing(ms);
  return language === "en" ? `${b.d} ${EN_MONTHS[b.m - 1]}` : `${b.m}月${b.d}日`;
}

/** 7月14日 周二 or Tue 14 Jul */
export function longDay(ms) {
  const { weekday } = beijing(ms);
  return language === "en" ? `${EN_DAYS[weekday]} ${shortDay(ms)}` : `${shortDay(ms)} 周${ZH_DAYS[weekday]}`;
}

/** The first instant of a day. */
export const midnight = (ms) => Math.floor((ms + BEIJING_MS) / DAY_MS) * DAY_MS - BEIJING_MS;

/** Midnights between the two. */
export const daysBetween = (ms, later) => (midnight(later) - midnight(ms)) / DAY_MS;

/** How many days ago, in words. */
export function ago(ms, now) {
  const days = daysBetween(ms, now);
  if (days <= 0) return t("ago.today");
  return days === 1 ? t("ago.yesterday") : t("ago.days", { n: days });
}

/** 240 or 1.2 with its unit: [number, unit]. */
export function metres(m) {
  return m < 1000 ? [String(Math.round(m)), t("unit.m")] : [(m / 1000).toFixed(1), t("unit.km")];
}

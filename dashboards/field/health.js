// What the person should know of the phone itself: room, and how long something has waited.

import { t } from "./words.js";
import * as heads from "./heads.js";
import * as store from "./store.js";

const LOW_BYTES = 200e6;
const LONG_MS = 3 * 86400000;

/** Bytes free for us, or null where the browser does not say. */
async function freeBytes() {
  if (!navigator.storage || !navigator.storage.estimate) return null;
  const { quota, usage } = await navigator.storage.estimate();
  return quota - usage;
}

/** Warnings in words, most often none. */
export async function warnings(now) {
  const said = [];
  const [free, open, unsigned] = await Promise.all([freeBytes(), store.listOpen(), heads.warning(now)]);
  if (free !== null && free < LOW_BYTES) said.push(t("warn.room", { mb: Math.max(0, Math.floor(free / 1e6)) }));
  if (open.length > 0 && now - open[0].made.ms > LONG_MS) said.push(t("warn.waiting", { n: open.length }));
  const needs = open.filter((item) => item.record.state === "needs").length;
  if (needs > 0) said.push(t("warn.needs", { n: needs }));
  if (open.some((item) => item.record.state === "login")) said.push(t("warn.login"));
  if (unsigned) said.push(unsigned);
  return said;
}

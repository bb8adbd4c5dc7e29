// Where the phone is. It is asked only while a patrol goes on or the camera is open, and the screen says so.

import { distance } from "./place.js";
import { t } from "./words.js";

/** An older fix says where the person was, not where they are, seconds. */
const STALE_S = 180;
/** The limits of the words, metres. */
const GOOD_M = 10;
const FAIR_M = 50;
const OPTIONS = { enableHighAccuracy: true, maximumAge: 5000, timeout: 30000 };
/** Nobody by a lake is faster, metres a second. */
const FASTEST_M_S = 60;
/** A receiver's fixes differ in the last digits; so many alike were not measured. */
const ALIKE = 5;
const REASONS = { 1: "denied", 2: "unavailable", 3: "timeout" };

const listeners = new Set();
const wanted = new Set();
let fix = null;
let alike = 0;
let jumped = false;
let reason = "waiting";
let watching = null;

function took({ coords, timestamp }) {
  // `timestamp` may be the satellites' and `now` a wrong clock's: it is believed as far as an old fix was allowed.
  const old_ms = Math.min(Math.max(0, Date.now() - timestamp), OPTIONS.maximumAge);
  const next = {
    lng: coords.longitude, lat: coords.latitude, accuracy_m: coords.accuracy, taken_ms: performance.now() - old_ms,
  };
  alike = fix && fix.lng === next.lng && fix.lat === next.lat ? alike + 1 : 1;
  jumped = Boolean(fix) && isJump(fix, next);
  fix = next;
  listeners.forEach((listener) => listener(fix));
}

function failed(error) {
  reason = REASONS[error.code] || "unavailable";
  listeners.forEach((listener) => listener(null));
}

/** Wants fixes for `purpose` until it is dropped. Gives the way to stop. */
export function follow(purpose, listener) {
  wanted.add(purpose);
  listeners.add(listener);
  if (!navigator.geolocation) failed({ code: 2 });
  else if (watching === null) watching = navigator.geolocation.watchPosition(took, failed, OPTIONS);
  return () => {
    wanted.delete(purpose);
    listeners.delete(listener);
    if (wanted.size === 0 && watching !== null) {
      navigator.geolocation.clearWatch(watching);
      watching = null;
    }
  };
}

/** Is the phone being asked? */
export const isFollowing = () => watching !== null;

/** Farther than anybody gets in the time between, both circles taken off. */
function isJump(from, to) {
  const m = distance(from, to) - from.accuracy_m - to.accuracy_m;
  return m > FASTEST_M_S * Math.max(1, (to.taken_ms - from.taken_ms) / 1000);
}

/** What speaks against the fix: it goes with it, and is never a reason to refuse. */
function hints() {
  const signs = { zero_accuracy: fix.accuracy_m === 0, motionless: alike >= ALIKE, jump: jumped };
  return Object.keys(signs).filter((sign) => signs[sign]);
}

const age_s = () => (performance.now() - fix.taken_ms) / 1000;

/** The newest fix that still says something, or null. */
export const newest = () => (fix && age_s() <= STALE_S ? fix : null);

/** `good`, `fair`, `poor` or `none`. */
export function quality(accuracy_m) {
  if (accuracy_m === null || accuracy_m === undefined) return "none";
  if (accuracy_m <= GOOD_M) return "good";
  return accuracy_m <= FAIR_M ? "fair" : "poor";
}

/** The fix of this instant as the server takes it, or the reason for none in words. Frozen at the shutter. */
export function freeze() {
  const at = newest();
  if (!at) return { no_position: t(`no_fix.${fix ? "stale" : reason}`) };
  const position = {
    lng: at.lng, lat: at.lat, crs: "wgs84", accuracy_m: at.accuracy_m, source: "device",
    fix_age_s: Math.round(age_s() * 10) / 10, hints: hints(),
  };
  return { position };
}

/** 定位好 ±6 米, or what is the matter. */
export function words(frozen) {
  if (!frozen.position) return t("fix.none");
  const { accuracy_m } = frozen.position;
  return `${t(`fix.${quality(accuracy_m)}`)} ${t("fix.within", { m: Math.round(accuracy_m) })}`;
}

// A patrol under way. It lives in IndexedDB and not in the page: a pause, a reload, an empty battery do not end it.

import { iso, now, uuid } from "./clock.js";
import { distance, nearest, place, sectorOf } from "./place.js";
import * as position from "./position.js";
import * as store from "./store.js";

/** A track point after so many metres or so much time. */
const STEP_M = 25;
const STEP_MS = 60000;
/** So near a waypoint one is there, metres; the fix's circle is added up to 20. */
const FENCE_M = 30;
/** More points than this are thinned to half: the body has its limit. */
const TRACK_MAX = 3000;
/** After so long without a sign the patrol is asked about. */
const ABANDONED_MS = 2 * 3600000;
/** The server takes patrols of less than a day. */
const LONGEST_MS = 23.9 * 3600000;

const key = (person) => `patrol.${person.id}`;
let stop = null;
let awake = null;

/** The patrol of this person, or null. */
export const current = async (person) => (await store.get(key(person))) || null;

/** Patrols that were begun on this phone and not ended, of everybody. */
export const listOpen = async () => (await store.under("patrol.")).map(([, patrol]) => patrol);

/** Begins one. */
export async function begin(person) {
  const at = now();
  const begun = { id: uuid(), person, started_ms: at.ms, last_ms: at.ms };
  const patrol = { ...begun, track: [], waypoints: [], sectors: [], paused: false };
  await store.set(key(person), patrol);
  return patrol;
}

/** Changes it in one step. */
export function change(person, how) {
  return store.update(key(person), (patrol) => (patrol ? { ...patrol, ...how(patrol) } : undefined));
}

/** No sign of it for two hours, or older than the server takes. */
export function isAbandoned(patrol) {
  const at = Date.now();
  return at - patrol.last_ms > ABANDONED_MS || at - patrol.started_ms > LONGEST_MS;
}

/** Can it still go on? */
export const canGoOn = (patrol) => Date.now() - patrol.started_ms < LONGEST_MS;

/** Writes down the track while the page is open. */
export function track(person, listener) {
  untrack();
  stop = position.follow("patrol", async () => {
    const patrol = await change(person, (p) => step(p, position.freeze()));
    if (patrol) listener(patrol);
  });
  stayAwake();
}

/** A screen that goes dark ends the track; where the browser cannot hold it, the words on the screen must do. */
async function stayAwake() {
  if (!navigator.wakeLock || document.visibilityState !== "visible") return;
  awake = await navigator.wakeLock.request("screen").catch(() => null);
}

/** Stops following; the patrol goes on. */
export function untrack() {
  if (stop) stop();
  if (awake) awake.release();
  [stop, awake] = [null, null];
}

function step(patrol, { position: at }) {
  const at_ms = Date.now();
  const last = patrol.track[patrol.track.length - 1];
  if (!at || patrol.paused) return {};
  if (last && at_ms - Date.parse(last.at) < STEP_MS && distance(last.position, at) < STEP_M) return {};
  const points = patrol.track.length < TRACK_MAX ? patrol.track : patrol.track.filter((p, i) => i % 2 === 0);
  return { track: [...points, { at: iso(at_ms), position: at }], last_ms: at_ms, sectors: walked(patrol, at) };
}

function walked(patrol, at) {
  const sector = sectorOf(at);
  return sector && !patrol.sectors.includes(sector.code) ? [...patrol.sectors, sector.code] : patrol.sectors;
}

/** The waypoints still to be reached, nearest first where a fix is known: [{spot, m}]. */
export function remaining(patrol) {
  const left = place().waypoints.filter((w) => !patrol.waypoints.some((done) => done.code === w.code));
  const at = position.newest();
  return at ? nearest(left, at) : left.map((spot) => ({ spot, m: null }));
}

/** The waypoint that one stands at, or null. */
export function here(patrol, at) {
  if (!at) return null;
  const [next] = nearest(place().waypoints.filter((w) => !patrol.waypoints.some((done) => done.code === w.code)), at);
  return next && next.m <= FENCE_M + Math.min(at.accuracy_m || 0, 20) ? next.spot : null;
}

/** A waypoint is reached: by a photo within its fence, or by the plate that hangs there. */
export function reach(person, spot, at, photo) {
  // The plate is proof of the place, the fix of the phone is proof of itself: without one the plate's own place is said.
  const there = at || { lng: spot.lng, lat: spot.lat, crs: "wgs84", source: "map" };
  const by = photo ? { by: "photo", photo } : { by: "plate" };
  const point = { code: spot.code, at: iso(Date.now()), position: there, ...by };
  return change(person, (p) => {
    const rest = p.waypoints.filter((w) => w.code !== spot.code);
    return { waypoints: [...rest, point], last_ms: Date.now(), sectors: walked(p, there) };
  });
}

/** The report by which a waypoint was reached was taken back. */
export function forget(person, code, photo) {
  return change(person, (p) => ({ waypoints: p.waypoints.filter((w) => w.code !== code || w.photo !== photo) }));
}

/** The last instant there is a sign of. */
export function lastSign(patrol) {
  const points = [...patrol.track, ...patrol.waypoints].map((p) => Date.parse(p.at));
  return Math.min(Math.max(patrol.started_ms, patrol.last_ms, ...points), patrol.started_ms + LONGEST_MS);
}

/** Ends it: the body is frozen and goes into the queue. `ended_ms` is now, or the last sign of an abandoned one. */
export async function end(patrol, sectors, ended_ms) {
  const made = now();
  const body = {
    id: patrol.id, person: patrol.person, started_at: iso(patrol.started_ms), ended_at: iso(ended_ms),
    device_at: iso(made.ms), sectors, waypoints: patrol.waypoints, track: patrol.track,
  };
  const item = {
    id: patrol.id, kind: "patrol", person: patrol.person, made, sectors, photos: [], what: "patrol", where: "",
    body: new TextEncoder().encode(JSON.stringify(body)),
  };
  untrack();
  await store.addItem(item, [], key(patrol.person));
}

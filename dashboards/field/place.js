// The place as the server told it last (`/api/v1/field`), and where a position lies in it. Works offline.

import { Refused, Unreachable, ask } from "./api.js";
import { daysBetween } from "./words.js";
import * as store from "./store.js";

const EMPTY = {
  place: "", notice: "", demo: false, sectors: [], outfalls: [], waypoints: [], windows: [], sightings: [], people: [],
  weather: { state: "unknown", days_without_rain: null }, limits: { body_bytes: 1048576, photo_bytes: 26214400 },
};
/** Within this distance and the circle of the fix a thing is offered as the same, metres. */
const SAME_M = 60;
const DAY_MS = 86400000;
/** So long an outfall with sewage is to be seen again. */
const REVISIT_DAYS = 3;

let known = EMPTY;
let etag = null;
let fetched_ms = 0;

/** What is known; empty lists before the first answer. */
export const place = () => known;

/** Was there ever an answer? */
export const isKnown = () => fetched_ms > 0;

/** Takes what the phone has kept. */
export async function recall() {
  const kept = await store.get("field");
  if (kept) [known, etag, fetched_ms] = [{ ...EMPTY, ...kept.known }, kept.etag, kept.fetched_ms];
}

/** Asks the server; the screens hear of what is new. What is known stays where there is no answer. */
export async function refresh() {
  try {
    const answer = await ask("GET", "/api/v1/field", { headers: etag ? { "If-None-Match": etag } : {} });
    fetched_ms = Date.now();
    if (answer.status === 304 || !answer.json) return;
    [known, etag] = [{ ...EMPTY, ...answer.json }, answer.headers.get("ETag")];
    await store.set("field", { known, etag, fetched_ms });
    store.changed();
  } catch (error) {
    if (!(error instanceof Unreachable) && !(error instanceof Refused)) throw error;
  }
}

/** Metres between two points; flat within the few kilometres of a lake. */
export function distance(a, b) {
  const y = (b.lat - a.lat) * 111195;
  const x = (b.lng - a.lng) * 111195 * Math.cos((a.lat * Math.PI) / 180);
  return Math.hypot(x, y);
}

/** Degrees from north, clockwise. */
export function bearing(a, b) {
  const y = b.lat - a.lat;
  const x = (b.lng - a.lng) * Math.cos((a.lat * Math.PI) / 180);
  return (Math.atan2(x, y) * 180) / Math.PI;
}

/** Even-odd rule. */
function holds(ring, { lng, lat }) {
  let inside = false;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i, i += 1) {
    const [xi, yi] = ring[i];
    const [xj, yj] = ring[j];
    if (yi > lat !== yj > lat && lng < ((xj - xi) * (lat - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

/** The sector that holds the point, if any. */
export const sectorOf = (at) => known.sectors.find((s) => holds(s.ring, at)) || null;

/** The spots of a list with their distance, nearest first. */
export function nearest(spots, at) {
  return spots.map((spot) => ({ spot, m: distance(at, spot) })).sort((a, b) => a.m - b.m);
}

/** 岸段乙，3号排口旁: where a point lies, in words the server knows. */
export function whereabouts(at) {
  const sector = sectorOf(at);
  const [outfall] = nearest(known.outfalls, at);
  return { sector, outfall: outfall && outfall.m <= SAME_M ? outfall.spot : null };
}

/**
 * What may be the same thing: outfalls within reach of the fix, each with its newest sighting, and sightings of no
 * outfall, of which one lies within a circle. The nearest first; of `kind`, where one is chosen.
 */
export function sameHere(at, accuracy_m, kind) {
  const reach = SAME_M + Math.min(accuracy_m || 0, 100);
  const near = (spots) => nearest(spots, at).filter(({ m }) => m <= reach);
  const outfalls = near(known.outfalls).map(({ spot, m }) => ({
    spot, m, earlier: known.sightings.find((s) => s.outfall === spot.code) || null,
  }));
  // Newest first: of those at one place the newest stands for all.
  const elsewhere = known.sightings.filter((s) => !s.outfall && (!kind || s.kind === kind)).reduce((kept, s) => (
    kept.some((k) => k.kind === s.kind && distance(k, s) <= SAME_M) ? kept : [...kept, s]), []);
  const sightings = near(elsewhere).map(({ spot, m }) => ({ m, earlier: spot }));
  return [...outfalls, ...sightings].sort((a, b) => a.m - b.m);
}

/** Outfalls whose newest sighting is sewage of the last days, not of today, and at which nobody has looked since. */
export function revisits(now) {
  return known.outfalls.map((spot) => ({ spot, earlier: known.sightings.find((s) => s.outfall === spot.code) }))
    .filter(({ spot, earlier }) => {
      if (earlier && spot.looked_at && Date.parse(spot.looked_at) > Date.parse(earlier.observed_at)) return false;
      const days = earlier && earlier.kind === "sewage_outflow" ? daysBetween(Date.parse(earlier.observed_at), now) : 0;
      return days > 0 && days <= REVISIT_DAYS;
    });
}

/** The name of an outfall or a sector, or its code. */
export function nameOf(code) {
  const named = [...known.outfalls, ...known.sectors, ...known.waypoints].find((s) => s.code === code);
  return named ? named.name : code;
}

/** The duty windows of today. Those of an earlier answer are moved to today, and nothing is known of who walked. */
export function windowsOf(now) {
  return known.windows.map((w) => {
    const days = daysBetween(Date.parse(w.from), now);
    const move = days * DAY_MS;
    const duty = (s) => ({ code: s.code, walked: days === 0 && Boolean(s.walked_at) });
    return { ...w, from_ms: Date.parse(w.from) + move, to_ms: Date.parse(w.to) + move, sectors: w.sectors.map(duty) };
  });
}

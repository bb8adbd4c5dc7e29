// The phone's clock, and a counter beside it that nobody can set.

const run = Array.from(crypto.getRandomValues(new Uint8Array(8)), (b) => b.toString(16).padStart(2, "0")).join("");

/** Now: the wall clock in milliseconds, and the counter of this run of the page. */
export const now = () => ({ ms: Date.now(), run, counter_ms: performance.now() });

/** RFC 3339. */
export const iso = (ms) => new Date(ms).toISOString();

/**
 * The time of sending by the clock that stamped `made`, for the header Device-Time: the server takes the difference to its
 * own clock off every time of the body. The counter never runs ahead of true time (it may stand still while the phone
 * sleeps), so a wall clock that has moved less than the counter was set back meanwhile, and the counter is believed.
 */
export function deviceTime(made) {
  const at = now();
  const counted = made.run === at.run ? at.counter_ms - made.counter_ms : 0;
  return iso(Math.max(at.ms, made.ms + counted));
}

/** A UUID made here; `crypto.randomUUID` is newer than the phones. */
export function uuid() {
  const b = crypto.getRandomValues(new Uint8Array(16));
  b[6] = (b[6] & 0x0f) | 0x40;
  b[8] = (b[8] & 0x3f) | 0x80;
  const hex = Array.from(b, (x) => x.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

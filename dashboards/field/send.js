// The sender: what is in the queue goes to the server, small records before photos, until the server has receipted
// every part. The bytes of a record are those frozen at saving, for ever; a photo goes on where the server says it
// stopped. Everything here may be cut off at any line: sending again is harmless.

import { Refused, Unreachable, ask } from "./api.js";
import { deviceTime, now } from "./clock.js";
import { check } from "./heads.js";
import { sha256 as hash } from "./photo.js";
import { renew } from "./session.js";
import { t } from "./words.js";
import * as store from "./store.js";

/** Time to take a report back, in which it is not sent. */
export const UNDO_MS = 5000;
const EVERY_MS = 60000;
/** So many things go at a time: where an answer takes seconds, 200 one after the other would take most of an hour. */
const LANES = 3;
/** A network is called gone when so many sendings in a row brought nothing further. */
const MISSES_MAX = 6;
/** Before a lane goes on after a miss; longer with each. */
const PAUSE_MS = 500;
/** A piece is as much of a photo as goes through in a few seconds. */
const PIECE_BYTES = { first: 131072, least: 32768, most: 1048576 };
const PIECE_QUICK_MS = 5000;
const LEASE_MS = 20000;
const WAIT_MIN_MS = 2000;
const WAIT_MAX_MS = 300000;
/** A photo that arrives with another hash so often is shown to the person. */
const SPOILT_MAX = 3;
/** A slow network needs its time for a piece, seconds. */
const PIECE_PATIENCE_S = 90;

const holder = holderOfTab();
const moving = new EventTarget();
const sent = new Map();
let running = false;
/** Another tab that has taken the lease over sends now. */
let hasLease = false;
let again = false;
let failures = 0;
let misses = 0;
let further = false;
let piece_bytes = PIECE_BYTES.first;
/** Do the headers of pieces come through, or does something on the way drop them? Asked once, of the first photo. */
let inPieces = null;
let wait = { until_ms: 0, byServer: false };

/** One name per tab, also after a reload: its own lease must not hold it up. */
function holderOfTab() {
  const kept = sessionStorage.getItem("tab") || String(Math.random());
  sessionStorage.setItem("tab", kept);
  return kept;
}

/** How much of a photo has gone, 0 to 1, while it goes. */
export const fraction = (sha256) => sent.get(sha256);

/** Calls back while bytes go, and when sending begins and ends. Gives the way to stop. */
export function watch(listener) {
  moving.addEventListener("move", listener);
  return () => moving.removeEventListener("move", listener);
}

export const isSending = () => running;

function move(sha256, part) {
  if (part === undefined) sent.delete(sha256);
  else sent.set(sha256, part);
  moving.dispatchEvent(new Event("move"));
}

/** Sends on `online`, on coming back to the page, when something is to be sent again, every minute. */
export function start() {
  for (const event of ["online", "reopened"]) window.addEventListener(event, () => send({ now: true }));
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && send({ now: true }));
  setInterval(send, EVERY_MS);
  send({ now: true });
}

/**
 * Sends what waits. `now` does not wait for the back-off of a failed network; what the server asked to wait is waited.
 * Resolves when nothing more can be done at present.
 */
export async function send(how) {
  const hurry = Boolean(how && how.now);
  again = again || running;
  if (running || (performance.now() < wait.until_ms && (wait.byServer || !hurry))) return;
  running = true;
  move();
  hasLease = true;
  const renewLease = async () => { hasLease = await store.lease(holder, LEASE_MS); };
  const renewal = setInterval(renewLease, LEASE_MS / 4);
  try {
    if (await store.lease(holder, LEASE_MS)) await rounds();
    // Another tab sends, or one that was killed has left its lease.
    else setTimeout(send, LEASE_MS);
  } catch (error) {
    if (!(error instanceof Unreachable) && !(error instanceof Refused)) throw error;
    hold(error);
  } finally {
    clearInterval(renewal);
    running = false;
    await store.release(holder);
    move();
  }
  // There is a network: has the log that gave the receipts only grown?
  if (further) check({ now: true });
  further = false;
}

/** Again while something came meanwhile. */
async function rounds() {
  do {
    again = false;
    await round();
  } while (again);
}

/** Back-off with jitter, or as the server said. */
function hold({ retry_s }) {
  failures += 1;
  const own_ms = Math.min(WAIT_MIN_MS * 2 ** failures, WAIT_MAX_MS) * (0.5 + Math.random());
  const wait_ms = retry_s ? retry_s * 1000 : own_ms;
  wait = { until_ms: performance.now() + wait_ms, byServer: Boolean(retry_s) };
  setTimeout(send, wait_ms + 50);
}

/** Can the report still be taken back? */
export function isHeld({ made }) {
  const at = now();
  return made.run === at.run && at.counter_ms - made.counter_ms < UNDO_MS;
}

async function round() {
  const items = await store.listOpen();
  if (items.some(isHeld)) setTimeout(() => send({ now: true }), UNDO_MS);
  const due = items.filter((item) => !isHeld(item) && !["sent", "needs"].includes(item.record.state));
  await inLanes(due.map((item) => () => sendRecord(item)));
  // Read again: the records took their time, and who has just saved one may still take it back.
  const kept = new Set((await store.listOpen()).filter(isHeld).flatMap((item) => item.photos));
  const photos = (await store.listOpenPhotos()).filter((p) => p.state !== "needs" && !kept.has(p.sha256));
  await inLanes(photos.map(({ sha256 }) => () => sendPhoto(sha256)));
}

/** Something has come further than it was. */
function onward() {
  further = true;
  misses = 0;
  failures = 0;
}

/**
 * Runs the sendings, some at a time; one that the network broke off comes again behind the others. Throws when the
 * network is gone, and what the server wants waited for.
 */
async function inLanes(sendings) {
  let stopped = null;
  const lane = async () => {
    while (!stopped && hasLease && sendings.length > 0) {
      const sending = sendings.shift();
      try {
        await sending();
      } catch (error) {
        misses += 1;
        if (!(error instanceof Unreachable) || misses >= MISSES_MAX) stopped = stopped || error;
        sendings.push(sending);
        await pause(PAUSE_MS * misses * (0.5 + Math.random()));
      }
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  if (stopped) {
    misses = 0;
    throw stopped;
  }
}

const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });

/** Nothing is wrong with what was sent; it waits, for the network or for somebody to sign in. */
function mustWait({ status }) {
  return status === 401 || status === 403 || status === 408 || status === 425 || status === 429 || status >= 500;
}

/** One unsafe request; a token that has run out is renewed once. */
async function put(method, path, options) {
  try {
    return await ask(method, path, options);
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 403) throw error;
    await renew();
    return ask(method, path, options);
  }
}

async function sendRecord({ id, kind, body, made }) {
  const headers = { "Content-Type": "application/json", "Device-Time": deviceTime(made) };
  const path = kind === "patrol" ? "/api/v1/patrols" : "/api/v1/reports";
  try {
    const { json: receipt } = await put("POST", path, { body, headers });
    // Only the server's own receipt of this id ends the sending.
    if (!receipt || receipt.id !== id) throw new Unreachable("no receipt");
    // A crash before this line: the report is stored, is sent again, and gets the same receipt.
    await store.settleRecord(id, { state: "sent", at: Date.parse(receipt.received_at), receipt });
    onward();
  } catch (error) {
    await refused(error, (record) => store.settleRecord(id, record));
  }
}

/** Writes down what the server had against it; throws on what waits. */
async function refused(error, settle) {
  if (!(error instanceof Refused)) throw error;
  if (error.status === 401) await settle({ state: "login" });
  if (mustWait(error)) throw error;
  await settle({ state: "needs", detail: error.detail });
}

async function sendPhoto(sha256) {
  const settle = (state) => store.settlePhoto(sha256, state);
  const photo = await store.getPhoto(sha256);
  // Taken back meanwhile.
  if (!photo) return;
  const { spoilt = 0 } = photo;
  try {
    const receipt = await upload(photo);
    if (!receipt || receipt.id !== sha256) throw new Unreachable("no receipt of this photo");
    await settle({ state: "sent", at: Date.parse(receipt.received_at), receipt });
    onward();
  } catch (error) {
    const status = error instanceof Refused ? error.status : 0;
    if (status === 410) await settle({ state: "gone", at: Date.now() });
    else if (status === 422 && !(await isWhole(sha256))) await settle({ state: "needs", detail: t("detail.spoilt") });
    else if (status === 422 && spoilt < SPOILT_MAX) {
      // Another hash arrived than left: the way spoilt it, and it goes again from the start.
      await settle({ state: "saved", spoilt: spoilt + 1 });
      throw new Unreachable(error.detail);
    } else await refused(error, settle);
  } finally {
    move(sha256);
  }
}

/** Are the bytes on the phone still those of the hash? */
async function isWhole(sha256) {
  const bytes = await store.getBytes(sha256);
  return Boolean(bytes) && (await hash(bytes)) === sha256;
}

/**
 * Gives the receipt. A photo that may have been here goes on from where the server says (`Upload-Offset`); where it says
 * nothing, since a proxy dropped the header, it goes whole.
 */
async function upload({ sha256, type, tried }) {
  const path = `/api/v1/${store.isVoice({ type }) ? "voices" : "photos"}/${sha256}`;
  let offset = 0;
  if (tried || !inPieces) {
    const head = await ask("HEAD", path, { also: [404] });
    if (head.headers.get("Upload-Complete") === "?1") return (await ask("GET", `${path}/receipt`)).json;
    inPieces = head.headers.has("Upload-Offset");
    offset = Number(head.headers.get("Upload-Offset") || 0);
  }
  const bytes = await store.getBytes(sha256);
  if (!bytes) throw new Refused(400, t("detail.no_bytes"));
  // Before the first byte: a crash after this line asks before it sends.
  if (!tried) await store.settlePhoto(sha256, { tried: true });
  for (let tries = 8 + (2 * bytes.byteLength) / PIECE_BYTES.least; tries > 0; tries -= 1) {
    const { json, next } = await sendPiece(path, bytes, offset, type);
    if (next === undefined) return json;
    if (next > offset) onward();
    offset = next;
  }
  throw new Unreachable("the photo does not come through");
}

/** Sends from `offset` on: the server's receipt in `json`, or the `next` byte that it wants. */
async function sendPiece(path, bytes, offset, type) {
  const total = bytes.byteLength;
  const end = inPieces ? Math.min(offset + piece_bytes, total) : total;
  const headers = { "Content-Type": type, "Upload-Offset": String(offset), "Upload-Length": String(total) };
  const piece = { body: bytes.slice(offset, end), headers, patience_s: PIECE_PATIENCE_S, also: inPieces ? [409] : [] };
  const begun = performance.now();
  move(path.slice(-64), offset / total);
  try {
    const answer = await put("PUT", path, piece);
    if (performance.now() - begun < PIECE_QUICK_MS) piece_bytes = Math.min(2 * piece_bytes, PIECE_BYTES.most);
    if (answer.status === 200 || answer.status === 201) return answer;
    // Without one a newer request has taken this photo over: another tab sends it.
    const next = answer.headers.has("Upload-Offset") ? Number(answer.headers.get("Upload-Offset")) : NaN;
    if (!(next >= 0 && next <= total)) throw new Unreachable("no offset");
    return { next };
  } catch (error) {
    piece_bytes = Math.max(piece_bytes / 2, PIECE_BYTES.least);
    throw error;
  }
}

// Who has the phone in hand. The phone itself is known to the server by its cookie (enrolled once in the office); the
// person says who saw something. Offline a PIN is held against what an earlier sign-in left here.

import { Refused, Unreachable, ask, askJson, trust } from "./api.js";
import { place } from "./place.js";
import * as store from "./store.js";

const ROUNDS = 200000;
/** Wrong PINs that cost no waiting, and the longest wait. */
const FREE_TRIES = 3;
const WAIT_MAX_S = 900;

let session = { state: "out", person: null, device: null, csrf: null };
let who = null;

/** The person who was chosen last, or null. */
export const person = () => who;

/** `open`: nobody is asked (demo). `in`, `out`. */
export const state = () => session.state;

/** Is this phone known to the server? */
export const isEnrolled = () => session.state === "open" || Boolean(session.device);

/** Whom one may choose. */
export function people() {
  if (session.state === "open") return place().people;
  return session.device ? session.device.people : [];
}

/** Takes what the phone has kept. */
export async function recall() {
  session = (await store.get("session")) || session;
  who = (await store.get("person")) || null;
  trust(session.csrf);
}

async function take(answer) {
  session = answer;
  trust(answer.csrf);
  await store.set("session", answer);
  if (answer.state === "in") await become(answer.person);
}

async function become({ id, name }) {
  who = { id, name };
  await store.set("person", who);
}

/** Asks the server who it takes us for. Without an answer everything stays. */
export async function renew() {
  try {
    await take(await askJson("GET", "/api/v1/session"));
  } catch (error) {
    if (!(error instanceof Unreachable) && !(error instanceof Refused)) throw error;
  }
}

/** Where nobody is asked, a choice is enough. */
export const choose = become;

/** Makes this phone one of the office's, by the code on its wall. Throws what the server said. */
export async function enrol(code) {
  await take(await askJson("POST", "/api/v1/device", { code }));
}

/** Leaves. What waits in the queue stays. */
export async function leave() {
  who = null;
  await store.remove("person");
  if (session.state !== "in") return;
  try {
    await ask("DELETE", "/api/v1/session");
    await renew();
  } catch (error) {
    if (!(error instanceof Unreachable) && !(error instanceof Refused)) throw error;
  }
}

/**
 * Signs in; by what is kept here where the server cannot be reached. `own` takes the place of a PIN that somebody else has
 * set. Gives `in` with the notices of what others did to the account, `choose` (a PIN of one's own is needed, or another),
 * `wrong`, `unknown` (never signed in here online) or {wait_s}.
 */
export async function signIn(chosen, pin, own) {
  try {
    const answer = await askJson("POST", "/api/v1/session", { person: chosen.id, pin, new_pin: own });
    await take(answer);
    await remember(chosen.id, own || pin);
    return { result: "in", notices: answer.notices };
  } catch (error) {
    if (error instanceof Unreachable) return own ? { result: "unknown" } : signInOffline(chosen, pin);
    if (!(error instanceof Refused)) throw error;
    if (error.status === 429) return { result: "wait", wait_s: Math.ceil(error.retry_s || 60) };
    if (error.status === 401) return { result: "wrong" };
    if (error.field === "new_pin") return { result: "choose" };
    throw error;
  }
}

/** The person has read the notices up to this entry. Without a network they come again. */
export async function know(entry) {
  try {
    await askJson("POST", "/api/v1/session/notices", { entry });
  } catch (error) {
    if (!(error instanceof Unreachable) && !(error instanceof Refused)) throw error;
  }
}

async function derive(pin, salt) {
  const key = await crypto.subtle.importKey("raw", new TextEncoder().encode(pin), "PBKDF2", false, ["deriveBits"]);
  const how = { name: "PBKDF2", hash: "SHA-256", salt, iterations: ROUNDS };
  return new Uint8Array(await crypto.subtle.deriveBits(how, key, 256));
}

async function remember(id, pin) {
  const salt = crypto.getRandomValues(new Uint8Array(16));
  await store.set(`pin.${id}`, { salt, hash: await derive(pin, salt), wrong: 0, until_ms: 0 });
}

async function signInOffline(chosen, pin) {
  const kept = await store.get(`pin.${chosen.id}`);
  if (!kept) return { result: "unknown" };
  const wait_s = Math.min((kept.until_ms - Date.now()) / 1000, WAIT_MAX_S);
  if (wait_s > 0) return { result: "wait", wait_s: Math.ceil(wait_s) };
  const hash = await derive(pin, kept.salt);
  if (hash.every((byte, i) => byte === kept.hash[i])) {
    await store.set(`pin.${chosen.id}`, { ...kept, wrong: 0, until_ms: 0 });
    await become(chosen);
    return { result: "in", notices: [] };
  }
  // Kept before it is said: a reload gives no new try.
  const wrong = kept.wrong + 1;
  const pause_s = wrong < FREE_TRIES ? 0 : Math.min(5 * 2 ** (wrong - FREE_TRIES), WAIT_MAX_S);
  await store.set(`pin.${chosen.id}`, { ...kept, wrong, until_ms: Date.now() + pause_s * 1000 });
  return { result: "wrong" };
}

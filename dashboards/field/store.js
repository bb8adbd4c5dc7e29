// What the phone keeps (IndexedDB). The queue belongs to the phone: changing the person touches none of it.
//
//   kv      settings, the person, the place, the draft, patrols under way, the sender's lease
//   items   reports and patrols to send: the frozen bytes of the body, the state of the record, hashes of the photos
//   photos  their state; bytes  what is to be sent, by SHA-256; thumbs  small pictures, kept 30 days
//
// A voice note is one more of the photos, the last, of an audio type: kept, sent and forgotten as they are. An item is done
// when the server has receipted its record and each of its photos.

import { openDB } from "./idb.js";

const KEEP_MS = 30 * 86400000;
const ALL = ["items", "photos", "bytes", "thumbs", "kv"];
// Ask for the disk, not for a cache in front of it: "saved" is said after this.
const STRICT = { durability: "strict" };

const changes = new EventTarget();
let db = null;

/** Opens it; throws where the browser keeps nothing (private mode). */
export async function open() {
  db = await openDB("jijia", 1, {
    upgrade(fresh) {
      fresh.createObjectStore("kv");
      const items = fresh.createObjectStore("items", { keyPath: "id" });
      items.createIndex("made", "made.ms");
      items.createIndex("open", "open");
      fresh.createObjectStore("photos", { keyPath: "sha256" }).createIndex("open", "open");
      fresh.createObjectStore("bytes");
      fresh.createObjectStore("thumbs");
    },
    // A newer page of ours in another tab: let it through, this one is old.
    blocking: () => db.close(),
  });
  window.addEventListener("storage", (event) => event.key === "jijia" && changes.dispatchEvent(new Event("change")));
}

/** Calls back when anything in the queue has changed, here or in another tab. Gives the way to stop. */
export function watch(listener) {
  changes.addEventListener("change", listener);
  return () => changes.removeEventListener("change", listener);
}

/** Says that something has changed. */
export function changed() {
  changes.dispatchEvent(new Event("change"));
  localStorage.setItem("jijia", String(Date.now()));
}

export const get = (key) => db.get("kv", key);
export const set = (key, value) => db.put("kv", value, key);
export const remove = (key) => db.delete("kv", key);

/** Reads and writes one key at once: no other tab comes between. */
export async function update(key, change) {
  const tx = db.transaction("kv", "readwrite");
  const value = change(await tx.store.get(key));
  if (value !== undefined) tx.store.put(value, key);
  await tx.done;
  return value;
}

/** Every key that begins with `prefix`, with its value. */
export async function under(prefix) {
  const range = IDBKeyRange.bound(prefix, `${prefix}\uffff`);
  const tx = db.transaction("kv");
  const [keys, values] = await Promise.all([tx.store.getAllKeys(range), tx.store.getAll(range)]);
  return keys.map((key, i) => [key, values[i]]);
}

/** Does all of `work` in one transaction, or nothing of it: then it throws. */
async function whole(stores, work) {
  const tx = db.transaction(stores, "readwrite", STRICT);
  const failed = tx.done.catch((error) => error);
  try {
    await work(tx);
  } catch (error) {
    tx.abort();
    await failed;
    throw error;
  }
  const error = await failed;
  if (error) throw error;
}

/** What fails of a request fails its transaction, and is told there, once. */
const within = (request) => request.catch(() => undefined);

/** Keeps a photo that has just been taken, and the draft that names it: a crash after this line loses neither. */
export async function keepPhoto({ sha256, bytes, thumb }, draft) {
  const tx = db.transaction(["bytes", "thumbs", "kv"], "readwrite", STRICT);
  tx.objectStore("bytes").put(bytes, sha256);
  if (thumb) tx.objectStore("thumbs").put(thumb, sha256);
  tx.objectStore("kv").put(draft, "draft");
  await tx.done;
}

/** Is this of the photos a voice note? */
export const isVoice = ({ type }) => type.startsWith("audio/");

/** What of a draft is sent beside its record: the photos and the voice note. */
export const partsOf = ({ photos, voice }) => (voice ? [...photos, voice] : photos);

/** Forgets bytes that nothing in the queue names. */
async function forget(tx, { sha256 }) {
  if (await tx.objectStore("photos").getKey(sha256)) return;
  within(tx.objectStore("bytes").delete(sha256));
  within(tx.objectStore("thumbs").delete(sha256));
}

/** Keeps what has just been spoken with the draft, in the place of what was spoken before; `null` keeps nothing of either. */
export function keepVoice(voice, bytes) {
  return whole(["photos", "bytes", "thumbs", "kv"], async (tx) => {
    const draft = await tx.objectStore("kv").get("draft");
    if (!draft) return;
    if (draft.voice) await forget(tx, draft.voice);
    if (voice) within(tx.objectStore("bytes").put(bytes, voice.sha256));
    within(tx.objectStore("kv").put({ ...draft, voice }, "draft"));
  });
}

/** Throws a draft away, with the photos and the voice note that nothing else names. */
export async function dropDraft() {
  const tx = db.transaction(["photos", "bytes", "thumbs", "kv"], "readwrite");
  const draft = await tx.objectStore("kv").get("draft");
  for (const part of draft ? partsOf(draft) : []) await forget(tx, part);
  tx.objectStore("kv").delete("draft");
  await tx.done;
}

/**
 * Puts an item into the queue, in one transaction with the end of what it came from (`ends`, a key of kv). All or nothing:
 * when this throws, nothing is in the queue and the draft is as it was.
 */
export async function addItem(item, photos, ends) {
  await whole(ALL, async (tx) => {
    for (const photo of photos) {
      const known = await tx.objectStore("photos").get(photo.sha256);
      if (!known) within(tx.objectStore("photos").put({ ...photo, state: "saved", open: 1 }));
    }
    within(tx.objectStore("items").put({ ...item, record: { state: "saved" }, open: 1 }));
    within(tx.objectStore("kv").delete(ends));
  });
  changed();
}

/** Takes an item that was never sent out of the queue again and makes it the draft it was. */
export async function takeBack(id, draft) {
  const tx = db.transaction(["items", "photos", "kv"], "readwrite", STRICT);
  tx.objectStore("items").delete(id);
  for (const { sha256 } of partsOf(draft)) tx.objectStore("photos").delete(sha256);
  tx.objectStore("kv").put(draft, "draft");
  await tx.done;
  changed();
}

export const getItem = (id) => db.get("items", id);
export const getPhoto = (sha256) => db.get("photos", sha256);
export const getBytes = (sha256) => db.get("bytes", sha256);
export const getThumb = (sha256) => db.get("thumbs", sha256);

/** What has not reached the server, oldest first. */
export async function listOpen() {
  const items = await db.getAllFromIndex("items", "open", 1);
  return items.sort((a, b) => a.made.ms - b.made.ms);
}

export const countOpen = () => db.countFromIndex("items", "open", 1);
export const listOpenPhotos = () => db.getAllFromIndex("photos", "open", 1);

/** Ids of every item on the phone: what is open first, the newest first among equals. Bodies stay where they are. */
export async function listIds() {
  const tx = db.transaction("items");
  const [newest, open] = await Promise.all([tx.store.index("made").getAllKeys(), tx.store.index("open").getAllKeys(1)]);
  const isOpen = new Set(open);
  newest.reverse();
  return [...newest.filter((id) => isOpen.has(id)), ...newest.filter((id) => !isOpen.has(id))];
}

/** Items that were settled since `ms`, newest last. */
export async function listDoneSince(ms) {
  const items = await db.getAllFromIndex("items", "made", IDBKeyRange.lowerBound(ms - KEEP_MS));
  return items.filter((i) => !i.open && i.done_at >= ms).sort((a, b) => a.done_at - b.done_at);
}

/** Writes down how the record of an item stands. */
export async function settleRecord(id, record) {
  const tx = db.transaction(["items", "photos", "kv"], "readwrite", STRICT);
  const item = await tx.objectStore("items").get(id);
  if (item) await close(tx, { ...item, record });
  keepReceipt(tx, record.receipt);
  await tx.done;
  changed();
}

/**
 * Writes down how a photo stands. Its bytes leave the phone here and nowhere else: after the server said the same hash,
 * or that it erased it by law.
 */
export async function settlePhoto(sha256, state) {
  const tx = db.transaction(["items", "photos", "bytes", "kv"], "readwrite", STRICT);
  const photo = await tx.objectStore("photos").get(sha256);
  if (!photo) return;
  keepReceipt(tx, state.receipt);
  const settled = state.state === "sent" || state.state === "gone";
  tx.objectStore("photos").put({ ...photo, ...state, open: settled ? 0 : 1 });
  if (settled) {
    tx.objectStore("bytes").delete(sha256);
    const waiting = await tx.objectStore("items").index("open").getAll(1);
    for (const item of waiting) if (item.photos.includes(sha256)) await close(tx, item);
  }
  await tx.done;
  changed();
}

/** Keeps a receipt until it was found under a signed head of the log. */
function keepReceipt(tx, receipt) {
  if (receipt) tx.objectStore("kv").put(receipt, `receipt.${receipt.index}`);
}

/** Receipts that were not found under a head yet, oldest first. */
export async function listReceipts() {
  const all = await under("receipt.");
  return all.map(([, receipt]) => receipt).sort((a, b) => a.index - b.index);
}

/** Writes down what is kept of the log, and forgets the receipts that are under its head. */
export async function keepLog(log, found) {
  const tx = db.transaction("kv", "readwrite", STRICT);
  tx.store.put(log, "log");
  found.forEach((index) => tx.store.delete(`receipt.${index}`));
  await tx.done;
}

/**
 * What the server had from entry `from` on and has lost goes again, as far as it is still here. Gives how many records go,
 * and of how many photos no bytes are left.
 */
export async function reopen(from) {
  const lost = ({ state, receipt }) => state === "sent" && receipt && receipt.index >= from;
  const again = { records: 0, without: 0 };
  await whole(["items", "photos", "bytes", "kv"], async (tx) => {
    for (const photo of await tx.objectStore("photos").getAll()) {
      if (!lost(photo)) continue;
      const has = await tx.objectStore("bytes").getKey(photo.sha256);
      if (has) within(tx.objectStore("photos").put({ ...photo, state: "saved", open: 1, receipt: null }));
      else again.without += 1;
    }
    for (const item of await tx.objectStore("items").getAll()) {
      if (!lost(item.record)) continue;
      within(tx.objectStore("items").put({ ...item, record: { state: "saved" }, open: 1 }));
      again.records += 1;
    }
    const receipts = await tx.objectStore("kv").getAllKeys(IDBKeyRange.bound("receipt.", "receipt.\uffff"));
    for (const key of receipts) if (Number(key.slice(8)) >= from) within(tx.objectStore("kv").delete(key));
  });
  changed();
  return again;
}

/** Stores an item, done when every part of it is. */
async function close(tx, item) {
  const photos = await Promise.all(item.photos.map((sha256) => tx.objectStore("photos").get(sha256)));
  const done = item.record.state === "sent" && photos.every((p) => p && !p.open);
  const at = Math.max(item.record.at || 0, ...photos.map((p) => (p && p.at) || 0));
  tx.objectStore("items").put(done ? { ...item, open: 0, done_at: at } : item);
}

/** Removes what has been on the server for 30 days. */
export async function tidy(now) {
  const tx = db.transaction(["items", "photos", "thumbs"], "readwrite");
  for (const item of await tx.objectStore("items").index("open").getAll(0)) {
    if (item.done_at > now - KEEP_MS) continue;
    tx.objectStore("items").delete(item.id);
    for (const sha256 of item.photos) {
      tx.objectStore("photos").delete(sha256);
      tx.objectStore("thumbs").delete(sha256);
    }
  }
  await tx.done;
}

/** Takes the sender's lease for `ms`, or renews it. One sender over all tabs; two would do no harm, only waste. */
export async function lease(holder, ms) {
  const now = Date.now();
  const held = (l) => l && l.holder !== holder && l.until > now && l.until < now + 2 * ms;
  const after = await update("lease", (l) => (held(l) ? undefined : { holder, until: now + ms }));
  return Boolean(after);
}

/** Gives the lease back. */
export const release = (holder) => update("lease", (l) => (l && l.holder === holder ? { holder, until: 0 } : undefined));

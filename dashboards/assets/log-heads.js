// Whoever keeps a head of the log notices when the log is changed. A phone and a desk keep the newest head they have seen
// and the receipts that are not under one yet; at each visit the server has to show that it only went on from there.

import { Wrong, continued, fromHex, included, leafHash, need, readCheckpoint, same, utf8 } from "./log-tree.js";

/** Receipts that are asked for at a time. */
export const RECEIPTS_MAX = 64;
/** Older heads that are kept: one of each name the log had. */
const OLD_MAX = 8;

/** What is an alarm; anything else wrong with an answer is as good as none (a page of somebody else's network). */
const ALARMS = new Set(["log_forked", "log_shorter", "other_log", "receipt_missing", "receipt_bytes"]);

/**
 * What is kept: the head (the note's text) with its size, when it was compared, the heads of names before, and what was
 * found: a fork, or a restore that lost entries.
 */
const NOTHING = { head: null, size: 0, checked_ms: 0, old: [], fork: null, restored: null };

/** What the server is asked. */
export const question = (kept, receipts) => ({
  ...(kept && kept.head ? { checkpoint: kept.head } : {}), receipts: receipts.map(({ index }) => index),
});

/** What is kept once it is told to forget: the heads, so that anybody can still see them. */
export function begun(kept) {
  const heads = [...kept.old, kept.head, kept.fork && kept.fork.shown].filter(Boolean);
  return { ...NOTHING, old: heads.slice(-OLD_MAX) };
}

/**
 * The entries by which the log got from the name of `held` to that of `newest`, each under the newest head. Gives how many
 * entries of `held` were restored, and how far its log was known to have come. Throws where they do not lead there.
 */
async function readOrigins(held, newest, origins) {
  let name = held.origin;
  let first = null;
  for (const { index, entry, hashes } of origins) {
    const leaf = await leafHash(utf8(entry));
    need(await included(leaf, index, newest.size, hashes.map(fromHex), newest.root), "other_log");
    const said = JSON.parse(entry);
    need(said.type === "origin" && said.old_name === name, "other_log");
    // All entries before it were restored: as a phone sees it the first one counts.
    first = first || { kept: index, known: said.last_head ? said.last_head.size : null };
    name = said.name;
  }
  need(first && name === newest.origin, "other_log", { old: held.origin, new: newest.origin });
  return first;
}

/**
 * Compares what was kept `before`, and `receipts` ({index, leaf_hash, entry}) with the server's answer. Gives what to keep from now
 * on, and the indexes of receipts that are under the head. Throws `Wrong` where the log is not the one that was seen.
 */
export async function compare(before, receipts, answer, now) {
  const kept = before || NOTHING;
  const newest = readCheckpoint(answer.checkpoint);
  const held = kept.head && readCheckpoint(kept.head);
  const renamed = held && held.origin !== newest.origin;
  const origin = renamed ? await readOrigins(held, newest, answer.origins) : null;
  const lost = Boolean(origin) && held.size > origin.kept;
  if (held && !lost) {
    need(newest.size >= held.size && answer.consistency, "log_shorter", { held: held.size, size: newest.size });
    const hashes = answer.consistency.map(fromHex);
    need(await continued(held.size, held.root, newest.size, newest.root, hashes), "log_forked", { size: held.size });
  }
  const found = [];
  const places = new Map(answer.receipts.map(({ index, hashes }) => [index, hashes]));
  for (const { index, leaf_hash, entry } of receipts) {
    if (!places.has(index) || (lost && index >= origin.kept)) continue;
    const leaf = fromHex(leaf_hash);
    need(!entry || same(await leafHash(utf8(entry)), leaf), "receipt_bytes", { index });
    const good = await included(leaf, index, newest.size, places.get(index).map(fromHex), newest.root);
    need(good, "receipt_missing", { index });
    found.push(index);
  }
  const restored = lost ? { kept: origin.kept, held: held.size, known: origin.known, at_ms: now } : kept.restored;
  const old = renamed ? [...kept.old, kept.head].slice(-OLD_MAX) : kept.old;
  const after = { ...kept, head: answer.checkpoint, size: newest.size, checked_ms: now, old, restored };
  return { kept: after, found, lost: lost ? origin.kept : null };
}

/** What is kept after `compare` threw an alarm: both heads, so that anybody can see it again. Throws what is none. */
export function forked(before, answer, error, now) {
  const kept = before || NOTHING;
  if (!(error instanceof Wrong && ALARMS.has(error.key))) throw error;
  const fork = { key: error.key, args: error.args, shown: answer.checkpoint, at_ms: now };
  // The first one stays: what a server shows afterwards makes it no better.
  return { ...kept, fork: kept.fork || fork };
}

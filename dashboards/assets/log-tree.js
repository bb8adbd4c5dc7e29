// The tree of the evidence log by SHA-256 alone: RFC 6962 hashes, inclusion, consistency, and the text of a C2SP
// checkpoint. Signatures are checked where somebody asks for it (verify-log.js).

export class Wrong extends Error {
  /** `key` names the finding in the catalogue, `args` fill it. */
  constructor(key, args = {}) {
    super(key);
    this.key = key;
    this.args = args;
  }
}

export function need(good, key, args) {
  if (!good) throw new Wrong(key, args);
}

export const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");

export function fromHex(text) {
  need(/^[0-9a-f]{64}$/.test(text), "bad_hash", { text: String(text).slice(0, 80) });
  return Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));
}

/** Base64 in its one form: with padding, no bits set in it. */
export function fromBase64(text) {
  let raw = null;
  try {
    raw = atob(text);
  } catch (error) {
    // Said below.
  }
  need(raw !== null && btoa(raw) === text, "bad_base64", { text: String(text).slice(0, 80) });
  return Uint8Array.from(raw, (c) => c.charCodeAt(0));
}

export const toBase64 = (bytes) => btoa(String.fromCharCode(...bytes));
export const utf8 = (text) => new TextEncoder().encode(text);

export function join(...parts) {
  const all = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

export const same = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);
export const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
export const leafHash = (entry) => sha256(join(Uint8Array.of(0), entry));
export const nodeHash = (left, right) => sha256(join(Uint8Array.of(1), left, right));

/** RFC 9162, 2.1.3.2. Sizes are below 2^53; `>>` would cut them to 32 bits. */
export async function included(leaf, index, size, path, root) {
  let [fn, sn, r] = [index, size - 1, leaf];
  const half = (n) => Math.floor(n / 2);
  if (!(index < size)) return false;
  for (const p of path) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      r = await nodeHash(p, r);
      while (fn !== 0 && fn % 2 === 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      r = await nodeHash(r, p);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  return sn === 0 && same(r, root);
}

/**
 * Is the tree over the first `from` entries, with the root `old`, the beginning of the one over `to`? RFC 9162, 2.1.4.2.
 * Both roots come out of the same hashes: what is only compared with one of them proves nothing of the other.
 */
export async function continued(from, old, to, root, hashes) {
  if (!(from > 0 && from <= to)) return false;
  if (from === to) return hashes.length === 0 && same(old, root);
  const half = (n) => Math.floor(n / 2);
  let [fn, sn] = [from - 1, to - 1];
  while (fn % 2 === 1) [fn, sn] = [half(fn), half(sn)];
  // Where the old tree is one full subtree, its root stands for the first hash.
  const [first, ...rest] = fn === 0 ? [old, ...hashes] : hashes;
  if (!first) return false;
  let [fr, sr] = [first, first];
  for (const hash of rest) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      [fr, sr] = [await nodeHash(hash, fr), await nodeHash(hash, sr)];
      while (fn !== 0 && fn % 2 === 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      sr = await nodeHash(sr, hash);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  return sn === 0 && same(fr, old) && same(sr, root);
}

/** The three lines of a checkpoint, and the lines of its signatures if it is a signed note. */
export function readCheckpoint(text) {
  const [body, ...rest] = text.split("\n\n");
  const [origin, size, root, more] = body.replace(/\n$/, "").split("\n");
  need(more === undefined && origin && /^(0|[1-9][0-9]{0,14})$/.test(size) && root, "bad_checkpoint");
  need(rest.length <= 1, "bad_checkpoint");
  const hash = fromBase64(root);
  need(hash.length === 32, "bad_checkpoint");
  const lines = rest.length === 0 ? [] : rest[0].replace(/\n$/, "").split("\n");
  const signed = utf8(`${origin}\n${size}\n${root}\n`);
  return { origin, size: Number(size), root: hash, signed, lines };
}

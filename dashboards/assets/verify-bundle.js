// A bundle (证据包), checked by its format's description (src/evidence/bundle.rs) from the file alone: the third reader
// of it, after `jijia verify` and tests/verify.py. The file is read in slices; the largest thing in memory is one photo.
import {
  Wrong, fromBase64, fromHex, hex, included, join, leafHash, need, readCheckpoint, same, sha256, utf8,
} from "./log-tree.js";
import { checkLine, readKey } from "./verify-log.js";

const HEAD = ["读我.txt", "manifest.json", "entries.jsonl", "payloads.jsonl", "readings.jsonl"];
const SEAL = ["seal/entry.json", "seal/entry.tlog-proof", "seal/keys.txt", "seal/proofs.bin"];
const ENDINGS = { "image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "image/heic": "heic" };
const FULL = 4294967295;
const STEP = 1 << 22;

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k += 1) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

function crc32(bytes, before) {
  let c = ~before;
  for (let i = 0; i < bytes.length; i += 1) c = CRC[(c ^ bytes[i]) & 255] ^ (c >>> 8);
  return ~c >>> 0;
}

const read = async (file, from, to) => new Uint8Array(await file.slice(from, to).arrayBuffer());
const u16 = (n) => Uint8Array.of(n & 255, (n >> 8) & 255);
const u32 = (n) => Uint8Array.of(n & 255, (n >>> 8) & 255, (n >>> 16) & 255, (n >>> 24) & 255);
const u64 = (n) => join(u32(n % 4294967296), u32(Math.floor(n / 4294967296)));

/** A bundle begins with the name of its first member. */
export async function isBundle(file) {
  const begin = await read(file, 0, 40);
  const name = utf8(HEAD[0]);
  return same(begin.slice(0, 4), Uint8Array.of(0x50, 0x4b, 3, 4)) && same(begin.slice(30, 30 + name.length), name);
}

/** Name → place of each member, in order; every byte between them is compared. */
async function container(file, progress) {
  const members = new Map();
  const central = [];
  let offset = 0;
  let head = await read(file, 0, 30);
  while (same(head.slice(0, 4), Uint8Array.of(0x50, 0x4b, 3, 4)) && head.length === 30) {
    const view = new DataView(head.buffer);
    const [crc, size, length] = [view.getUint32(14, true), view.getUint32(18, true), view.getUint16(26, true)];
    const name = await read(file, offset + 30, offset + 30 + length);
    const fixed = join(Uint8Array.of(0, 8, 0, 0, 0, 0, 0x21, 0), u32(crc), u32(size), u32(size), u16(length));
    const wanted = join(Uint8Array.of(0x50, 0x4b, 3, 4, 0x14, 0), fixed, u16(0));
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(name);
    need(same(head, wanted) && size < FULL, "b_container", { name: text });
    need(!members.has(text), "b_twice", { name: text });
    const from = offset + 30 + length;
    let sum = 0;
    for (let at = from; at < from + size; at += STEP) {
      const piece = await read(file, at, Math.min(at + STEP, from + size));
      sum = crc32(piece, sum);
      progress(at / file.size);
    }
    need(from + size <= file.size && sum === crc, "b_container", { name: text });
    members.set(text, { from, size });
    const far = offset >= FULL;
    const start = far ? 0x2d : 0x14;
    central.push(Uint8Array.of(0x50, 0x4b, 1, 2, 0x14, 0, start, 0), fixed, u16(far ? 12 : 0), new Uint8Array(10));
    central.push(u32(Math.min(offset, FULL)), name);
    if (far) central.push(Uint8Array.of(1, 0, 8, 0), u64(offset));
    offset = from + size;
    head = await read(file, offset, offset + 30);
  }
  const directory = join(...central);
  const count = members.size;
  const end = [directory];
  if (count >= 65535 || directory.length >= FULL || offset >= FULL) {
    end.push(Uint8Array.of(0x50, 0x4b, 6, 6), u64(44), u16(20), u16(45), u32(0), u32(0));
    end.push(u64(count), u64(count), u64(directory.length), u64(offset));
    end.push(Uint8Array.of(0x50, 0x4b, 6, 7), u32(0), u64(offset + directory.length), u32(1));
  }
  const [few, long, far] = [Math.min(count, 65535), Math.min(directory.length, FULL), Math.min(offset, FULL)];
  end.push(Uint8Array.of(0x50, 0x4b, 5, 6), u32(0), u16(few), u16(few), u32(long), u32(far), u16(0));
  const wanted = join(...end);
  need(offset + wanted.length === file.size && same(await read(file, offset, file.size), wanted), "b_directory");
  return members;
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Canonical JSON: read, written again, the same. */
function parse(text, keys, name) {
  let value = null;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Wrong("b_form", { name });
  }
  need(value && JSON.stringify(value) === text, "b_form", { name });
  need(keys === null || JSON.stringify(Object.keys(value)) === JSON.stringify(keys), "b_form", { name });
  return value;
}

function lines(text, name) {
  need(text === "" || text.endsWith("\n"), "b_form", { name });
  return text.split("\n").slice(0, -1);
}

const whole = (n) => Number.isSafeInteger(n) && n >= 0;

function fromHexAny(text, name) {
  need(typeof text === "string" && /^([0-9a-f]{2})*$/.test(text), "b_form", { name });
  return Uint8Array.from(text.match(/../g) || [], (pair) => parseInt(pair, 16));
}

/** The members that the entries ask for, no others, with the hashes that manifest and entries give. */
async function checkFiles(m, members, entries, load, progress) {
  const files = new Map(m.files.map((f) => [f.name, f]));
  const gone = new Set();
  for (const e of entries.values()) if (e.type === "erasure" && e.name === "photo") gone.add(e.target);
  const [photos, documents] = [[], []];
  for (const [index, e] of entries) {
    if (e.type === "photo" && !gone.has(index)) {
      const ending = ENDINGS[e.media_type];
      if (m.photos === "originals") {
        const name = `photos/${e.sha256}.${ending}`;
        const f = files.get(name);
        need(f && f.sha256 === e.sha256 && f.bytes === e.bytes, "b_file", { name });
        photos.push(name);
      } else if (ending && ending !== "heic") {
        const name = `copies/${e.sha256}.jpg`;
        need(!e.copy || (files.has(name) && files.get(name).sha256 === e.copy), "b_file", { name });
        photos.push(name);
      }
    } else if (e.type === "export") {
      const name = `documents/timeline.${e.format}`;
      const f = files.get(name);
      need(["docx", "pdf", "xlsx"].includes(e.format) && f && f.sha256 === e.sha256, "b_file", { name });
      documents.push(name);
    }
  }
  const unique = (names) => [...new Set(names)].sort();
  const names = [...HEAD, ...unique(photos), ...unique(documents)];
  need(JSON.stringify([...members.keys()]) === JSON.stringify([...names, ...SEAL]), "b_members");
  const listed = names.filter((name) => name !== HEAD[1]);
  need(JSON.stringify(m.files.map((f) => f.name)) === JSON.stringify(listed), "b_members");
  for (const f of m.files) {
    need(JSON.stringify(Object.keys(f)) === '["name","bytes","sha256"]', "b_form", { name: HEAD[1] });
    need(members.get(f.name).size === f.bytes, "b_file", { name: f.name });
    need(hex(await sha256(await load(f.name))) === f.sha256, "b_file", { name: f.name });
    progress();
  }
  return { photos: unique(photos).length, documents: unique(documents).length, erased: gone.size };
}

async function checkPayloads(text, entries) {
  let [last, count] = [[-1, ""], 0];
  for (const line of lines(text, HEAD[3])) {
    const form = "text" in parse(line, null, HEAD[3]) ? "text" : "hex";
    const p = parse(line, ["entry", "name", "salt", form], HEAD[3]);
    const body = form === "text" ? utf8(p.text) : fromHexAny(p.hex, HEAD[3]);
    const place = { entry: p.entry, name: String(p.name).slice(0, 40) };
    need(whole(p.entry) && (p.entry > last[0] || (p.entry === last[0] && p.name > last[1])), "b_form", { name: HEAD[3] });
    last = [p.entry, p.name];
    const e = entries.get(p.entry);
    const commitment = e && e.commit && e.commit[p.name];
    need(commitment === hex(await sha256(join(fromHexAny(p.salt, HEAD[3]), body))), "b_payload", place);
    count += 1;
  }
  return count;
}

async function checkReadings(text, entries) {
  let [last, count] = [[-1, -1], 0];
  for (const line of lines(text, HEAD[4])) {
    const r = parse(line, ["entry", "pos", "row", "path"], HEAD[4]);
    const place = { entry: r.entry, pos: r.pos };
    need(whole(r.entry) && whole(r.pos) && Array.isArray(r.row) && Array.isArray(r.path), "b_form", { name: HEAD[4] });
    need(r.entry > last[0] || (r.entry === last[0] && r.pos > last[1]), "b_form", { name: HEAD[4] });
    last = [r.entry, r.pos];
    const e = entries.get(r.entry);
    need(e && e.type === "observations", "b_reading", place);
    const leaf = await leafHash(utf8(JSON.stringify(r.row)));
    need(await included(leaf, r.pos, e.count, r.path.map(fromHex), fromHex(e.root)), "b_reading", place);
    count += 1;
  }
  return count;
}

async function checkSignatures(checkpoint, keysText, say) {
  const keys = lines(keysText, SEAL[2]);
  need(keys.length === checkpoint.lines.length && new Set(keys).size === keys.length && keys.length > 0, "b_keys");
  let log = null;
  for (let i = 0; i < keys.length; i += 1) {
    const key = await readKey(keys[i]);
    need(key.type === 4 || key.name === checkpoint.origin, "b_keys");
    if (key.type === 1) log = log || key;
    const time = await checkLine(checkpoint.lines[i], key, checkpoint.signed);
    if (key.type === 4) say("good", "witnessed", { name: key.name, time: new Date(time * 1000).toISOString() });
  }
  need(log !== null, "b_keys");
  say("good", "signed", { key: log.text });
  return log;
}

/** How many hashes the proof of `index` in a tree of `size` has. */
function pathLength(index, size) {
  let [a, b, s] = [BigInt(index), BigInt(index) ^ BigInt(size - 1), 0];
  for (; b > 0n; b >>= 1n) s += 1;
  for (a >>= BigInt(s); a > 0n; a >>= 1n) s += Number(a & 1n);
  return s;
}

async function checkSeal(m, load, entryLines, say) {
  const text = async (name) => strict.decode(await load(name));
  const entry = await load(SEAL[0]);
  const own = parse(strict.decode(entry), null, SEAL[0]);
  const manifest = hex(await sha256(await load(HEAD[1])));
  need(own.type === "export" && own.format === "zip" && own.sha256 === manifest, "b_seal");
  const proof = readProof(await text(SEAL[1]));
  const { checkpoint, index, path } = proof;
  need(proof.extra === null && checkpoint.origin === m.origin && index > Math.max(-1, ...m.entries.slice(-1)), "b_seal");
  need(await included(await leafHash(entry), index, checkpoint.size, path, checkpoint.root), "b_seal");
  const key = await checkSignatures(checkpoint, await text(SEAL[2]), say);
  const proofs = await load(SEAL[3]);
  let at = 0;
  for (let i = 0; i < entryLines.length; i += 1) {
    const hashes = [];
    for (let n = pathLength(m.entries[i], checkpoint.size); n > 0; n -= 1, at += 32) hashes.push(proofs.slice(at, at + 32));
    const leaf = await leafHash(utf8(entryLines[i]));
    need(await included(leaf, m.entries[i], checkpoint.size, hashes, checkpoint.root), "b_entry", { entry: m.entries[i] });
  }
  need(at === proofs.length, "b_proofs");
  return { checkpoint, key };
}

/** A proof file (C2SP tlog-proof). */
export function readProof(text) {
  const at = text.indexOf("\n\n");
  need(at > 0, "bad_proof");
  const head = text.slice(0, at).split("\n");
  need(head.shift() === "c2sp.org/tlog-proof@v1", "bad_proof");
  const extra = head.length > 0 && head[0].startsWith("extra ") ? fromBase64(head.shift().slice(6)) : null;
  const index = /^index (0|[1-9][0-9]{0,14})$/.exec(head.shift() || "");
  need(index, "bad_proof");
  const path = head.map(fromBase64);
  need(path.every((hash) => hash.length === 32), "bad_proof");
  return { extra, index: Number(index[1]), path, checkpoint: readCheckpoint(text.slice(at + 2)) };
}

/** Times do not fall by more than a minute, but where an entry says so, is of version 1, or another stands between. */
function checkTimes(entries, say) {
  let [before, falls] = [null, 0];
  for (const [index, e] of entries) {
    const at = Date.parse(e.received_at);
    if (Number.isNaN(at)) continue;
    if (before && Math.trunc((before.at - at) / 1000) > 60) {
      need(e.v === 1 || "clock_behind_s" in e || before.index + 1 !== index, "b_clock", { entry: index });
      falls += 1;
    }
    before = { index, at };
  }
  if (falls > 0) say("plain", "b_clocks", { n: falls });
}

/**
 * Checks a bundle. `say(state, key, args)` is told each finding that is good or unknown; the first that is not is
 * thrown. Gives the checkpoint and the log's key, for who knows the log.
 */
export async function checkBundle(file, say, progress) {
  const members = await container(file, (share) => progress(share / 2));
  for (const name of [...HEAD, ...SEAL]) need(members.has(name), "b_members");
  const load = (name) => read(file, members.get(name).from, members.get(name).from + members.get(name).size);
  const m = parse(strict.decode(await load(HEAD[1])),
    ["format", "origin", "place", "demo", "filter", "cut_off", "photos", "entries", "files"], HEAD[1]);
  need(m.format === "jijia-bundle@v1" && ["originals", "copies"].includes(m.photos), "b_form", { name: HEAD[1] });
  need(m.entries.every((n, i) => whole(n) && (i === 0 || n > m.entries[i - 1])), "b_form", { name: HEAD[1] });
  say("good", "b_is", { place: m.place, filter: m.filter, cut_off: m.cut_off, demo: m.demo });
  const entryLines = lines(strict.decode(await load(HEAD[2])), HEAD[2]);
  need(entryLines.length === m.entries.length, "b_form", { name: HEAD[2] });
  const entries = new Map(entryLines.map((line, i) => [m.entries[i], JSON.parse(line)]));
  checkTimes(entries, say);
  let done = 0;
  const files = await checkFiles(m, members, entries, load, () => progress(0.5 + (0.5 * (done += 1)) / m.files.length));
  say("good", "b_files", { n: m.files.length });
  const payloads = await checkPayloads(strict.decode(await load(HEAD[3])), entries);
  const readings = await checkReadings(strict.decode(await load(HEAD[4])), entries);
  const sealed = await checkSeal(m, load, entryLines, say);
  say("good", "b_entries", { n: entryLines.length, size: sealed.checkpoint.size });
  say("good", "b_payloads", { payloads, readings });
  say("good", m.photos === "originals" ? "b_originals" : "b_copies", { n: files.photos });
  if (files.erased > 0) say("good", "b_erased", { n: files.erased });
  return sealed;
}

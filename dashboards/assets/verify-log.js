// The evidence log, read and checked by script alone: C2SP checkpoints (signed notes) and C2SP tiles. Nothing here believes
// the server: what it sends is hashed and compared.

import {
  Wrong, continued, fromBase64, hex, join, need, nodeHash, readCheckpoint, same, sha256, utf8,
} from "./log-tree.js";
import { verifyAsync } from "./noble-ed25519.js";

/** A verifier key, `name+id+base64(type ‖ public key)`; its id is checked. */
export async function readKey(text) {
  const at = text.split("+");
  const [name, id, key] = [at[0], at[1], fromBase64(at.slice(2).join("+"))];
  need(name && !/\s/.test(name) && key.length === 33 && (key[0] === 1 || key[0] === 4), "bad_key");
  const own = (await sha256(join(utf8(`${name}\n`), key))).slice(0, 4);
  need(hex(own) === id, "bad_key");
  return { text, name, id: own, type: key[0], key: key.slice(1) };
}

/** The instant of a witness's line (seconds), 0 for a log's; `Wrong` if the line is not by this key. */
export async function checkLine(line, key, signed) {
  const start = `— ${key.name} `;
  need(line.startsWith(start), "bad_signature", { name: key.name });
  const bytes = fromBase64(line.slice(start.length));
  need(same(bytes.slice(0, 4), key.id), "bad_signature", { name: key.name });
  const at = key.type === 4 ? 12 : 4;
  let message = signed;
  let time = 0;
  if (key.type === 4) {
    time = Number(new DataView(bytes.buffer).getBigUint64(4));
    message = join(utf8(`cosignature/v1\ntime ${time}\n`), signed);
  }
  need(bytes.length === at + 64, "bad_signature", { name: key.name });
  // The library throws where a point is none.
  const good = await verifyAsync(bytes.slice(at), message, key.key, { zip215: false }).catch(() => false);
  need(good, "bad_signature", { name: key.name });
  return time;
}

async function get(address) {
  let answer = null;
  try {
    answer = await fetch(address);
  } catch (error) {
    throw new Wrong("no_server", { address });
  }
  need(answer.ok, "no_answer", { address, status: answer.status });
  return new Uint8Array(await answer.arrayBuffer());
}

/** `x001/x234/067` (C2SP tlog-tiles). */
function tileNumber(n) {
  const parts = [String(n % 1000).padStart(3, "0")];
  for (let rest = Math.floor(n / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    parts.unshift(`x${String(rest % 1000).padStart(3, "0")}`);
  }
  return parts.join("/");
}

/** The published log of this server at its newest checkpoint. */
export class Log {
  static async open() {
    const log = new Log();
    log.checkpoint = readCheckpoint(new TextDecoder().decode(await get("/log/checkpoint")));
    log.size = log.checkpoint.size;
    log.tiles = new Map();
    need(same(await log.root(log.size), log.checkpoint.root), "bad_tiles");
    return log;
  }

  /** A tile of hashes, as wide as the checkpoint's tree has it. */
  tile(level, n) {
    const below = 256 ** level;
    const width = Math.min(256, Math.floor(this.size / below) - n * 256);
    const name = `/log/tile/${level}/${tileNumber(n)}${width < 256 ? `.p/${width}` : ""}`;
    if (!this.tiles.has(name)) this.tiles.set(name, get(name));
    return this.tiles.get(name);
  }

  /** Hash of the full subtree `index` of 2^level leaves. */
  async subtree(level, index) {
    const within = level % 8;
    const count = 2 ** within;
    const first = index * count;
    const bytes = await this.tile(Math.floor(level / 8), Math.floor(first / 256));
    let hashes = [];
    for (let i = first % 256; i < (first % 256) + count; i += 1) hashes.push(bytes.slice(32 * i, 32 * i + 32));
    need(hashes.every((hash) => hash.length === 32), "short_tile");
    while (hashes.length > 1) {
      const pairs = [];
      for (let i = 0; i < hashes.length; i += 2) pairs.push(nodeHash(hashes[i], hashes[i + 1]));
      hashes = await Promise.all(pairs);
    }
    return hashes[0];
  }

  /** RFC 6962 hash over the leaves from `low` to `high`, where `low` is a multiple of what lies between. */
  async range(low, high) {
    const count = high - low;
    const level = Math.ceil(Math.log2(count));
    if (2 ** level === count) return this.subtree(level, low / count);
    const middle = low + 2 ** (level - 1);
    return nodeHash(await this.range(low, middle), await this.range(middle, high));
  }

  /** The root over the first `size` entries, by the tiles. */
  root(size) {
    return size === 0 ? sha256(new Uint8Array(0)) : this.range(0, size);
  }

  /** Is `head` the beginning of this log? By one proof for both: two roots from tiles of their own could be of two logs. */
  async continues(head) {
    if (head.size === 0) return false;
    const hashes = [];
    let [start, end] = [0, this.size];
    while (end !== head.size) {
      const middle = start + 2 ** (Math.ceil(Math.log2(end - start)) - 1);
      if (head.size <= middle) {
        hashes.unshift(await this.range(middle, end));
        end = middle;
      } else {
        hashes.unshift(await this.range(start, middle));
        start = middle;
      }
    }
    if (start > 0) hashes.unshift(await this.range(start, end));
    return continued(head.size, head.root, this.size, this.checkpoint.root, hashes);
  }

  /** The inclusion proof of `index` in the checkpoint's tree, from the leaf up. */
  async path(index, low = 0, high = this.size) {
    if (high - low === 1) return [];
    const middle = low + 2 ** (Math.ceil(Math.log2(high - low)) - 1);
    return index < middle
      ? [...(await this.path(index, low, middle)), await this.range(middle, high)]
      : [...(await this.path(index, middle, high)), await this.range(low, middle)];
  }

  /** The leaf hash of an entry: the tiles of level 0. Its bytes are for those who may see the whole lake. */
  leaf(index) {
    return this.subtree(0, index);
  }
}

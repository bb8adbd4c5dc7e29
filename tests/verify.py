#!/usr/bin/env python3
"""A second verifier of bundles, written from the format's description (src/evidence/bundle.rs) and nothing else.
verify.py FILE.zip [--key VKEY] [--witness VKEY]...   exit code 0 good, 1 broken, 2 not a bundle, 3 good by no key but its own."""
import argparse, base64, hashlib, json, re, struct, sys, zlib
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

HEAD = ["读我.txt", "manifest.json", "entries.jsonl", "payloads.jsonl", "readings.jsonl"]
SEAL = ["seal/entry.json", "seal/entry.tlog-proof", "seal/keys.txt", "seal/proofs.bin"]
FULL, ENDINGS = 2**32 - 1, {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "image/heic": "heic"}
TEXTS = {"photo": "sha256 media_type", "observations": "root", "export": "format sha256", "erasure": "name"}
NUMBERS = {"photo": "bytes", "observations": "count", "erasure": "target"}

def sha(*parts): return hashlib.sha256(b"".join(parts)).digest()
def hash_of(text): return bytes.fromhex(re.fullmatch("[0-9a-f]{64}", text)[0])
def number(n): return type(n) is int and 0 <= n < 2**63
def texts(values): return isinstance(values, list) and all(isinstance(v, str) for v in values)
def canonical(value): return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()

def need(good, what):
    if not good:
        raise ValueError(what)

def parse(data, keys, what):  # canonical JSON of an object with exactly these keys
    value = json.loads(data)
    need(isinstance(value, dict) and list(value) == keys and canonical(value) == data, what)
    return value

def decode(text):
    data = base64.b64decode(text, validate=True)
    need(base64.b64encode(data).decode() == text, "base64")
    return data

def lines(data):
    need(data == b"" or data.endswith(b"\n"), "last line")
    return data.split(b"\n")[:-1]

def included(leaf, index, size, path, root):
    """RFC 9162, 2.1.3.2."""
    fn, sn, r = index, size - 1, leaf
    need(index < size, "index")
    for p in path:
        need(sn, "proof too long")
        if fn & 1 or fn == sn:
            r = sha(b"\1", p, r)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = sha(b"\1", r, p)
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0 and r == root, "proof")

def container(file):
    """The members, name -> bytes, in their order; the container is compared byte for byte."""
    members, central, offset = {}, b"", 0
    while True:
        head = file.read(30)
        if head[:4] != b"PK\3\4":
            break
        crc, size, _, length = struct.unpack("<IIIH", head[14:28])
        name, data = file.read(length), file.read(size)
        fixed = bytes.fromhex("0008000000002100") + struct.pack("<IIIH", crc, size, size, length)
        need(head == b"PK\3\4\x14\0" + fixed + b"\0\0" and size < FULL, "local header")
        need(len(name) == length and len(data) == size and zlib.crc32(data) == crc, "crc32")
        need(name.decode() not in members, "name twice")
        members[name.decode()] = data
        far = offset >= FULL
        central += b"PK\1\2\x14\0" + (b"\x2d\0" if far else b"\x14\0") + fixed + (b"\x0c\0" if far else b"\0\0")
        central += bytes(10) + struct.pack("<I", min(offset, FULL)) + name
        central += b"\1\0\x08\0" + struct.pack("<Q", offset) if far else b""
        offset += 30 + length + size
    count, length, end = len(members), len(central), central
    if count >= 65535 or length >= FULL or offset >= FULL:
        end += b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 20, 45, 0, 0, count, count, length, offset)
        end += b"PK\6\7" + struct.pack("<IQI", 0, offset + length, 1)
    count, length, offset = min(count, 65535), min(length, FULL), min(offset, FULL)
    end += b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count, count, length, offset, 0)
    need(head + file.read() == end, "central directory")
    return members

def read_entry(line):
    e = json.loads(line)
    need(len(line) <= 65535 and isinstance(e["type"], str), "entry")
    need(texts([e[key] for key in TEXTS.get(e["type"], "").split()]), "entry")
    need(e["type"] not in NUMBERS or number(e[NUMBERS[e["type"]]]), "entry")
    need(e["type"] not in ("report", "correction") or texts(e["photos"]), "entry")
    e["commit"] = {name: hash_of(text) for name, text in e.get("commit", {}).items()}
    return e

def read_manifest(data):
    m = parse(data, "format origin place demo filter cut_off photos entries files".split(), "manifest")
    need(m["format"] == "jijia-bundle@v1" and m["photos"] in ("originals", "copies"), "format")
    need(texts([m["origin"], m["place"], m["filter"]]) and type(m["demo"]) is bool, "manifest")
    need(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d*[1-9])?Z", m["cut_off"]), "cut_off")
    need(all(map(number, m["entries"])) and m["entries"] == sorted(set(m["entries"])), "entries")
    for f in m["files"]:
        need(list(f) == ["name", "bytes", "sha256"] and number(f["bytes"]) and texts([f["name"], f["sha256"]]), "files")
    return m

def check_files(m, members, entries):
    """The files that the entries ask for, no others, with the hashes that manifest and entries give."""
    files, photos, documents = {f["name"]: f for f in m["files"]}, set(), set()
    gone = {e["target"] for e in entries.values() if e["type"] == "erasure" and e["name"] == "photo"}
    for e in (e for index, e in entries.items() if index not in gone or e["type"] != "photo"):
        if e["type"] == "photo" and m["photos"] == "originals":
            photos.add(name := "photos/%s.%s" % (e["sha256"], ENDINGS[e["media_type"]]))
            need(files[name]["sha256"] == e["sha256"] and files[name]["bytes"] == e["bytes"], name)
        elif e["type"] == "photo" and ENDINGS.get(e["media_type"], "heic") != "heic":
            photos.add(name := "copies/%s.jpg" % e["sha256"])
            need(e.get("copy") in (None, files[name]["sha256"]), name)
        elif e["type"] == "export":
            name = "documents/timeline." + e["format"]
            documents.add(name)
            need(e["format"] in ("docx", "pdf", "xlsx") and files[name]["sha256"] == e["sha256"], name)
    names = HEAD + sorted(photos, key=str.encode) + sorted(documents)
    need(list(members) == names + SEAL and [f["name"] for f in m["files"]] == names[:1] + names[2:], "members")
    for name, f in files.items():
        need(len(members[name]) == f["bytes"] and sha(members[name]).hex() == f["sha256"], name)

def check_times(entries):
    """Times do not fall by more than a minute, but where an entry says so, is of version 1, or another stands between."""
    behind, last = 0, (0, None)
    for index, e in ((i, e) for i, e in entries.items() if "received_at" in e):
        before, last = last, (index, datetime.fromisoformat(e["received_at"]))
        if before[1] and int((before[1] - last[1]).total_seconds()) > 60:
            need(e["v"] == 1 or "clock_behind_s" in e or before[0] + 1 != index, "clock")
            behind += 1
    return behind

def check_lines(payloads, readings, entries):
    last = (-1, b"")
    for line in lines(payloads):
        form = "text" if "text" in json.loads(line) else "hex"
        p = parse(line, ["entry", "name", "salt", form], "payload")
        salt, body = bytes.fromhex(p["salt"]), p["text"].encode() if form == "text" else bytes.fromhex(p["hex"])
        bare = form == "hex" and body.hex() == p["hex"] and body.decode(errors="replace").encode() != body
        need(salt.hex() == p["salt"] and (bare or form == "text"), "hex")
        before, last = last, (p["entry"], p["name"].encode())
        need(number(p["entry"]) and before < last, "order of payloads")
        need(entries[p["entry"]]["commit"][p["name"]] == sha(salt, body), "payload")
    last = (-1, 0)
    for line in lines(readings):
        r = parse(line, ["entry", "pos", "row", "path"], "reading")
        before, last, e = last, (r["entry"], r["pos"]), entries[r["entry"]]
        need(number(r["entry"]) and number(r["pos"]) and before < last, "order of readings")
        need(e["type"] == "observations" and isinstance(r["row"], list) and isinstance(r["path"], list), "reading")
        path = [hash_of(h) for h in r["path"]]
        included(sha(b"\0", canonical(r["row"])), r["pos"], e["count"], path, hash_of(e["root"]))

def check_signatures(text, keys, body, origin, trusted, witnesses):
    """Each signature line by the key in its place."""
    keys, signatures, good = lines(keys), lines(text), {1: [], 4: []}
    need(len(keys) == len(signatures) == len(set(keys)), "a signature line without its key")
    for vkey, line in zip(keys, signatures):
        name, key_id, key = vkey.decode().split("+", 2)
        start, key, line = "— %s " % name, decode(key), line.decode()
        need(name and not re.search(r"\s", name) and sha(name.encode(), b"\n", key)[:4].hex() == key_id, "key")
        signature, message = decode(line[len(start):]), body
        need(line.startswith(start) and signature[:4].hex() == key_id, "signature of another key")
        need(key[0] == 4 or name == origin, "key of another log")
        if key[0] == 4:
            message = b"cosignature/v1\ntime %d\n" % struct.unpack(">Q", signature[4:12]) + body
        Ed25519PublicKey.from_public_bytes(key[1:]).verify(signature[12 if key[0] == 4 else 4:], message)
        good[key[0]].append(vkey.decode())
    need(good[1] and (trusted is None or trusted in good[1]), "not signed by the log's key")
    need(all(w in good[4] for w in witnesses), "not signed by the witness")

def check_seal(m, members, trusted, witnesses):
    own = json.loads(members["seal/entry.json"])
    need((own["type"], own["format"], own["sha256"]) == ("export", "zip", sha(members["manifest.json"]).hex()), "seal")
    proof, body, signatures = members["seal/entry.tlog-proof"].decode().split("\n\n")
    (magic, index, *path), (origin, size, root) = proof.split("\n"), body.split("\n")
    need(magic == "c2sp.org/tlog-proof@v1" and re.fullmatch("index (0|[1-9][0-9]*)", index), "proof")
    need(origin == m["origin"] and re.fullmatch("[1-9][0-9]*", size), "checkpoint")
    index, size, root = int(index[6:]), int(size), decode(root)
    need(m["entries"][-1:] < [index], "index of the seal")
    included(sha(b"\0", members["seal/entry.json"]), index, size, [decode(h) for h in path], root)
    check_signatures(signatures.encode(), members["seal/keys.txt"], body.encode() + b"\n", origin, trusted, witnesses)
    proofs = members["seal/proofs.bin"]
    for i, line in zip(m["entries"], lines(members["entries.jsonl"])):
        s = (i ^ (size - 1)).bit_length()
        n = 32 * (s + bin(i >> s).count("1"))
        path, proofs = [proofs[at:at + 32] for at in range(0, n, 32)], proofs[n:]
        included(sha(b"\0", line), i, size, path, root)
    need(proofs == b"", "proofs left over")

def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("file", type=argparse.FileType("rb"))
    args.add_argument("--key")
    args.add_argument("--witness", action="append", default=[])
    args = args.parse_args()
    begin = args.file.read(40)
    args.file.seek(0)
    if begin[:4] + begin[26:28] + begin[30:] != b"PK\3\4\x0a\0" + HEAD[0].encode():
        return "not a bundle", 2
    try:
        members = container(args.file)
        m, data = read_manifest(members["manifest.json"]), lines(members["entries.jsonl"])
        entries = dict(zip(m["entries"], map(read_entry, data), strict=True))
        behind = check_times(entries)
        check_files(m, members, entries)
        check_lines(members["payloads.jsonl"], members["readings.jsonl"], entries)
        check_seal(m, members, args.key, args.witness)
    except Exception as error:  # what does not parse is broken too, wherever it is met
        return "broken: %s %s" % (type(error).__name__, error), 1
    said = ", %d received before the one before" % behind if behind else ""
    return "good: %d entries of %s, key %s%s" % (len(entries), m["origin"], args.key or "of the bundle", said), 0 if args.key else 3

if __name__ == "__main__":
    said, code = main()
    sys.exit(print(said) or code)

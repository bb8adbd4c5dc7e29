// The page /verify in a real browser, on a running server: what is good passes, what was altered is named, and nothing
// asks another host. Each altered thing is made from a good one here.
"use strict";
const crypto = require("crypto");

const get = async (address) => {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  return answer;
};

/** Node 18 has none of its own. */
function crc32(bytes) {
  let c = ~0;
  for (const byte of bytes) {
    c ^= byte;
    for (let k = 0; k < 8; k += 1) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  }
  return ~c >>> 0;
}

/** RFC 6962 hash over no entries. */
const EMPTY = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
const flip = (text, at) => text.slice(0, at) + (text[at] === "a" ? "b" : "a") + text.slice(at + 1);

/** Flips one bit of the byte at `at` and puts the checksums right, as a forger would. */
function forged(zip, name, within) {
  const bytes = Buffer.from(zip);
  let at = 0;
  for (;;) {
    const [size, length] = [bytes.readUInt32LE(at + 18), bytes.readUInt16LE(at + 26)];
    const found = bytes.toString("utf8", at + 30, at + 30 + length);
    const from = at + 30 + length;
    if (found.startsWith(name)) {
      bytes[from + within(bytes.subarray(from, from + size))] ^= 1;
      const crc = crc32(bytes.subarray(from, from + size));
      bytes.writeUInt32LE(crc, at + 14);
      const central = bytes.indexOf(Buffer.from(found), from + size);
      for (let c = central; c > 0; c = bytes.indexOf(Buffer.from(found), c + 1)) {
        if (bytes.readUInt32LE(c - 46) === 0x02014b50) bytes.writeUInt32LE(crc, c - 30);
      }
      return bytes;
    }
    at = from + size;
  }
}

/** What the page says of a text or a file: the verdict and the keys of its findings. */
async function ask(page, { text, file, key = "" }) {
  await page.fill("#key", key);
  if (file) {
    await page.setInputFiles("#file", { name: "x.zip", mimeType: "application/zip", buffer: file });
  } else {
    await page.fill("#text", text);
    await page.click("#go");
  }
  await page.waitForFunction(() => !document.getElementById("go").disabled && !document.getElementById("result").hidden);
  const said = await page.evaluate(() => ({
    verdict: document.getElementById("result").dataset.verdict,
    keys: [...document.querySelectorAll("#findings li")].map((line) => line.dataset.finding),
    words: document.getElementById("findings").innerText,
  }));
  await page.evaluate(() => {
    document.getElementById("result").hidden = true;
    document.getElementById("file").value = "";
  });
  return said;
}

const sha256 = (...parts) => crypto.createHash("sha256").update(Buffer.concat(parts)).digest();

/** RFC 6962 root over leaf hashes. */
function rootOf(leaves) {
  if (leaves.length === 1) return leaves[0];
  const half = 2 ** (Math.ceil(Math.log2(leaves.length)) - 1);
  return sha256(Buffer.of(1), rootOf(leaves.slice(0, half)), rootOf(leaves.slice(half)));
}

/**
 * A server that has changed an entry and keeps the old tile for whoever asks with an old paper: the paper's root comes out
 * of the old hashes, today's out of the others, and only one proof for both shows that they are of two logs.
 */
async function twoLogs(browser, base, say, origin) {
  const tiles = [];
  for (const n of [0, 1]) tiles.push(Buffer.from(await (await get(`${base}/log/tile/0/00${n}`)).arrayBuffer()));
  const old = Buffer.from(tiles[1]);
  old.write("what was there before", 32 * 2);
  const leaves = Array.from({ length: 300 }, (_, i) => (i < 256 ? tiles[0].subarray(32 * i, 32 * i + 32)
    : old.subarray(32 * (i - 256), 32 * (i - 256) + 32)));
  const paper = (kept) => `${origin}\n300\n${rootOf(kept).toString("base64")}`;
  const page = await browser.newPage();
  await page.goto(`${base}/verify`);
  await page.route("**/log/tile/0/001", (route) => route.fulfill({ body: old }));
  const said = await ask(page, { text: paper(leaves) });
  say(said.verdict === "bad" && said.keys.includes("forked"), `verify: one log for papers and one for today: ${said.keys}`);
  await page.unroute("**/log/tile/0/001");
  const same = leaves.map((leaf, i) => (i < 256 ? leaf : tiles[1].subarray(32 * (i - 256), 32 * (i - 256) + 32)));
  const true_one = await ask(page, { text: paper(same) });
  say(true_one.verdict === "good", `verify: a paper of 300 entries: ${true_one.keys}`);
  await page.close();
}

exports.verify = async function verify(browser, base, say, keep) {
  const rows = (await (await get(`${base}/api/v1/timeline?outfall=JJH-PK-0003&limit=1`)).json()).rows;
  const seen = rows.find((row) => row.row === "sighting");
  const { index, leaf_hash: leaf } = seen.entry;
  // The newest version of the report: its entry may be a correction of another id and time.
  const report = await (await get(`${base}/api/v1/reports/${seen.id}`)).json();
  const entry = JSON.parse(report.versions[report.versions.length - 1].canonical);
  const { canonical } = report.versions[report.versions.length - 1];
  const receipt = { id: entry.id, index, leaf_hash: leaf, received_at: entry.received_at, entry: canonical };
  const { entry: none, ...old } = receipt;
  const proof = await (await get(`${base}/api/v1/log/proofs/${index}`)).text();
  const checkpoint = await (await get(`${base}/log/checkpoint`)).text();
  const { key } = await (await get(`${base}/api/v1/log/key`)).json();
  const paper = checkpoint.split("\n").slice(0, 3).join("\n");
  const bundle = async (photos) => {
    const day = new Date(Date.now() - 4 * 86400000).toISOString().slice(0, 10);
    const address = `${base}/api/v1/bundles?outfall=JJH-PK-0003&from=${day}&photos=${photos}`;
    const made = await (await fetch(address, { method: "POST" })).json();
    return Buffer.from(await (await get(base + made.href)).arrayBuffer());
  };
  const [copies, originals] = [await bundle("copies"), await bundle("originals")];
  const [origin, size, root] = paper.split("\n");
  const digit = (bytes) => bytes.indexOf(Buffer.from('"received_at":"')) + 16;
  // A character of the Base64 whose neighbour is one as well.
  const signed = (bytes) => bytes.subarray(0, -20).toString("latin1").search(/[b-yB-Y2-9][^b-yB-Y2-9]*$/);
  const cases = [
    ["a receipt", { text: JSON.stringify(receipt) }, "good", "included"],
    ["a receipt with an older date", { text: JSON.stringify({ ...receipt, received_at: "2026-01-01T00:00:00Z" }) }, "bad",
      "other_field"],
    ["a receipt under another id", { text: JSON.stringify({ ...receipt, id: seen.id.replace(/^./, "0") + "0" }) }, "bad",
      "other_field"],
    ["a receipt whose entry has an older date", { text: JSON.stringify({ ...receipt,
      received_at: "2026-01-01T00:00:00Z", entry: canonical.replace(entry.received_at, "2026-01-01T00:00:00Z") }) }, "bad",
      "other_bytes"],
    ["a receipt of the time before", { text: JSON.stringify(old) }, "unknown", "not_compared"],
    ["a receipt as two numbers", { text: `${index}, ${leaf}` }, "good", "included"],
    ["a proof file", { text: proof }, "good", "proof_signed"],
    ["a proof file by the key that was given", { text: proof, key }, "good", "signed_given"],
    ["a printed head", { text: paper }, "good", "continues"],
    ["a bundle of copies", { file: copies }, "good", "continues"],
    ["a bundle of originals", { file: originals, key }, "good", "b_originals"],
    ["a receipt with another hash", { text: `${index}, ${flip(leaf, 9)}` }, "bad", "other_entry"],
    ["a receipt of the next entry", { text: `${index + 1}, ${leaf}` }, "bad", "other_entry"],
    ["a receipt that is not signed yet", { text: `999999999, ${leaf}` }, "unknown", "not_signed_yet"],
    ["a proof of another entry", { text: proof.replace(/^extra .*$/m, `extra ${btoa('{"v":2}')}`) }, "bad", "bad_path"],
    ["a proof with another index", { text: proof.replace(/^index .*$/m, "index 0") }, "bad", "bad_path"],
    ["a proof with a line less", { text: proof.replace(/^[A-Za-z0-9+/=]{44}\n/m, "") }, "bad", "bad_path"],
    ["a head with another root", { text: `${origin}\n${size}\n${Buffer.alloc(32, 7).toString("base64")}` }, "bad", "forked"],
    ["a head of another log", { text: `example.org/x\n${size}\n${root}` }, "bad", "other_origin"],
    ["a head beyond the log", { text: `${origin}\n${Number(size) + 99999}\n${root}` }, "bad", "shorter"],
    ["another key", { text: proof, key: flip(key, key.length - 5) }, "bad", "bad_key"],
    ["any text", { text: "hello" }, "unknown", "not_known"],
    ["any file", { file: Buffer.from("PK\u0003\u0004 nothing of the kind") }, "unknown", "not_known"],
    ["an entry altered", { file: forged(copies, "entries.jsonl", digit) }, "bad", "b_file"],
    ["a payload altered", { file: forged(copies, "payloads.jsonl", (b) => b.length - 9) }, "bad", "b_file"],
    ["a photo altered", { file: forged(originals, "photos/", () => 99) }, "bad", "b_file"],
    ["a copy altered", { file: forged(copies, "copies/", () => 99) }, "bad", "b_file"],
    ["a signature altered", { file: forged(copies, "seal/entry.tlog-proof", signed) }, "bad", "bad_signature"],
    ["a proof altered", { file: forged(copies, "seal/proofs.bin", () => 5) }, "bad", "b_entry"],
    ["a byte behind", { file: Buffer.concat([copies, Buffer.from("x")]) }, "bad", "b_directory"],
    ["cut off", { file: copies.subarray(0, copies.length - 30) }, "bad", "b_directory"],
  ];
  for (const lang of ["zh", "en"]) {
    const context = await browser.newContext({ viewport: { width: 390, height: 844 } });
    const page = await context.newPage();
    const elsewhere = [];
    page.on("request", (request) => request.url().startsWith(base) || elsewhere.push(request.url()));
    await page.goto(`${base}/verify?lang=${lang}`);
    for (const [what, given, verdict, key] of cases) {
      const said = await ask(page, given);
      const unnamed = said.keys.filter((k) => said.words.includes(k) && !said.words.includes(`/${k}`) && k.includes("_"));
      const good = said.verdict === verdict && said.keys.includes(key) && unnamed.length === 0 && !/\{\w+\}/.test(said.words);
      say(good, `verify ${lang}: ${what}${good ? "" : ` gave ${said.verdict} ${said.keys}\n${said.words}`}`);
    }
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    say(wide <= 0 && elsewhere.length === 0, `verify ${lang}: no sideways scrolling (${wide}), nothing from elsewhere (${elsewhere})`);
    await ask(page, { text: proof });
    await page.evaluate(() => (document.getElementById("result").hidden = false));
    if (keep) await keep(page, `verify-checked-${lang}-phone`);
    await context.close();
  }
  // A key of one's own seals anything: without this log, only a key known before makes a bundle good.
  const other = await browser.newPage();
  await other.goto(`${base}/verify`);
  const heads = [
    ["no log here", (route) => route.abort(), "bundle_alone"],
    ["another log here", (route) => route.fulfill({ body: `example.org/x\n0\n${EMPTY}\n\n` }), "bundle_elsewhere"],
  ];
  for (const [what, answer, finding] of heads) {
    await other.route("**/log/checkpoint", answer);
    for (const [given, verdict] of [["", "unknown"], [key, "good"]]) {
      const said = await ask(other, { file: copies, key: given });
      const good = said.verdict === verdict && said.keys.includes(finding);
      say(good, `verify: ${what}, ${given ? "a" : "no"} key known before: ${said.verdict} ${good ? "" : said.keys}`);
    }
    await other.unroute("**/log/checkpoint");
  }
  await other.close();
  await twoLogs(browser, base, say, origin);
  const page = await browser.newPage();
  await page.goto(`${base}/verify#${index},${leaf}`);
  await page.waitForFunction(() => document.getElementById("result").dataset.verdict === "good", null, { timeout: 10000 })
    .then(() => say(true, "verify: a link from a receipt is checked at once"), () => say(false, "verify: a link from a receipt"));
  await page.close();
};

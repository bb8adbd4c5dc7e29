// The page that checks a receipt, a proof file, a bundle or the QR of a printed document against the published log,
// by script alone. Every finding is a line of words from the page's own list; the verdict stands above them.
import { Wrong, fromBase64, fromHex, hex, included, leafHash, need, readCheckpoint, same, utf8 } from "./log-tree.js";
import { Log, checkLine, readKey } from "./verify-log.js";
import { checkBundle, isBundle, readProof } from "./verify-bundle.js";

const $ = (id) => document.getElementById(id);
const words = new Map([...$("words").children].map((line) => [line.dataset.key, line.textContent]));
const SMALL = 1 << 20;

/** Words of the catalogue, their names in braces filled; what fills them is text, never markup. */
function fill(key, args) {
  const text = words.get(key) || key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in args ? String(args[name]) : whole));
}

function say(state, key, args = {}) {
  const line = document.createElement("li");
  line.className = state;
  line.dataset.finding = key;
  const mark = document.createElement("b");
  mark.textContent = words.get(`mark.${state}`);
  line.append(mark, " ", fill(key, args));
  $("findings").append(line);
}

function verdict(state) {
  $("verdict").className = state;
  $("verdict").textContent = words.get(`verdict.${state}`);
  $("result").hidden = false;
  $("result").dataset.verdict = state;
  $("result").focus();
}

/** The log of this server with its signature checked, by the key that was given or by the server's. */
async function openLog() {
  const log = await Log.open();
  const given = $("key").value.trim();
  let key = null;
  if (given) {
    key = await readKey(given);
  } else {
    const answer = await fetch("/api/v1/log/key");
    need(answer.ok, "no_answer", { address: "/api/v1/log/key", status: answer.status });
    key = await readKey((await answer.json()).key);
  }
  const { checkpoint } = log;
  need(key.type === 1 && key.name === checkpoint.origin, "other_origin", { paper: key.name, log: checkpoint.origin });
  const line = checkpoint.lines.find((l) => l.startsWith(`— ${key.name} `) && ofKey(l, key));
  need(line, "bad_signature", { name: key.name });
  await checkLine(line, key, checkpoint.signed);
  say("good", given ? "signed_given" : "signed", { key: key.text });
  log.key = key;
  return log;
}

function ofKey(line, key) {
  try {
    return same(fromBase64(line.split(" ")[2]).slice(0, 4), key.id);
  } catch (error) {
    return false;
  }
}

/**
 * An entry by its index and leaf hash: a receipt. The log publishes hashes; what the entry says is known from its bytes
 * alone, which a receipt of entry format 2 and a proof file carry.
 */
async function checkReceipt(log, index, leaf, receipt = {}) {
  need(index < log.size, "not_signed_yet", { index, size: log.size });
  const found = await log.leaf(index);
  need(same(found, leaf), "other_entry", { index, found: hex(found) });
  say("good", "entry_same", { index });
  need(await included(leaf, index, log.size, await log.path(index), log.checkpoint.root), "not_included", { index });
  say("good", "included", { index, size: log.size });
  if (typeof receipt.entry !== "string") {
    if (receipt.id || receipt.received_at) say("unknown", "not_compared");
    return;
  }
  need(same(await leafHash(utf8(receipt.entry)), leaf), "other_bytes", { index });
  const said = JSON.parse(receipt.entry);
  // What stands beside the hash in a receipt is the entry's, too: an old date on a true hash is a lie.
  const own = { id: said.id || said.sha256, received_at: said.received_at };
  for (const field of ["id", "received_at"]) {
    need(!receipt[field] || !own[field] || receipt[field] === own[field], "other_field", { field, entry: own[field] });
  }
  say("good", "entry_says", { type: said.type, received_at: said.received_at });
}

/** An earlier head of the same log: from a paper, a proof or a bundle. */
async function checkOlder(log, head) {
  need(head.origin === log.checkpoint.origin, "other_origin", { paper: head.origin, log: log.checkpoint.origin });
  need(head.size <= log.size, "shorter", { paper: head.size, log: log.size });
  need(await log.continues(head), "forked", { size: head.size });
  say("good", "continues", { size: head.size, log: log.size });
}

async function checkProof(log, proof) {
  need(proof.index < log.size, "not_signed_yet", { index: proof.index, size: log.size });
  const leaf = proof.extra ? await leafHash(proof.extra) : await log.leaf(proof.index);
  const head = proof.checkpoint;
  need(await included(leaf, proof.index, head.size, proof.path, head.root), "bad_path", { index: proof.index });
  say("good", "proof_good", { index: proof.index, size: head.size });
  const own = head.lines.filter((line) => ofKey(line, log.key));
  if (own.length > 0) {
    await checkLine(own[0], log.key, head.signed);
    say("good", "proof_signed");
  } else {
    say("unknown", "proof_other_key");
  }
  await checkOlder(log, head);
  await checkReceipt(log, proof.index, leaf, proof.extra ? { entry: new TextDecoder().decode(proof.extra) } : {});
}

/** What a text is: a proof file, the head of a log (a QR, a checkpoint), or a receipt. */
function understand(text) {
  const trimmed = text.trim();
  if (trimmed.startsWith("c2sp.org/tlog-proof@")) {
    const proof = readProof(text.replace(/\r\n/g, "\n").replace(/^\s+/, ""));
    return { name: "is_proof", args: { index: proof.index }, check: (log) => checkProof(log, proof) };
  }
  if (trimmed.startsWith("{")) {
    let receipt = null;
    try {
      receipt = JSON.parse(trimmed);
    } catch (error) {
      throw new Wrong("not_known");
    }
    const index = "index" in receipt ? receipt.index : receipt.log_index;
    need(Number.isSafeInteger(index) && index >= 0 && receipt.leaf_hash, "not_known");
    const leaf = fromHex(String(receipt.leaf_hash));
    return { name: "is_receipt", args: { index }, check: (log) => checkReceipt(log, index, leaf, receipt) };
  }
  const pair = /^#?\s*(\d{1,15})[\s,;:，；：]+([0-9a-f]{64})$/i.exec(trimmed);
  if (pair) {
    const [index, leaf] = [Number(pair[1]), fromHex(pair[2].toLowerCase())];
    return { name: "is_receipt", args: { index }, check: (log) => checkReceipt(log, index, leaf) };
  }
  const rows = trimmed.split(/\r?\n/).map((row) => row.trim());
  if (rows.length >= 3 && /^\d+$/.test(rows[1])) {
    const head = readCheckpoint(`${rows.slice(0, 3).join("\n")}\n`);
    return { name: "is_head", args: { size: head.size }, check: (log) => checkOlder(log, head) };
  }
  throw new Wrong("not_known");
}

async function checkText(text) {
  const { name, args, check } = understand(text);
  say("plain", name, args);
  await check(await openLog());
}

async function checkFile(file) {
  if (!(await isBundle(file))) {
    need(file.size <= SMALL, "not_known");
    return checkText(await file.text());
  }
  say("plain", "is_bundle", { name: file.name, mb: (file.size / 1e6).toFixed(1) });
  const bar = $("progress");
  bar.hidden = false;
  try {
    const sealed = await checkBundle(file, say, (share) => {
      bar.value = share;
    });
    const given = $("key").value.trim();
    if (given) {
      need(sealed.key.text === given, "bundle_other_key", { key: sealed.key.text });
      say("good", "bundle_given_key");
    }
    await checkHere(sealed.checkpoint, given !== "");
  } finally {
    bar.hidden = true;
  }
}

/**
 * That this server's log goes on from the bundle's. Where it does not apply, only a key that was known before makes the
 * bundle more than a thing that agrees with itself: anybody can seal one with a key of one's own.
 */
async function checkHere(head, keyKnown) {
  const alone = keyKnown ? "plain" : "unknown";
  let log = null;
  try {
    log = await Log.open();
  } catch (error) {
    if (!["no_server", "no_answer"].includes(error.key)) throw error;
    say(alone, "bundle_alone");
    return;
  }
  if (log.checkpoint.origin === head.origin) await checkOlder(log, head);
  else say(alone, "bundle_elsewhere", { origin: head.origin });
}

/** Runs one check; whatever goes wrong becomes a finding. */
async function run(check) {
  $("findings").replaceChildren();
  $("go").disabled = true;
  let state = "good";
  try {
    need(window.isSecureContext && window.crypto && crypto.subtle, "no_crypto");
    await check();
    if ($("findings").querySelector(".unknown")) state = "unknown";
  } catch (error) {
    const cannot = ["no_crypto", "no_server", "no_answer", "not_signed_yet", "not_known"];
    const known = error instanceof Wrong;
    state = known && cannot.includes(error.key) ? "unknown" : "bad";
    say(state, known ? error.key : "unreadable", known ? error.args : { error: error.message });
  }
  verdict(state);
  $("go").disabled = false;
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const file = $("file").files[0];
  run(() => (file && !$("text").value.trim() ? checkFile(file) : checkText($("text").value)));
});
$("file").addEventListener("change", () => {
  const file = $("file").files[0];
  if (file) {
    $("text").value = "";
    run(() => checkFile(file));
  }
});
for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  const file = event.dataTransfer && event.dataTransfer.files[0];
  if (file) run(() => checkFile(file));
});
// A link from a receipt: #12,<leaf hash>.
function fromAddress() {
  const asked = decodeURIComponent(location.hash.slice(1));
  if (asked) {
    $("text").value = asked;
    run(() => checkText(asked));
  }
}
window.addEventListener("hashchange", fromAddress);
fromAddress();

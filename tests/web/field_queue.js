// From the finger to the receipt: what is sent is what was kept, once, whole; and what one can take out of the phone.
"use strict";
const assert = require("assert");
const crypto = require("crypto");
const fs = require("fs");
const path = require("path");
const { Phone, Server, says } = require("./field_phone.js");

const sha256 = (bytes) => crypto.createHash("sha256").update(bytes).digest("hex");

/** Every item is on the server once, with the bytes that the phone froze, and every photo with its own hash. */
async function arrived(server, { items }) {
  for (const { id, kind, body, photos, record } of items) {
    assert.equal(record.state, "sent");
    assert.equal(record.receipt.id, id);
    const list = kind === "patrol" ? "patrols" : "reports";
    // The same bytes again are harmless, and bring the first receipt: the server has them to the last byte.
    const headers = { "Content-Type": "application/json", ...server.auth };
    const again = await fetch(`${server.base}/api/v1/${list}`, { method: "POST", body, headers });
    assert.equal(again.status, 200, `sent again: ${again.status}`);
    assert.deepEqual(await again.json(), record.receipt);
    for (const hash of photos) {
      const kind = hash === JSON.parse(body).voice ? "voices" : "photos";
      const answer = await fetch(`${server.base}/api/v1/${kind}/${hash}`, { headers: server.auth });
      assert.equal(answer.status, 200, `${kind} ${hash}`);
      assert.equal(sha256(Buffer.from(await answer.arrayBuffer())), hash);
    }
  }
  const page = await server.json("/api/v1/timeline?limit=200");
  const rows = page.rows.filter((r) => r.row === "sighting").map((r) => r.id).sort();
  const reports = items.filter((i) => i.kind === "report").map((i) => i.id).sort();
  assert.deepEqual(rows, reports, "exactly the phone's reports are in the timeline");
}

/** A server, a phone, what the test does with them, and the end of both. */
async function with_phone(options, run) {
  const server = await Server.start();
  const phone = await Phone.start(server.base, { server, ...options });
  try {
    await run(phone, server);
    assert.deepEqual(phone.faults, []);
  } finally {
    await phone.close();
    await server.stop();
  }
}

/** The words of the states on the outbox's screen. */
const states = (page) => page.$$eval(".items .st", (all) => all.map((s) => s.textContent.trim()));

async function offlineToReceipt(phone, server) {
  const page = await phone.open();
  await phone.installed();
  await phone.walk();
  await phone.offline(true);
  await phone.report();
  await page.click("#tile-outbox");
  await page.waitForSelector(".items .saved");
  const { items: [kept], bytes } = await phone.kept();
  assert.equal(bytes.length, 1);
  const body = JSON.parse(kept.body);
  assert.equal(body.kind, "sewage_outflow");
  assert.equal(body.position.crs, "wgs84");
  assert.equal(body.position.source, "device");
  assert.equal(body.person.id, "p-01");
  await phone.offline(false);
  await page.waitForFunction(() => document.querySelector(".items .sent"));
  const after = await phone.delivered();
  assert.equal(after.items[0].body, kept.body, "the bytes that were frozen");
  assert.deepEqual((await phone.kept()).bytes, [], "bytes leave after the receipt");
  assert.match((await states(page))[0], /已到服务器 \d\d:\d\d:\d\d/);
  await arrived(server, after);
}

/** Four taps from home, without text and without a fix. */
async function fourTaps(phone, server) {
  await phone.context.clearPermissions();
  const page = await phone.open();
  await phone.walk();
  await page.click("#main");
  await page.waitForSelector(".fix.none");
  await page.waitForFunction(() => document.querySelector("video").videoWidth > 0 || document.querySelector(".own"));
  if (await page.$(".own")) {
    const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.click(".shutter")]);
    await chooser.setFiles({ name: "a.png", mimeType: "image/png", buffer: PNG });
  } else await page.click(".shutter");
  await page.waitForSelector(".pick");
  await page.click("#other");
  await page.click("#send");
  const after = await phone.delivered();
  const body = JSON.parse(after.items[0].body);
  assert.ok(!body.position && body.no_position.length > 1, body.no_position);
  assert.ok(!("note" in body));
  await arrived(server, after);
}

/** One pixel. */
const PNG = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");

async function details(phone, server) {
  const page = await phone.open();
  await phone.walk();
  await phone.shoot();
  await page.click("#sewage_outflow");
  await page.click(".same .yes");
  await page.click("#more");
  for (const value of ["medium", "grey", "faecal"]) await page.click(`.choice[value=${value}]`);
  for (const value of ["none", "foam", "oil_film"]) await page.click(`.choice[value=${value}]`);
  await page.click(".thumb .tile >> nth=1");
  await page.click("#note");
  await page.fill("#text", "靠近桥墩");
  await page.click(".main");
  await page.click("#send");
  const after = await phone.delivered();
  const body = JSON.parse(after.items[0].body);
  assert.deepEqual(body.sewage, { flow: "medium", colour: "grey", odour: "faecal", floatables: ["foam", "oil_film"] });
  assert.equal(body.outfall, "JJH-PK-0003");
  assert.equal(body.note, "靠近桥墩");
  await arrived(server, after);
}

async function undo(phone) {
  const page = await phone.open();
  await phone.walk();
  await phone.report("other");
  await page.click("#say button");
  await page.waitForSelector(".pick.on");
  assert.equal((await phone.kept()).items.length, 0);
  await page.click("#water_hyacinth");
  await page.click("#send");
  const { items } = await phone.delivered();
  assert.equal(items.length, 1);
  assert.equal(JSON.parse(items[0].body).kind, "water_hyacinth");
}

async function patrol(phone, server) {
  const page = await phone.open();
  await phone.walk();
  await page.waitForSelector("#next.here");
  await phone.report("other");
  await page.waitForFunction(() => !document.querySelector("#next.here"));
  await page.reload();
  await page.waitForSelector(".walking");
  await page.goto(`${phone.base}/m#w=JJH-PK-0001`);
  await page.waitForSelector("#say p");
  // By its name and not as an element: the screen is drawn anew when there is news.
  await page.click("#end");
  assert.ok(await page.$(".walking"), "a tap does not end a patrol");
  await page.hover("#end");
  await page.mouse.down();
  await page.waitForSelector(".choices");
  await page.mouse.up();
  await page.click(".main");
  const after = await phone.delivered();
  const body = JSON.parse(after.items.find((i) => i.kind === "patrol").body);
  assert.deepEqual(body.sectors, ["JJH-AD-02"]);
  assert.equal(body.waypoints.length, 2);
  assert.ok(body.track.length >= 1);
  await arrived(server, after);
}

/** A patrol that was left lying is ended with its last sign, or goes on. */
async function abandoned(phone) {
  const page = await phone.open();
  await phone.walk();
  await page.waitForSelector("#next.here");
  const age = (begun_h, last_h) => page.evaluate(([begun, last]) => import("/m/store.js").then((store) => {
    const ago = (hours) => Date.now() - hours * 3600000;
    return store.update("patrol.p-01", (p) => ({
      ...p, started_ms: ago(begun), last_ms: ago(last),
      track: p.track.map((point) => ({ ...point, at: new Date(ago(last)).toISOString() })),
    }));
  }), [begun_h, last_h]);
  const before = Date.now();
  await age(4, 3);
  await page.reload();
  await page.click(".card .tile >> nth=0");
  await page.waitForSelector(".walking");
  await age(31, 30);
  await page.reload();
  await page.waitForSelector(".card");
  assert.equal((await page.$$(".card .tile")).length, 1, "after a day it can only be ended");
  await page.click(".card .tile");
  await page.waitForSelector(".choices");
  await page.click(".main");
  const { items } = await phone.delivered();
  const body = JSON.parse(items[0].body);
  const hours = (before - Date.parse(body.ended_at)) / 3600000;
  assert.ok(Math.abs(hours - 30) < 0.1, `ended ${hours} h ago`);
}

/** An old photo of the album has its own time and no fix. */
async function fromAlbum(phone, server) {
  const page = await phone.open();
  await phone.walk();
  await page.click("#main");
  await page.waitForSelector(".fix.good");
  const file = path.join(phone.profile, "old.png");
  fs.writeFileSync(file, PNG);
  const taken = new Date(Date.now() - 5 * 3600000);
  fs.utimesSync(file, taken, taken);
  await page.setInputFiles("#album", file);
  await page.waitForSelector(".pick");
  await page.click("#other");
  await page.click("#send");
  const after = await phone.delivered();
  const body = JSON.parse(after.items[0].body);
  assert.ok(Math.abs(Date.parse(body.observed_at) - taken) < 2000, body.observed_at);
  assert.match(body.no_position, /相册/);
  await arrived(server, after);
}

/** Reads a stored zip: name → bytes. */
function unzip(zip) {
  const files = new Map();
  let at = zip.readUInt32LE(zip.length - 6);
  while (zip.readUInt32LE(at) === 0x02014b50) {
    const [method, name, extra, note] = [10, 28, 30, 32].map((field) => zip.readUInt16LE(at + field));
    const [size, local] = [20, 42].map((field) => zip.readUInt32LE(at + field));
    assert.equal(method, 0, "stored");
    const from = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    files.set(zip.toString("utf8", at + 46, at + 46 + name), zip.subarray(from, from + size));
    at += 46 + name + extra + note;
  }
  return files;
}

async function exported(phone) {
  const page = await phone.open();
  await phone.installed();
  await phone.walk();
  await phone.offline(true);
  await phone.report("sewage_outflow");
  await phone.report("water_hyacinth");
  await page.click("#tile-outbox");
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#export")]);
  const files = unzip(fs.readFileSync(await download.path()));
  const { items, photos, bytes } = await phone.kept();
  const index = JSON.parse(files.get("index.json"));
  assert.equal(index.format, "jijia-outbox-1");
  assert.deepEqual(index.reports.slice().sort(), items.map((i) => i.id).sort());
  assert.deepEqual(index.patrols, []);
  assert.deepEqual(index.photos.slice().sort(), photos.map((p) => p.sha256).sort());
  assert.ok(Date.parse(index.exported_at) && Date.parse(index.device_time));
  for (const { id, body } of items) assert.equal(files.get(`reports/${id}.json`).toString(), body);
  for (const hash of index.photos) assert.equal(sha256(files.get(`photos/${hash}`)), hash);
  assert.equal(files.size, 1 + items.length + photos.length);
  assert.equal(bytes.length, photos.length, "exporting removes nothing");
}

/** A server's refusal is shown in its words, the body stays, and the neighbours go through. */
async function refused(phone, server) {
  await phone.context.route("**/api/v1/reports", (route) => (route.request().postData().includes("water_hyacinth")
    ? route.fulfill({ status: 422, json: { status: 422, field: "hyacinth", detail: "not today" } })
    : route.continue()));
  const page = await phone.open();
  await phone.walk();
  await phone.report("water_hyacinth");
  await phone.report("other");
  await page.click("#tile-outbox");
  await page.waitForSelector(".need .needs");
  await says(page, ".need", /hyacinth: not today/);
  await page.waitForSelector(".items .sent");
  await phone.context.unroute("**/api/v1/reports");
  await page.click(".need .again");
  await arrived(server, await phone.delivered());
}

/** Nobody is signed in: it waits and says so. */
async function login(phone) {
  await phone.context.route("**/api/v1/reports", (route) => route.fulfill({ status: 401, json: { status: 401, detail: "sign in" } }));
  const page = await phone.open();
  await phone.walk();
  await phone.report("other");
  await page.click("#tile-outbox");
  await page.waitForSelector(".items .login", { timeout: 15000 });
  await phone.context.unroute("**/api/v1/reports");
  await page.click("#now");
  await phone.delivered();
}

/** The token goes with every unsafe request, and is fetched anew when it has run out. */
async function token(phone) {
  const tokens = [];
  await phone.context.route("**/api/v1/reports", (route) => {
    tokens.push(route.request().headers()["x-csrf-token"]);
    if (tokens.length > 1) return route.continue();
    return route.fulfill({ status: 403, json: { status: 403, detail: "token" } });
  });
  await phone.open();
  await phone.walk();
  await phone.report("other");
  await phone.delivered();
  assert.equal(tokens.length, 2);
  for (const sent of tokens) assert.match(sent, /^[0-9a-f]{32}$/);
}

/** 429 with Retry-After is heeded, also by the button. */
async function retryAfter(phone) {
  const times = [];
  await phone.context.route("**/api/v1/reports", (route) => {
    times.push(Date.now());
    if (times.length > 1) return route.continue();
    return route.fulfill({ status: 429, headers: { "Retry-After": "3" }, json: { status: 429, detail: "slowly" } });
  });
  const page = await phone.open();
  await phone.walk();
  await phone.report("other");
  await page.click("#tile-outbox");
  await page.waitForFunction(() => document.querySelector(".items .saved"));
  while (times.length === 0) await page.waitForTimeout(100);
  await page.click("#now");
  await phone.delivered();
  assert.ok(times[1] - times[0] >= 2900, `waited ${times[1] - times[0]} ms`);
}

async function queue(test) {
  const on = (name, run, options = {}) => test(name, () => with_phone(options, run));
  await on("offline from the shutter to the receipt", offlineToReceipt);
  await on("four taps, no text, no fix", fourTaps);
  await on("details, the same place, a note", details);
  await on("undo takes a report back before it is sent", undo);
  await on("a patrol with waypoints by photo and plate, over a reload, ended by holding", patrol);
  await on("a patrol left lying goes on, or ends at its last sign", abandoned);
  await on("an old photo of the album has its own time and no fix", fromAlbum);
  await on("the export holds the exact bytes and removes nothing", exported);
  await on("a refusal is shown and keeps the body", refused);
  await on("without a sign-in it waits and says so", login);
  await on("the token is sent and renewed", token);
  await on("Retry-After is heeded", retryAfter);
}

module.exports = { arrived, queue, sha256, states, unzip, with_phone };

// A voice note from the mouth to the receipt: what was said is what arrives, it is lost no more than a photo is, and where
// nothing can be recorded nobody is held up. The browser's own microphone beeps.
"use strict";
const assert = require("assert");
const { spawnSync } = require("child_process");
const fs = require("fs");
const { chromium } = require("playwright-core");
const { FLAGS, says } = require("./field_phone.js");
const { arrived, sha256, states, unzip, with_phone } = require("./field_queue.js");

/** The draft on the phone. */
const draftOf = (page) => page.evaluate(() => import("/m/store.js").then((store) => store.get("draft")));
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
/** A whole recording of WebM or MP4. */
const isSound = (bytes) => bytes.readUInt32BE(0) === 0x1a45dfa3 || bytes.toString("latin1", 4, 8) === "ftyp";

async function toTheTiles(phone) {
  const page = await phone.open();
  await phone.walk();
  await phone.shoot();
  await page.click("#other");
  await page.waitForSelector(".pick.on");
  return page;
}

/** The report's page, as somebody at a desk opens it: the note plays, and that is in the log. */
async function heard(server, id) {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: FLAGS });
  try {
    const page = await (await browser.newContext({ extraHTTPHeaders: server.auth })).newPage();
    // The player asks for the beginning as the page opens.
    const before = await server.json("/api/v1/head");
    await page.goto(`${server.base}/reports/${id}`);
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run(document));
    assert.deepEqual(violations.map((v) => v.id), []);
    const played = await page.$eval("audio", async (audio) => {
      audio.muted = true;
      await audio.play();
      await new Promise((done) => { audio.ontimeupdate = () => audio.currentTime > 0.2 && done(); });
      return audio.currentTime;
    });
    assert.ok(played > 0.2);
    const after = await server.json("/api/v1/head");
    assert.ok(after.log_size > before.log_size, "that somebody listened is an entry");
  } finally {
    await browser.close();
  }
}

async function spoken(phone, server) {
  const page = await toTheTiles(phone);
  await says(page, "#voice", /说一句/);
  await phone.speak(2200);
  assert.equal(await page.$eval("audio", (a) => a.src.slice(0, 5)), "blob:");
  await page.click("#play");
  await page.waitForFunction(() => document.querySelector("audio").currentTime > 0.2);
  await says(page, "#play", /停/);
  await page.waitForFunction(() => document.querySelector("audio").ended);
  await says(page, "#play", /听一遍/);
  await page.click(".main");
  await page.waitForSelector(".pick.on");
  await says(page, "#voice", /语音 [2-4] 秒/);
  await page.click("#send");
  const after = await phone.delivered();
  const [item] = after.items;
  const body = JSON.parse(item.body);
  assert.equal(body.photos.length, 1);
  assert.equal(item.photos.length, 2, "the photo and the voice note");
  assert.equal(body.voice, item.photos[1]);
  assert.deepEqual((await phone.kept()).bytes, [], "bytes leave after the receipt");
  const report = await server.json(`/api/v1/reports/${item.id}`);
  assert.ok(report.voice.stored && report.voice.duration_s >= 1, JSON.stringify(report.voice));
  // Before the test itself fetches the note: all of one hour's listening is one entry.
  await heard(server, item.id);
  await arrived(server, after);
}

/** What was said lies with the draft: over a reload, over a battery that fell out, without a network. */
async function survives(phone, server, crash) {
  let page = await toTheTiles(phone);
  await phone.installed();
  await phone.offline(true);
  await phone.speak();
  const { voice } = await draftOf(page);
  await crash(phone);
  page = await phone.open();
  await page.waitForSelector(".pick.on");
  assert.equal((await draftOf(page)).voice.sha256, voice.sha256);
  await page.click("#voice");
  await page.waitForSelector("#play");
  await page.click(".main");
  await page.click("#send");
  await page.waitForSelector(".home");
  await page.click("#tile-outbox");
  await page.waitForSelector(".items .saved");
  const lines = await states(page);
  assert.ok(lines.some((line) => /^语音 已保存到手机/.test(line)), lines.join("|"));
  await phone.offline(false);
  await page.click("#now");
  const after = await phone.delivered();
  assert.equal(JSON.parse(after.items[0].body).voice, voice.sha256);
  await arrived(server, after);
}

/** Said again, the first is forgotten; thrown away, both are. */
async function again(phone, server) {
  const page = await toTheTiles(phone);
  await phone.speak();
  const first = (await draftOf(page)).voice.sha256;
  await page.click("#again");
  await page.waitForSelector("#stop");
  await page.waitForTimeout(1200);
  await page.click("#stop");
  await page.waitForSelector("#play");
  const second = (await draftOf(page)).voice.sha256;
  assert.notEqual(first, second);
  const { bytes } = await phone.kept();
  assert.ok(!bytes.includes(first) && bytes.includes(second) && bytes.length === 2, "the photo and what was said last");
  await page.click("#remove");
  await page.waitForSelector(".pick.on");
  assert.equal((await phone.kept()).bytes.length, 1);
  await says(page, "#voice", /说一句/);
  await page.click("#send");
  const after = await phone.delivered();
  assert.ok(!("voice" in JSON.parse(after.items[0].body)));
  await arrived(server, after);
}

/** A screen that is left, a page that is hidden: what was said until then is kept, and the microphone is let go. */
async function left(phone) {
  const page = await toTheTiles(phone);
  await page.click("#voice");
  await page.waitForSelector("#stop");
  await page.waitForTimeout(1200);
  await page.evaluate(() => { window.location.hash = "home"; });
  await page.waitForSelector(".home");
  await page.waitForFunction(() => import("/m/store.js").then((s) => s.get("draft")).then((d) => Boolean(d.voice)));
  assert.equal(await page.evaluate(() => window.heldTracks.filter((track) => track.readyState === "live").length), 0);
  await page.evaluate(() => { window.location.hash = "report"; });
  await page.waitForSelector(".pick.on");
  await says(page, "#voice", /语音 \d 秒/);
  const first = (await draftOf(page)).voice.sha256;
  await page.click("#voice");
  await page.click("#again");
  await page.waitForSelector("#stop");
  await page.waitForTimeout(1200);
  await page.evaluate(() => {
    Object.defineProperty(document, "visibilityState", { configurable: true, get: () => "hidden" });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await page.waitForSelector("#play");
  assert.notEqual((await draftOf(page)).voice.sha256, first);
}

/** Every track of the microphone that was opened. */
const TRACKS = () => {
  window.heldTracks = [];
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (what) => {
    const stream = await open(what);
    if (what.audio) window.heldTracks.push(...stream.getTracks());
    return stream;
  };
};

/** Nor is the camera: the report goes without a photo. */
async function denied(phone, server) {
  const page = await phone.open();
  await phone.walk();
  await page.click("#main");
  await page.click(".sq:not(label)");
  await page.click("#other");
  await page.waitForSelector(".pick.on");
  await page.click("#voice");
  await page.waitForFunction(() => document.querySelector(".voice .two"));
  await says(page, ".voice .calm", /没有允许用话筒/);
  await page.click(".voice .two .tile >> nth=0");
  await page.fill("#text", "话筒用不了");
  await page.click(".main");
  await page.waitForSelector(".pick.on");
  await page.click("#voice");
  await page.waitForSelector(".voice .two");
  await page.click(".main");
  await page.waitForSelector(".pick.on");
  await page.click("#send");
  const after = await phone.delivered();
  assert.equal(JSON.parse(after.items[0].body).note, "话筒用不了");
  await arrived(server, after);
}

async function nothingToRecordWith(phone, server) {
  const page = await toTheTiles(phone);
  await page.click("#voice");
  await page.waitForSelector(".voice .two");
  await says(page, ".voice .calm", /不能录音/);
  await page.click(".main");
  await page.click("#send");
  await arrived(server, await phone.delivered());
}

/** A minute takes a second and a half. */
const SHORT = () => {
  const real = window.setTimeout;
  window.setTimeout = (act, ms, ...more) => real(act, ms === 60000 ? 1500 : ms, ...more);
};

async function minute(phone, server) {
  const page = await toTheTiles(phone);
  await page.click("#voice");
  await page.waitForSelector("#stop");
  await page.waitForSelector("#play", { timeout: 6000 });
  await page.click(".main");
  await page.click("#send");
  const after = await phone.delivered();
  assert.ok(JSON.parse(after.items[0].body).voice);
  await arrived(server, after);
}

async function undone(phone, server) {
  const page = await toTheTiles(phone);
  await phone.speak();
  await page.click(".main");
  await page.click("#send");
  await page.waitForSelector(".home");
  await page.click("#say button");
  await page.waitForSelector(".pick.on");
  const { items, photos, bytes } = await phone.kept();
  assert.deepEqual([items.length, photos.length, bytes.length], [0, 0, 2]);
  await says(page, "#voice", /语音 \d 秒/);
  await page.click("#send");
  const after = await phone.delivered();
  assert.ok(JSON.parse(after.items[0].body).voice);
  await arrived(server, after);
}

/** 不报了: what was said goes with the photos. */
async function dropped(phone) {
  const page = await phone.open();
  await phone.walk();
  await page.click("#main");
  await page.click(".sq:not(label)");
  await page.waitForSelector(".pick");
  await phone.speak();
  await page.click(".main");
  await page.waitForSelector(".pick");
  await page.click(".verbs .again >> nth=0");
  await page.waitForSelector(".cam");
  assert.deepEqual((await phone.kept()).bytes, []);
}

async function rescued(phone, server) {
  const page = await toTheTiles(phone);
  await phone.installed();
  await phone.offline(true);
  await phone.speak();
  await page.click(".main");
  await page.click("#send");
  await page.waitForSelector(".home");
  await page.click("#tile-outbox");
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#export")]);
  const file = await download.path();
  const files = unzip(fs.readFileSync(file));
  const index = JSON.parse(files.get("index.json"));
  const { items: [item] } = await phone.kept();
  assert.deepEqual([index.photos, index.voices], [[item.photos[0]], [item.photos[1]]]);
  const sound = files.get(`voices/${item.photos[1]}`);
  assert.equal(sha256(sound), item.photos[1]);
  assert.ok(isSound(sound));
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("JIJIA_")));
  const done = spawnSync(process.env.JIJIA, ["--data", server.data, "import", "outbox", file], { env, encoding: "utf8" });
  assert.equal(done.status, 0, done.stdout + done.stderr);
  assert.match(done.stdout, new RegExp(`voices/${item.photos[1]}: 新增`));
  assert.ok((await server.json(`/api/v1/reports/${item.id}`)).voice.stored);
  // Later the phone finds its network: the same receipts.
  await phone.offline(false);
  await page.click("#now");
  await arrived(server, await phone.delivered());
}

/** A full storage is said, and what was said before stays. */
async function full(phone) {
  const page = await toTheTiles(phone);
  await phone.speak();
  const first = (await draftOf(page)).voice.sha256;
  await page.evaluate(() => { window.isFull = true; });
  await page.click("#again");
  await page.waitForSelector("#stop");
  await page.waitForTimeout(1200);
  await page.click("#stop");
  await page.waitForSelector("#say .bad");
  await says(page, "#say", /没有保存/);
  await page.evaluate(() => { window.isFull = false; });
  const { voice } = await draftOf(page);
  assert.equal(voice.sha256, first);
  assert.ok((await phone.kept()).bytes.includes(first));
}

/** `put` throws as a full disk does. */
const FULL = () => {
  const put = IDBObjectStore.prototype.put;
  IDBObjectStore.prototype.put = function full_put(...values) {
    if (window.isFull) throw new DOMException("full", "QuotaExceededError");
    return put.apply(this, values);
  };
};

async function voice(test) {
  const on = (name, run, options = {}) => test(`voice: ${name}`, () => with_phone(options, run));
  await on("what was said arrives, and plays on the report's page", spoken);
  await on("without a network, over a reload", (p, s) => survives(p, s, (phone) => phone.page.reload()));
  await on("without a network, over a battery that fell out", (p, s) => survives(p, s, async (phone) => {
    await phone.kill();
    await phone.launch();
    await phone.offline(true);
  }));
  await on("said again, and thrown away", again);
  await on("a screen that is left keeps what was said", left, { init: TRACKS });
  await on("a microphone that is not allowed holds nobody up", denied, { flags: ["--use-fake-ui-for-media-stream=deny"] });
  await on("a phone that cannot record", nothingToRecordWith, { init: () => { delete window.MediaRecorder; } });
  await on("a minute at most", minute, { init: SHORT });
  await on("undo brings it back", undone);
  await on("不报了 throws it away", dropped);
  await on("the export holds it and the office takes it", rescued);
  await on("a full storage keeps what was said before", full, { init: FULL });
}

module.exports = { voice };

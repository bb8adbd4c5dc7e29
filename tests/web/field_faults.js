// Whatever breaks: the tab, the phone, the server, the network, the storage, the clock.
"use strict";
const assert = require("assert");
const { says } = require("./field_phone.js");
const { arrived, with_phone } = require("./field_queue.js");

/** The steps of a report, each followed by `crash`; afterwards the report is finished and delivered. */
const STEPS = {
  "after the shutter": (phone) => phone.shoot(),
  "after the type": async (phone) => {
    await phone.shoot();
    await phone.page.click("#other");
    await phone.page.waitForSelector(".pick.on");
    await draft(phone, (d) => d.kind === "other");
  },
  "after sending, within the undo": async (phone) => {
    await phone.shoot();
    await phone.page.click("#other");
    await phone.page.click("#send");
    await phone.page.waitForSelector("#say button");
  },
  "while it is uploaded": async (phone) => {
    let reached;
    const begun = new Promise((done) => { reached = done; });
    // Never answered: the crash comes first.
    const hold = (route) => (route.request().method() === "PUT" ? reached() : route.continue());
    await phone.context.route("**/api/v1/photos/*", hold);
    await phone.report("other");
    await begun;
  },
};

/** Until the draft on the phone is so. */
async function draft(phone, is) {
  for (;;) {
    const kept = await phone.page.evaluate(() => new Promise((done) => {
      const request = indexedDB.open("jijia");
      request.onsuccess = () => {
        const get = request.result.transaction("kv").objectStore("kv").get("draft");
        get.onsuccess = () => {
          request.result.close();
          done(get.result || {});
        };
      };
    }));
    if (is(kept)) return;
    await phone.page.waitForTimeout(50);
  }
}

/** What the person does who opens the app again: finishes what lies there. */
async function goOn(phone) {
  await phone.open();
  if (await phone.page.waitForSelector(".pick", { timeout: 3000 }).catch(() => null)) {
    if (!(await phone.page.$(".pick.on"))) await phone.page.click("#other");
    await phone.page.click("#send");
  }
}

async function crash(phone, server, step, how) {
  await phone.open();
  await phone.installed();
  await phone.walk();
  await STEPS[step](phone);
  await how(phone);
  await phone.context.unroute("**/api/v1/photos/*").catch(() => undefined);
  await goOn(phone);
  const after = await phone.delivered();
  assert.equal(after.items.length, 1);
  assert.equal(JSON.parse(after.items[0].body).photos.length, 1);
  await arrived(server, after);
}

const reload = (phone) => phone.page.reload();
async function battery(phone) {
  await phone.kill();
  await phone.launch();
}

/** A phone that is reached only where the server stands: the server is killed at a point of the upload, and started again. */
const POINTS = {
  "before the report": ["POST", "**/api/v1/reports", (route, server) => server.kill().then(() => route.abort())],
  "after the report, before its receipt": ["POST", "**/api/v1/reports", killedAfter],
  "before the photo": ["PUT", "**/api/v1/photos/*", (route, server) => server.kill().then(() => route.abort())],
  "after the photo, before its receipt": ["PUT", "**/api/v1/photos/*", killedAfter],
};

/** The server has it, and nobody hears so. */
async function killedAfter(route, server) {
  const answer = await route.fetch();
  assert.equal(answer.status(), 201);
  await server.kill();
  await route.abort();
}

async function killed(phone, server, [method, pattern, act]) {
  let done = false;
  await phone.context.route(pattern, async (route) => {
    if (done || route.request().method() !== method) return route.continue();
    done = true;
    return act(route, server);
  });
  await phone.open();
  await phone.walk();
  await phone.report();
  while (server.child.exitCode === null && server.child.signalCode === null) await phone.page.waitForTimeout(50);
  const { items } = await phone.kept();
  assert.equal(items[0].open, 1, "nothing is called done without a receipt");
  await server.start();
  await phone.page.click("#tile-outbox");
  await phone.page.click("#now");
  await arrived(server, await phone.delivered());
}

/** Killed while the bytes of a photo are on their way. */
async function killedMidway(phone, server) {
  const page = await phone.open();
  await phone.walk();
  const buffer = await phone.photo12();
  await page.click("#main");
  await page.setInputFiles("#album", { name: "a.jpg", mimeType: "image/jpeg", buffer });
  await page.waitForSelector(".pick");
  const cdp = await phone.context.newCDPSession(page);
  const network = (latency, bytes_s) => cdp.send("Network.emulateNetworkConditions", {
    offline: false, latency, downloadThroughput: bytes_s, uploadThroughput: bytes_s,
  });
  await network(100, 60000);
  await page.click("#sewage_outflow");
  const begun = page.waitForRequest((r) => r.method() === "PUT");
  await page.click("#send");
  await begun;
  await page.waitForTimeout(1500);
  await server.kill();
  await network(0, -1);
  await server.start();
  await page.click("#tile-outbox");
  await page.click("#now");
  await arrived(server, await phone.delivered());
}

/** A server that takes pieces, in front of the real one: cuts the second piece, spoils the first whole, counts the bytes. */
class Pieces {
  constructor({ base, auth }) {
    Object.assign(this, { base, auth, kept: Buffer.alloc(0), sent: 0, cut: false, spoilt: false, offsets: [] });
  }

  async answer(route) {
    const request = route.request();
    const sealed = this.receipt && { "Upload-Complete": "?1" };
    if (request.method() === "HEAD") {
      return route.fulfill({ status: sealed ? 200 : 204, headers: sealed || { "Upload-Offset": String(this.kept.length) } });
    }
    if (request.method() !== "PUT") return route.continue();
    const [offset, total] = ["upload-offset", "upload-length"].map((name) => Number(request.headers()[name]));
    const piece = request.postDataBuffer();
    this.offsets.push(offset);
    this.sent += piece.length;
    const here = { "Upload-Offset": String(this.kept.length) };
    if (offset !== this.kept.length) return route.fulfill({ status: 409, headers: here });
    if (this.offsets.length === 2 && !this.cut) {
      this.cut = true;
      await this.shown;
      this.kept = Buffer.concat([this.kept, piece.subarray(0, 1000)]);
      return route.abort();
    }
    this.kept = Buffer.concat([this.kept, piece]);
    if (this.kept.length < total) return route.fulfill({ status: 204, headers: { "Upload-Offset": String(this.kept.length) } });
    return this.seal(route);
  }

  async seal(route) {
    const body = this.kept;
    if (!this.spoilt) {
      this.spoilt = true;
      this.kept = Buffer.alloc(0);
      return route.fulfill({ status: 422, json: { status: 422, detail: "wrong hash" } });
    }
    const answer = await fetch(this.base + new URL(route.request().url()).pathname, { method: "PUT", body, headers: this.auth });
    this.receipt = await answer.json();
    return route.fulfill({ status: answer.status, json: this.receipt });
  }
}

async function resumed(phone, server) {
  const pieces = new Pieces(server);
  // The second piece is cut when the person has seen that the photo goes.
  pieces.shown = new Promise((done) => { pieces.isShown = done; });
  await phone.context.route(/photos\/[0-9a-f]{64}$/, (route) => pieces.answer(route));
  const page = await phone.open();
  await phone.walk();
  const buffer = await phone.photo12();
  await page.click("#main");
  await page.setInputFiles("#album", { name: "a.jpg", mimeType: "image/jpeg", buffer });
  await page.waitForSelector(".pick");
  await page.click("#other");
  await page.click("#send");
  await page.click("#tile-outbox");
  await page.waitForSelector("progress", { timeout: 15000 });
  pieces.isShown();
  const again = setInterval(() => page.click("#now").catch(() => undefined), 1000);
  const after = await phone.delivered();
  clearInterval(again);
  await phone.context.unroute(/photos\/[0-9a-f]{64}$/);
  await arrived(server, after);
  const { size } = after.photos[0];
  assert.ok(size > 2 * 131072, `a photo of several pieces: ${size}`);
  // After the cut it went on inside the piece; after the wrong hash from the start.
  assert.equal(pieces.offsets[2], 131072 + 1000);
  assert.equal(pieces.offsets.filter((o) => o === 0).length, 2);
  assert.ok(pieces.sent <= 2 * size + 262144, "no more than a piece is wasted by a cut");
}

/** The storage is full: it is said, nothing half is kept, and with room it goes on. */
async function full(phone, server) {
  const page = await phone.open();
  await phone.walk();
  const set = (on) => page.evaluate((value) => { window.isFull = value; }, on);
  await page.click("#main");
  await phone.filming();
  await set(true);
  await page.click(".shutter");
  await page.waitForSelector("#say .bad");
  await says(page, "#say", /没有保存/);
  assert.ok(await page.$(".cam"), "it is not called taken");
  await set(false);
  await page.click(".shutter");
  await page.waitForSelector(".pick");
  await page.click("#other");
  await page.waitForSelector(".pick.on");
  await draft(phone, (d) => d.kind === "other");
  await set(true);
  await page.click("#send");
  await page.waitForSelector("#say .bad");
  await says(page, "#say", /没有保存/);
  assert.equal((await phone.kept()).items.length, 0);
  await set(false);
  await page.click("#send");
  await arrived(server, await phone.delivered());
}

/** `put` throws as a full disk does. */
const FULL = () => {
  const put = IDBObjectStore.prototype.put;
  IDBObjectStore.prototype.put = function full_put(...values) {
    if (window.isFull) throw new DOMException("full", "QuotaExceededError");
    return put.apply(this, values);
  };
};

/** A clock that can be set. */
const CLOCK = () => {
  const real = Date.now;
  Date.now = () => real.call(Date) + Number(localStorage.getItem("skew") || 0);
};
const DAY_MS = 86400000;
const skew = (page, ms) => page.evaluate((value) => localStorage.setItem("skew", String(value)), ms);

/** When the server says it was seen, against the true time. */
async function seenRightly(server, { items }, before) {
  const report = await server.json(`/api/v1/reports/${items[0].id}`);
  const seen = Date.parse(report.observed_at);
  assert.ok(seen >= before - 3000 && seen <= Date.now(), `seen ${report.observed_at}, true ${new Date(before).toISOString()}`);
}

async function setBack(phone, server) {
  const page = await phone.open();
  await phone.installed();
  await phone.walk();
  await phone.offline(true);
  const before = Date.now();
  await phone.report();
  await skew(page, -DAY_MS);
  await phone.offline(false);
  const after = await phone.delivered();
  await arrived(server, after);
  await seenRightly(server, after, before);
}

async function wrongAlready(phone, server, days) {
  const page = await phone.open();
  await skew(page, days * DAY_MS);
  await page.reload();
  await phone.walk();
  const before = Date.now();
  await phone.report();
  const after = await phone.delivered();
  await arrived(server, after);
  await seenRightly(server, after, before);
}

/** Two tabs of one phone: each thing goes once. */
async function twoTabs(phone, server) {
  // What comes to the server is answered; what a tab tries without a network is not.
  const answers = [];
  phone.context.on("response", (answer) => answer.url().endsWith("/api/v1/reports") && answers.push(answer.status()));
  await phone.open();
  await phone.installed();
  await phone.walk();
  const other = await phone.context.newPage();
  await other.goto(`${phone.base}/m#outbox`);
  await other.waitForSelector("#now");
  await phone.page.bringToFront();
  await phone.offline(true);
  for (let n = 0; n < 3; n += 1) await phone.report("other");
  await phone.offline(false);
  await Promise.all([phone.page, other].map((page) => page.evaluate(() => window.dispatchEvent(new Event("online")))));
  const after = await phone.delivered();
  await arrived(server, after);
  assert.deepEqual(answers, [201, 201, 201]);
}

/** A page that holds the phone's store and does not let go: the next one says so, and opens when that one is closed. */
async function held(phone) {
  const page = await phone.open();
  await page.evaluate(() => new Promise((done) => {
    indexedDB.open("jijia").onsuccess = (event) => {
      const kv = event.target.result.transaction("kv", "readwrite").objectStore("kv");
      const on = () => {
        done();
        kv.get("person").onsuccess = on;
      };
      on();
    };
  }));
  const other = await phone.context.newPage();
  await other.goto(`${phone.base}/m`);
  await says(other, "#say", /关掉所有巡湖页面/);
  await page.close();
  phone.page = other;
  await other.waitForSelector(".home");
  await says(other, "#say", /^$/);
}

/** 30 % of the requests fail on a network like this. */
async function badNetwork(phone, server) {
  let n = 0;
  await phone.context.route(/\/api\/v1\/(reports|photos)/, async (route) => {
    n += 1;
    if (n % 3 === 1) return route.abort();
    if (n % 7 === 2) {
      await route.fetch().catch(() => undefined);
      return route.abort();
    }
    return route.continue();
  });
  await phone.open();
  await phone.walk();
  for (let k = 0; k < 4; k += 1) await phone.report("other");
  const online = () => phone.page.evaluate(() => window.dispatchEvent(new Event("online")));
  const again = setInterval(() => online().catch(() => undefined), 700);
  const after = await phone.delivered();
  clearInterval(again);
  await phone.context.unroute(/\/api\/v1\/(reports|photos)/);
  assert.equal(after.items.length, 4);
  await arrived(server, after);
}

async function faults(test) {
  const on = (name, run, options = {}) => test(name, () => with_phone(options, run));
  for (const step of Object.keys(STEPS)) {
    await on(`reload ${step}`, (phone, server) => crash(phone, server, step, reload));
    await on(`killed ${step}`, (phone, server) => crash(phone, server, step, battery));
  }
  for (const [point, how] of Object.entries(POINTS)) {
    await on(`server killed ${point}`, (phone, server) => killed(phone, server, how));
  }
  await on("server killed amid the photo", killedMidway);
  await on("a photo in pieces goes on where it stopped", resumed);
  await on("a full storage is said and nothing half is kept", full, { init: FULL });
  await on("the clock set back a day before sending", setBack, { init: CLOCK });
  for (const days of [-29, 29]) await on(`a clock wrong by ${days} days`, (p, s) => wrongAlready(p, s, days), { init: CLOCK });
  await on("two tabs send each thing once", twoTabs);
  await on("a store that another page holds", held);
  await on("a network that fails a third of the requests", badNetwork);
}

module.exports = { faults };

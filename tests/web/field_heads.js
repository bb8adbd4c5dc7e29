// The phone and the desk as witnesses: the log goes back, forks, or is restored under another name, and it is said where
// nobody can miss it. The insider has the shell, the key and an old copy of everything.
"use strict";
const assert = require("assert");
const { spawnSync } = require("child_process");
const crypto = require("crypto");
const fs = require("fs");
const path = require("path");
const { says } = require("./field_phone.js");
const { with_phone } = require("./field_queue.js");

const parent = (server) => path.dirname(server.data);
const copyOf = (server) => `${parent(server)}-copy`;

/** Data directory and guard as they are now, without a service on them. */
async function copy(server) {
  await server.kill();
  fs.cpSync(parent(server), copyOf(server), { recursive: true });
  await server.start();
}

/** Puts the copy in the place of everything. */
async function putBack(server) {
  await server.kill();
  fs.rmSync(parent(server), { recursive: true });
  fs.renameSync(copyOf(server), parent(server));
  await server.start();
}

/** What the phone keeps of the log, once it keeps anything. */
async function log(phone, wanted = (kept) => kept && kept.head) {
  const end = Date.now() + 60000;
  for (;;) {
    const [kept, receipts] = await phone.page.evaluate(async () => {
      const store = await import("/m/store.js");
      return [await store.get("log"), await store.listReceipts()];
    });
    if (wanted(kept, receipts)) return kept;
    if (Date.now() > end) throw new Error(`the log is not as wanted: ${JSON.stringify([kept, receipts])}`);
    await phone.page.evaluate(() => import("/m/heads.js").then((heads) => heads.check({ now: true })));
    await phone.page.waitForTimeout(200);
  }
}

/** Until every receipt is under the head that is kept. */
const settled = (phone) => log(phone, (kept, receipts) => kept && receipts.length === 0);

async function sent(phone) {
  await phone.report();
  return phone.delivered();
}

async function kept(phone, server) {
  await phone.open();
  await phone.walk();
  await sent(phone);
  const first = await settled(phone);
  await sent(phone);
  const second = await settled(phone);
  assert.ok(second.size > first.size, `${first.size}, ${second.size}`);
  const shown = await (await fetch(`${server.base}/log/checkpoint`)).text();
  assert.equal(second.head.split("\n")[0], shown.split("\n")[0]);
  await phone.page.click(".gear");
  await says(phone.page, ".settings", new RegExp(`前 ${second.size} 条`));
  assert.equal(await phone.page.locator("#alarm section").count(), 0);
}

/** Another report straight to the server, as another phone's. */
async function filed(server) {
  const body = { id: crypto.randomUUID(), kind: "other", observed_at: new Date().toISOString(), person: { id: "p-02" },
    position: { lng: 113.114079, lat: 29.39928, crs: "wgs84", accuracy_m: 6, source: "device" } };
  const headers = { "Content-Type": "application/json", ...server.auth };
  const answer = await fetch(`${server.base}/api/v1/reports`, { method: "POST", headers, body: JSON.stringify(body) });
  assert.equal(answer.status, 201, await answer.text());
}

/** An old copy is put back, guard and all: the service itself cannot know. */
async function rolledBack(phone, server, more, words) {
  const page = await phone.open();
  await phone.walk();
  await sent(phone);
  await settled(phone);
  await copy(server);
  await sent(phone);
  const before = await settled(phone);
  await putBack(server);
  for (let n = 0; n < more; n += 1) await filed(server);
  await log(phone, (now) => now.fork);
  await says(page, "#alarm .fork", words);
  await says(page, "#alarm .fork", /不会自己好.*不要清除/s);
  assert.equal((await log(phone)).head, before.head, "the head that was seen stays");
  // On every screen, over a reload, and it cannot be taken away in passing.
  for (const screen of ["outbox", "tasks", "settings", "home"]) {
    await page.evaluate((name) => { window.location.hash = name; }, screen);
    await page.waitForSelector("#alarm .fork", { state: "visible" });
  }
  await page.reload();
  await page.waitForSelector("#alarm .fork", { state: "visible" });
  assert.equal(await page.locator("#alarm button").count(), 0);
  await page.click("#alarm summary");
  await says(page, "#alarm pre", new RegExp(before.head.split("\n")[2].replace(/[+/=]/g, ".")));
  // Reports go on.
  await page.waitForSelector(".home");
  await phone.report("other");
  await phone.delivered();
}

const shorter = (phone, server) => rolledBack(phone, server, 0, /本机见过 \d+ 条记录，服务器现在只有 \d+ 条/);
const forked = (phone, server) => rolledBack(phone, server, 8, /前 \d+ 条记录与本机留存的不同/);

/** A page at a desk, with the comparison due; waits for its end. */
async function visit(page, address) {
  // The first page compares nothing: what it kept would be too young for the second.
  await page.route("**/log/heads", (route) => route.abort());
  await page.goto(address);
  await page.evaluate(() => {
    const known = JSON.parse(localStorage.getItem("jijia.log"));
    if (known) localStorage.setItem("jijia.log", JSON.stringify({ ...known, checked_ms: 0 }));
  });
  await page.unroute("**/log/heads");
  const compared = page.waitForResponse(/log\/heads$/);
  await page.goto(address);
  await compared;
}

/** The desk in the same way, on every page. */
async function desk(phone, server) {
  const { page } = phone;
  await copy(server);
  await filed(server);
  // Until what was filed is signed.
  const { log_size: size } = await (await fetch(`${server.base}/api/v1/head`)).json();
  for (let signed = 0; signed < size;) {
    signed = Number((await (await fetch(`${server.base}/log/checkpoint`)).text()).split("\n")[1]);
  }
  await visit(page, `${server.base}/account`);
  assert.equal(await page.locator("#alarm:visible").count(), 0);
  await putBack(server);
  await visit(page, `${server.base}/verify`);
  await page.waitForSelector("#alarm.fork", { state: "visible" });
  await says(page, "#alarm", /存证日志与这台电脑见过的不一致.*这台电脑见过 \d+ 个条目.*不是网络问题/s);
  await page.goto(`${server.base}/account`);
  await page.waitForSelector("#alarm.fork", { state: "visible" });
  // It is forgotten by who says so twice, and the heads stay.
  page.once("dialog", (dialog) => dialog.accept());
  await page.click("#alarm summary");
  await page.click("#alarm details button");
  await page.waitForSelector("#alarm", { state: "hidden" });
  const { head, old } = await page.evaluate(() => JSON.parse(localStorage.getItem("jijia.log")));
  assert.equal(head, null);
  assert.equal(old.length, 2);
}

/** Nothing that may happen on a bad network is an alarm. */
async function noAlarm(phone, server) {
  const page = await phone.open();
  await phone.walk();
  await sent(phone);
  const before = await settled(phone);
  const answers = [{ status: 503, body: "{}" }, { status: 200, body: "<html>请登录校园网</html>" }, { status: 200, body: "null" },
    { status: 200, body: JSON.stringify({ checkpoint: "请登录", consistency: [], origins: [], receipts: [] }) },
    { status: 507, body: "{}" }, { status: 404, body: "" }];
  for (const answer of answers) {
    await phone.context.route("**/api/v1/log/heads", (route) => route.fulfill(answer));
    await page.evaluate(() => import("/m/heads.js").then((heads) => heads.check({ now: true })).catch(() => undefined));
    await phone.context.unroute("**/api/v1/log/heads");
    assert.equal(await page.locator("#alarm section").count(), 0, answer.body);
    assert.deepEqual(await log(phone, () => true), before);
  }
  phone.faults.length = 0;
}

/** A backup of some days ago, and nobody who knows how far the log had come: a new name, said by words of its own. */
async function restored(phone, server) {
  const page = await phone.open();
  await phone.walk();
  await sent(phone);
  await settled(phone);
  const plain = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("JIJIA_")));
  const env = { ...plain, JIJIA_DATA_DIR: server.data };
  const run = (args, more = {}) => {
    const done = spawnSync(process.env.JIJIA, args, { env: { ...env, ...more }, encoding: "utf8" });
    assert.equal(done.status, 0, `${args}: ${done.stderr}${done.stdout}`);
  };
  const backup = `${parent(server)}-backup`;
  run(["backup", backup]);
  await sent(phone);
  const before = await settled(phone);
  await server.kill();
  fs.rmSync(server.data, { recursive: true });
  server.env = { JIJIA_LOG_ORIGIN: "jijia.test/again" };
  run(["restore", backup, "--new-origin", "jijia.test/again"], server.env);
  await server.start();
  const after = await log(phone, (now) => now.restored);
  assert.equal(after.fork, null);
  assert.deepEqual(after.old, [before.head], "the old head is kept");
  await says(page, "#alarm .restored", new RegExp(`只接上了前 \\d+ 条，本机见过 ${before.size} 条.*1 条上报正在重新上传`, "s"));
  // What was still on the phone is on the server again.
  const { items } = await phone.delivered();
  // A camera that stood still has taken the first photo twice: then the backup has it.
  const photos = items.map((item) => String(item.photos));
  if (new Set(photos).size === photos.length) await says(page, "#alarm .restored", /1 张照片或语音本机已不再保存/);
  const page1 = await server.json("/api/v1/timeline?limit=200");
  const rows = page1.rows.filter((r) => r.row === "sighting").map((r) => r.id).sort();
  assert.deepEqual(rows, items.filter((i) => i.kind === "report").map((i) => i.id).sort());
  await page.click("#restored-seen");
  await page.waitForSelector("#alarm .restored", { state: "detached" });
  await settled(phone);
  await page.reload();
  await page.waitForSelector(".home");
  assert.equal(await page.locator("#alarm section").count(), 0);
  fs.rmSync(backup, { recursive: true, force: true });
}

exports.heads = async (test) => {
  await test("heads: the phone keeps the newest, and its receipts until they are under one", () => with_phone({}, kept));
  await test("heads: a log that is shorter is an alarm", () => with_phone({}, shorter));
  await test("heads: a log that forked is an alarm", () => with_phone({}, forked));
  await test("heads: a desk raises it, too", () => with_phone({}, desk));
  await test("heads: no bad network is an alarm", () => with_phone({}, noAlarm));
  await test("heads: a restore under a new name has words of its own", () => with_phone({}, restored));
};

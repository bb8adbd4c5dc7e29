// How it looks and how fast it is: axe on every screen in both languages and all looks, targets for gloves, text that
// grows, the budgets of a cheap phone.
"use strict";
const assert = require("assert");
const fs = require("fs");
const path = require("path");
const zlib = require("zlib");
const { Phone, timed } = require("./field_phone.js");
const { arrived, with_phone } = require("./field_queue.js");

const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const LOOKS = [
  ["zh", "normal", "light"], ["zh", "elder", "light"], ["zh", "normal", "sun"], ["zh", "elder", "sun"],
  ["en", "normal", "light"], ["en", "elder", "light"], ["en", "normal", "sun"],
];
const OTHERS = { people: ".people", settings: ".settings", finish: ".choices", tasks: ".below", plate: ".plate" };
/** What the first start does not wait for. */
const LATER = ["/m/jsqr.js", "/m/voice.js"];
const KB = 1024;
const FIRST_LOAD_KB = 90;
const OFFLINE_START_MS = 1000;
const SAVE_MS = 1000;
const LIST_MS = 1000;
const TASK_MS = 500;
const PHOTO_BYTES = 500000;
const SLOWER = 4;
const TRIES = 6;
/** The smallest target, px: by look. */
const TARGET = { normal: 44, elder: 60 };

/** Every screen, one after the other: `look` is called on each. */
async function tour(phone, look) {
  const { page } = phone;
  const go = (hash, is) => page.evaluate((h) => { window.location.hash = h; }, hash).then(() => page.waitForSelector(is));
  await phone.open();
  await look("home");
  await phone.walk();
  await page.waitForSelector("#next.here");
  await look("walking");
  await page.click("#main");
  await phone.filming();
  await page.waitForSelector(".fix.good");
  await look("camera");
  await page.click(".shutter");
  await page.waitForSelector(".pick");
  await page.click("#sewage_outflow");
  await page.waitForSelector(".pick.on");
  await look("report");
  await page.click("#more");
  await page.waitForSelector(".choice");
  await look("question");
  for (let n = 0; n < 3; n += 1) await page.click(".choice");
  await page.click(".thumb .tile >> nth=1");
  await page.click("#note");
  await look("note");
  await page.click(".main");
  await page.click("#voice");
  await page.waitForSelector("#stop");
  await look("speaking");
  await page.click("#stop");
  await page.waitForSelector("#play");
  await look("spoken");
  await page.click(".main");
  await page.waitForSelector(".pick.on");
  await look("report-full");
  await phone.offline(true);
  await page.click("#send");
  await page.waitForSelector("#say button");
  await look("saved");
  await go("outbox", ".items .saved");
  await look("outbox");
  for (const [hash, is] of Object.entries(OTHERS)) {
    await go(hash, is);
    await look(hash);
  }
  await go("people", ".people");
  Object.assign(phone.session, { state: "out" });
  await phone.offline(false);
  await page.evaluate(() => import("/m/session.js").then((s) => s.renew()));
  await page.click(".person");
  await page.waitForSelector(".keys");
  await look("pin");
}

/** What axe finds, what is too small to hit, what scrolls sideways. */
async function findings(page, size) {
  await page.evaluate(axe);
  const found = await page.evaluate((tags) => window.axe.run(document, { runOnly: tags }), TAGS);
  const said = found.violations.map(({ id, nodes: [first, ...more] }) => `axe ${id}: ${1 + more.length} × ${first.html.slice(0, 160)} ${first.failureSummary.slice(0, 200)}`);
  const small = await page.evaluate((least) => Array.from(document.querySelectorAll("button, a, label.sq, input:not(.hide)"))
    .filter((e) => e.type !== "checkbox" && e.getClientRects().length > 0)
    .filter((e) => Math.min(e.offsetHeight, e.offsetWidth) < least)
    .map((e) => `${e.outerHTML.slice(0, 80)} ${e.offsetWidth}×${e.offsetHeight}`), TARGET[size]);
  said.push(...small.map((s) => `target under ${TARGET[size]} px: ${s}`));
  const wide = await page.evaluate(() => {
    const frames = [document.documentElement, ...document.querySelectorAll(".screen")];
    return Math.max(...frames.map((e) => e.scrollWidth - e.clientWidth));
  });
  if (wide > 0) said.push(`scrolls sideways by ${wide} px`);
  return said;
}

async function look(base, pictures, [lang, size, theme, zoom = "100"]) {
  const init = Object.entries({ size, theme, zoom }).map(([name, value]) => `localStorage.setItem("jijia.${name}", "${value}");`).join("");
  const phone = await Phone.start(base, { lang, init, played: true });
  const said = [];
  try {
    await tour(phone, async (name) => {
      const found = await findings(phone.page, size);
      said.push(...found.map((f) => `${name}: ${f}`));
      if (!pictures) return;
      fs.mkdirSync(pictures, { recursive: true });
      await phone.page.screenshot({ path: path.join(pictures, `field-${lang}-${size}-${theme}-${zoom}-${name}.png`) });
    });
    const all = [...said, ...phone.faults];
    if (all.length > 0) throw all.join("\n");
  } finally {
    await phone.close();
  }
}

/** Every byte of the first load, packed as tightly as brotli can: what the page and its worker ask for. */
async function firstLoad(phone) {
  const worker = await (await fetch(`${phone.base}/m/sw.js`)).text();
  const list = Object.keys(JSON.parse(worker.split("\n")[0].slice("const FILES = ".length, -1)));
  await phone.open();
  await phone.installed();
  const kept = await phone.page.evaluate(async () => {
    const requests = await (await caches.open("jijia-field")).keys();
    return requests.map((r) => new URL(r.url).pathname);
  });
  const first = [...new Set(kept)].filter((p) => list.includes(p) && !LATER.includes(p));
  for (const file of ["/m", "/m/app.js", "/m/fflate.js", "/m/zh-CN.json", "/m/en.json"]) assert.ok(first.includes(file), file);
  const sizes = { br: 0, gzip: 0 };
  for (const address of [...first, "/m/sw.js"]) {
    const body = Buffer.from(await (await fetch(phone.base + address)).arrayBuffer());
    sizes.br += zlib.brotliCompressSync(body).length;
    sizes.gzip += zlib.gzipSync(body, { level: 9 }).length;
  }
  const kb = (n) => (n / KB).toFixed(1);
  console.log(`     first load: ${kb(sizes.br)} KB brotli, ${kb(sizes.gzip)} KB gzip, ${first.length + 1} files`);
  assert.ok(sizes.br <= FIRST_LOAD_KB * KB);
}

/** When home stood there, by the page's own clock. */
const HOME_AT = () => {
  new MutationObserver((changes, observer) => {
    if (!document.querySelector(".home")) return;
    window.homeAt = performance.now();
    observer.disconnect();
  }).observe(document, { childList: true, subtree: true });
};

async function offlineStart(phone, server) {
  await phone.open();
  await phone.installed();
  await server.kill();
  await phone.kill();
  await phone.launch();
  await phone.offline(true);
  await phone.open();
  const ms = await phone.page.waitForFunction(() => window.homeAt).then((h) => h.jsonValue());
  console.log(`     cold start offline: home after ${timed(ms, OFFLINE_START_MS)}`);
}

async function slow(phone) {
  const cdp = await phone.context.newCDPSession(phone.page);
  await cdp.send("Emulation.setCPUThrottlingRate", { rate: SLOWER });
  return () => cdp.send("Emulation.setCPUThrottlingRate", { rate: 1 });
}

/** From the file to the question what it is, and from 发送 to the queue; by the page's clock, at a quarter of the speed. */
async function saving(phone) {
  const page = await phone.open();
  await phone.installed();
  await phone.walk();
  const buffer = await phone.photo12();
  await phone.offline(true);
  const times = [];
  for (let n = 0; n < TRIES; n += 1) {
    await page.click("#main");
    await phone.filming();
    const quick = await slow(phone);
    await page.evaluate(() => {
      const until = (is, name) => new MutationObserver((changes, observer) => {
        if (!document.querySelector(is)) return;
        window[name] += performance.now();
        observer.disconnect();
      }).observe(document.body, { childList: true, subtree: true });
      const from = (name, is) => {
        window[name] = -performance.now();
        until(is, name);
      };
      document.querySelector("#album").addEventListener("change", () => from("taken", ".pick"), true);
      document.addEventListener("click", (e) => e.target.id === "send" && from("filed", ".home"), true);
    });
    await page.setInputFiles("#album", { name: "a.jpg", mimeType: "image/jpeg", buffer });
    await page.waitForFunction(() => window.taken > 0);
    await page.click("#other");
    await page.waitForSelector(".pick.on");
    await page.click("#send");
    await page.waitForFunction(() => window.filed > 0);
    times.push(await page.evaluate(() => window.taken + window.filed));
    await quick();
    // Another build on the machine is not the app's: the best of a few counts.
    if (times[n] <= SAVE_MS) break;
    await page.reload();
    await page.waitForSelector(".walking");
  }
  const { photos } = await phone.kept();
  const [from, to] = [buffer.length, photos[0].size].map((bytes) => `${Math.round(bytes / 1000)} KB`);
  console.log(`     12 megapixels, ${from}, saved as ${to} at ${SLOWER}× throttle: ${timed(Math.min(...times), SAVE_MS)}`);
  assert.ok(photos.every((p) => p.size <= PHOTO_BYTES), "at most 500 KB");
}

/** Two hundred unsent: the list opens and scrolls at a quarter of the speed, and then all arrive. */
async function twoHundred(phone, server) {
  const page = await phone.open();
  await phone.installed();
  await phone.offline(true);
  await phone.seed(200);
  await page.reload();
  await page.waitForSelector(".home");
  const quick = await slow(phone);
  const opened = await page.evaluate(() => new Promise((done) => {
    const from = performance.now();
    new MutationObserver((changes, observer) => {
      if (document.querySelectorAll(".items li").length < 10) return;
      observer.disconnect();
      requestAnimationFrame(() => done(performance.now() - from));
    }).observe(document.body, { childList: true, subtree: true });
    document.getElementById("tile-outbox").click();
  }));
  const longest = await page.evaluate(() => new Promise((done) => {
    const tasks = [0];
    const observer = new PerformanceObserver((list) => tasks.push(...list.getEntries().map((e) => e.duration)));
    observer.observe({ type: "longtask" });
    const press = () => {
      const more = document.getElementById("more");
      if (more) more.click();
      if (document.querySelectorAll(".items li").length >= 60) setTimeout(() => done(Math.max(...tasks)), 300);
      else setTimeout(press, 100);
    };
    press();
  }));
  await quick();
  console.log(`     200 unsent at ${SLOWER}× throttle: list after ${timed(opened, LIST_MS)}; longest task ${timed(longest, TASK_MS)}`);
  await phone.offline(false);
  await page.click("#now");
  const start = Date.now();
  const after = await phone.delivered(180000);
  console.log(`     200 reports with photos delivered in ${((Date.now() - start) / 1000).toFixed(1)} s`);
  assert.equal(after.items.length, 200);
  await arrived(server, after);
}

/** With the keyboard alone, from home to the queue. */
async function keyboard(phone) {
  const page = await phone.open();
  const press = async (id) => {
    for (let n = 0; n < 40; n += 1) {
      await page.keyboard.press("Tab");
      if (await page.evaluate((is) => document.activeElement.matches(is), id)) return page.keyboard.press("Enter");
    }
    throw new Error(`${id} is not reached by Tab`);
  };
  await press("#main");
  await page.waitForSelector(".walking");
  await press("#main");
  await phone.filming();
  await press(".shutter");
  await page.waitForSelector(".pick");
  await press("#other");
  await page.waitForSelector(".pick.on");
  await press("#send");
  await page.waitForSelector(".home");
  await phone.delivered();
}

async function looks(test, base, pictures) {
  for (const how of LOOKS) await test(`looks ${how.join(" ")}`, () => look(base, pictures, how));
  await test("looks zh elder light at 165 %", () => look(base, pictures, ["zh", "elder", "light", "165"]));
  await test("the first load is light", () => with_phone({}, firstLoad));
  await test("a cold start without network or server", () => with_phone({ init: HOME_AT }, offlineStart));
  await test("a large photo is saved at once on a slow phone", () => with_phone({}, saving));
  await test("two hundred unsent", () => with_phone({}, twoHundred));
  await test("by keyboard alone", () => with_phone({}, keyboard));
}

module.exports = { looks };

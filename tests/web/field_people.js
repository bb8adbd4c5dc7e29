// A shared phone: who has it in hand, and what that must never touch. And where the app does not run at all.
"use strict";
const assert = require("assert");
const http = require("http");
const { GIVEN, PEOPLE, PIN, Phone, Server, says } = require("./field_phone.js");
const { arrived, with_phone } = require("./field_queue.js");

const OUT = { signedIn: false };

async function pin(page, digits) {
  for (const digit of digits) await page.click(`.key:has-text("${digit}")`);
  await page.click(".key.ok");
}

async function signIn(phone, name, digits = PIN) {
  await phone.page.click(`.person:has-text("${name}")`);
  await pin(phone.page, digits);
}

/** Twenty unsent of one person; another takes the phone; nothing is touched, and each keeps its person. */
async function changed(phone, server) {
  const page = await phone.open();
  await signIn(phone, "李建国");
  await page.waitForSelector(".home");
  await phone.installed();
  await phone.walk();
  await phone.offline(true);
  await phone.report();
  await phone.seed(19);
  const before = (await phone.kept()).items;
  await phone.offline(false);
  // The server is away while the person changes: nothing may be sent meanwhile.
  await phone.context.route(/\/api\/v1\/(reports|photos)/, (route) => route.abort());
  await page.click(".who");
  await says(page, "main", /20 条没上传/);
  await signIn(phone, "王秀英");
  await page.waitForSelector(".who:has-text('王秀英')");
  assert.deepEqual((await phone.kept()).items.map((i) => [i.id, i.body]), before.map((i) => [i.id, i.body]));
  await phone.context.unroute(/\/api\/v1\/(reports|photos)/);
  // The patrol is the other person's.
  await says(page, "#main", /开始巡湖/);
  await phone.walk();
  await phone.report("other");
  const after = await phone.delivered();
  const by = after.items.map((i) => JSON.parse(i.body).person.id).sort();
  assert.deepEqual(by, [...Array(20).fill("p-01"), "p-02"]);
  await arrived(server, after);
}

/** Offline the PIN is held against what an earlier sign-in left; wrong ones cost time, also over a reload. */
async function offline(phone) {
  const page = await phone.open();
  await signIn(phone, "李建国");
  await page.waitForSelector(".home");
  await phone.installed();
  await phone.offline(true);
  await page.click(".who");
  await signIn(phone, "王秀英");
  await page.waitForSelector("#say .bad");
  await says(page, "#say", /办公室登录一次/);
  await page.click(".back");
  await page.click(`.person:has-text("李建国")`);
  for (let n = 0; n < 3; n += 1) {
    await page.evaluate(() => document.getElementById("say").replaceChildren());
    await pin(page, "9999");
    await says(page, "#say", /密码不对/);
  }
  await pin(page, PIN);
  await says(page, "#say", /请等 \d+ 秒/);
  await page.reload();
  await page.waitForSelector("#app h1");
  await page.evaluate(() => { window.location.hash = "people"; });
  await page.click(`.person:has-text("李建国")`);
  await pin(page, PIN);
  await says(page, "#say", /请等 \d+ 秒/);
  await page.waitForTimeout(5500);
  await pin(page, PIN);
  await page.waitForSelector(".home");
}

/** A PIN that was forgotten: the office gives one, which opens the choice of another; and who gave it is told. */
async function chosen(phone, server) {
  server.shell(["pin", PEOPLE[1].id], GIVEN);
  const page = await phone.open();
  await signIn(phone, "王秀英", GIVEN);
  await says(page, ".strip", /自己的密码/);
  await pin(page, "2345");
  await says(page, ".strip", /再输一次/);
  await pin(page, "2345");
  await says(page, "#say", /请换一个/);
  await pin(page, "2580");
  await pin(page, "2581");
  await says(page, "#say", /不一样/);
  await pin(page, "2580");
  await pin(page, "2580");
  await page.waitForSelector(".notices");
  await says(page, ".notices", /给了一个新的手机密码.*服务器后台/s);
  await page.click("#known");
  await page.waitForSelector(".home");
  await page.click(".who");
  await signIn(phone, "王秀英", GIVEN);
  await says(page, "#say", /密码不对/);
  await page.waitForTimeout(1100);
  await pin(page, "2580");
  await page.waitForSelector(".home");
}

/** The code of the office's wall makes the phone known, and leaves the address. */
async function enrolled(phone, server) {
  const page = await phone.open();
  await page.waitForSelector(".enrol");
  const code = server.code();
  await page.goto(`${phone.base}/m#enrol=${code}`);
  await page.waitForSelector(".person");
  assert.ok(!page.url().includes(code));
  assert.deepEqual(await page.$$eval(".person", (all) => all.length), PEOPLE.length);
  await says(page, "main", /手机已登记/);
  // Whoever comes in for the first time knows the lake at once, before anything is opened anew.
  await signIn(phone, "李建国");
  await page.waitForSelector(".home .win");
}

/** In the demo nobody is asked: a name is enough. */
async function open(base) {
  const phone = await Phone.start(base);
  try {
    const page = await phone.open();
    await page.click(".people .person, main .tile");
    await page.waitForSelector(".home");
    assert.deepEqual(phone.faults, []);
  } finally {
    await phone.close();
  }
}

/** Where it cannot work it says why, and how it can. */
async function guides() {
  const server = await Server.start();
  const ways = [
    ["wechat", () => Object.defineProperty(navigator, "userAgent", { value: "x MicroMessenger/8.0" }), /浏览器/],
    ["secure", () => Object.defineProperty(window, "isSecureContext", { value: false }), /https/],
    ["storage", () => { IDBFactory.prototype.open = () => { throw new DOMException("private", "InvalidStateError"); }; }, /无痕/],
  ];
  try {
    for (const [name, init, words] of ways) {
      const phone = await Phone.start(server.base, { init });
      const page = await phone.open();
      await page.waitForSelector(".guide");
      await says(page, ".guide", words);
      if (name === "wechat") assert.ok(await page.$(".guide .pic"), "a picture of where to tap");
      await phone.close();
    }
  } finally {
    await server.stop();
  }
}

/** The server as it stands, but for the worker, to which `state.more` is added. */
async function proxy(base, state) {
  const server = http.createServer((request, answer) => {
    const headers = { ...request.headers, "accept-encoding": "identity" };
    const up = http.request(base + request.url, { method: request.method, headers }, (from) => {
      if (request.url !== "/m/sw.js") {
        answer.writeHead(from.statusCode, from.headers);
        return from.pipe(answer);
      }
      let text = "";
      from.setEncoding("utf8").on("data", (part) => { text += part; });
      return from.on("end", () => {
        answer.writeHead(200, { "content-type": "text/javascript", "service-worker-allowed": "/m" });
        answer.end(text + state.more);
      });
    });
    request.pipe(up);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return server;
}

/** A new version waits while something is written, and takes over on the home screen. */
async function newVersion() {
  const server = await Server.start();
  const state = { more: "" };
  const between = await proxy(server.base, state);
  const phone = await Phone.start(`http://127.0.0.1:${between.address().port}`, { server });
  try {
    const page = await phone.open();
    await phone.installed();
    await phone.walk();
    await phone.shoot();
    state.more = "\n// newer\n";
    await page.evaluate(() => navigator.serviceWorker.getRegistration("/m").then((r) => r.update()));
    await page.waitForFunction(() => navigator.serviceWorker.getRegistration("/m").then((r) => Boolean(r.waiting)));
    await page.evaluate(() => { window.isOld = true; });
    await page.waitForTimeout(2500);
    assert.ok(await page.$(".pick"), "the draft stays on the screen");
    await page.click("#other");
    await page.click("#send");
    await page.waitForFunction(() => !window.isOld, null, { timeout: 60000 });
    await page.waitForSelector(".walking");
    await phone.delivered();
    assert.deepEqual(phone.faults, []);
  } finally {
    await phone.close();
    between.close();
    await server.stop();
  }
}

async function people(test, base) {
  const on = (name, run, options = {}) => test(name, () => with_phone(options, run));
  await on("the person changes with twenty unsent", changed, OUT);
  await on("a PIN without a network, and growing waits", offline, OUT);
  await on("a PIN of one's own, and what others did to the account", chosen, OUT);
  await on("a phone is enrolled by the code on the wall", enrolled, { enrolled: false });
  await test("in the demo a name is enough", () => open(base));
  await test("WeChat, no https, private mode: the way out is shown", guides);
  await test("a new version waits until nothing is half written", newVersion);
}

module.exports = { people };

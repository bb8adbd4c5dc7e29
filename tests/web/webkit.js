// The field app in the other engine, the one that iPhones have: WebKit (its GTK port), driven by WebDriver (W3C), on a
// service of its own (the binary of JIJIA) by https. What differs there: no persistent storage is promised, cookies and
// workers are its own, and the camera is the phone's own.
//   JIJIA=path/to/jijia node webkit.js [folder for pictures]
"use strict";
const assert = require("assert");
const { spawn } = require("child_process");
const fs = require("fs");
const path = require("path");
const { arrived } = require("./field_queue.js");
const { PIN, Server, folder, freePort } = require("./field_phone.js");

const [pictures] = process.argv.slice(2);
const MACHINE = { x64: "x86_64", arm64: "aarch64" }[process.arch];
const BROWSER = process.env.WEBKIT_BROWSER || `/usr/lib/${MACHINE}-linux-gnu/webkit2gtk-4.1/MiniBrowser`;
/** A reference to an element, as WebDriver writes it. */
const ELEMENT = "element-6066-11e4-a52e-4f735466cecf";
const WAIT_MS = 20000;

/** One window of WebKit, in a display of its own. */
class WebKit {
  /** In the folder `home`. */
  constructor(home) {
    this.home = home;
  }

  async start() {
    const port = await freePort();
    this.address = `http://127.0.0.1:${port}`;
    const env = { ...process.env, HOME: this.home, TMPDIR: this.home, LIBGL_ALWAYS_SOFTWARE: "1" };
    for (const name of ["XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"]) env[name] = path.join(this.home, name);
    // A group of its own: the display, the driver and the browser end together.
    this.driver = spawn("xvfb-run", ["-a", "WebKitWebDriver", `--port=${port}`], { env, stdio: "ignore", detached: true });
    this.ended = new Promise((done) => { this.driver.once("exit", done).once("error", done); });
    await this.until(() => this.call("GET", "/status").catch(() => null), "the driver");
    const options = { binary: BROWSER, args: ["--automation"] };
    const wanted = { acceptInsecureCerts: true, "webkitgtk:browserOptions": options };
    const { sessionId, capabilities } = await this.call("POST", "/session", { capabilities: { alwaysMatch: wanted } });
    this.version = capabilities.browserVersion;
    this.session = `/session/${sessionId}`;
    await this.call("POST", `${this.session}/window/rect`, { width: 360, height: 740 });
  }

  async call(method, where, body) {
    const said = { method, body: body && JSON.stringify(body), signal: AbortSignal.timeout(60000) };
    const answer = await fetch(this.address + where, said);
    const { value } = await answer.json();
    if (!answer.ok) throw new Error(`${where}: ${value.error}: ${value.message}`);
    return value;
  }

  /** Polls `look` until it gives something, and gives that. */
  async until(look, what) {
    for (const end = Date.now() + WAIT_MS; Date.now() < end;) {
      const found = await look();
      if (found) return found;
      await new Promise((done) => { setTimeout(done, 100); });
    }
    throw new Error(`waited in vain for ${what}; the page says: ${this.session ? await this.text().catch(String) : ""}`);
  }

  go(url) {
    return this.call("POST", `${this.session}/url`, { url });
  }

  /** The value of a script's `return`; a promise is waited for. */
  run(script, ...args) {
    return this.call("POST", `${this.session}/execute/sync`, { script, args });
  }

  text() {
    return this.run("return document.body.innerText");
  }

  find(selector) {
    const how = { using: "css selector", value: selector };
    const element = () => this.call("POST", `${this.session}/element`, how).catch(() => null);
    return this.until(element, selector).then((found) => `${this.session}/element/${found[ELEMENT]}`);
  }

  /** As a finger does it; what is drawn anew meanwhile is looked for again. */
  async tap(selector) {
    const tapped = async () => this.call("POST", `${await this.find(selector)}/click`, {}).then(() => true, () => false);
    await this.until(tapped, `a tap on ${selector}`);
  }

  says(pattern) {
    return this.until(async () => pattern.test(await this.text()), String(pattern));
  }

  async picture(name) {
    if (!pictures) return;
    const picture = await this.call("GET", `${this.session}/screenshot`);
    fs.writeFileSync(path.join(pictures, `webkit-${name}.png`), Buffer.from(picture, "base64"));
  }

  async stop() {
    if (this.session) await this.call("DELETE", this.session).catch(() => undefined);
    try {
      process.kill(-this.driver.pid, "SIGTERM");
    } catch (error) {
      // It has ended by itself, or was never there.
    }
    await this.ended;
  }
}

/** A report by hand, from home to home. */
async function report(kit, kind, photo) {
  await kit.tap("#main");
  await kit.find(".cam");
  await kit.call("POST", `${await kit.find("#album")}/value`, { text: photo });
  await kit.tap(`#${kind}`);
  await kit.picture(`report-${kind}`);
  await kit.tap("#send");
  await kit.find(".home");
}

/** What the phone keeps of what it sent and sends. */
function kept(kit) {
  return kit.run(`return import("/m/store.js").then(async (store) => {
    const [open, done] = await Promise.all([store.listOpen(), store.listDoneSince(0)]);
    return [...open, ...done].map(({ id, kind, record, photos, open: left, body }) =>
      ({ id, kind, record, left, photos, body: new TextDecoder().decode(body) }));
  })`);
}

/** Until `n` are on the phone and nothing is left to send; gives them. */
function delivered(kit, n) {
  return kit.until(async () => {
    const items = await kept(kit);
    return items.length === n && items.every((i) => i.left === 0) && { items };
  }, `${n} delivered`);
}

/** The code on the wall, a name, a PIN: then the lake is known. */
async function enter(kit, server) {
  await kit.go(`${server.base}/m#enrol=${server.code()}`);
  await kit.says(/手机已登记/);
  await kit.picture("people");
  await kit.tap(".person");
  const keys = Array.from(PIN).map((digit) => `main .key:nth-child(${digit})`);
  for (const key of [...keys, ".key.ok"]) await kit.tap(key);
  await kit.find(".home .win");
  await kit.picture("home");
}

/** A report with a photo, from the finger to the receipt. */
async function reported(kit, server, photo) {
  await kit.tap("#main");
  await kit.find(".walking");
  await report(kit, "sewage_outflow", photo);
  const { items } = await delivered(kit, 1);
  await arrived(server, { items });
  const { photos, no_position } = JSON.parse(items[0].body);
  assert.equal(photos.length, 1);
  assert.ok(no_position.length > 1);
}

/** Without the server it opens, takes a report, opens again with it, and sends it when the server is there. */
async function without(kit, server, photo) {
  await kit.until(() => kit.run(`return Boolean(navigator.serviceWorker.controller)
    && caches.open("jijia-field").then((cache) => cache.match("/m/voice.js", { ignoreSearch: true })).then(Boolean)`), "the worker");
  await server.kill();
  await kit.go(`${server.base}/m`);
  await kit.find(".walking");
  await report(kit, "water_hyacinth", photo);
  await kit.go(`${server.base}/m#outbox`);
  await kit.find(".items .saved");
  await kit.picture("outbox");
  const before = await kept(kit);
  await server.start();
  await kit.tap("#now");
  const after = await delivered(kit, 2);
  const open = before.find((i) => i.left > 0);
  assert.equal(after.items.find((i) => i.id === open.id).body, open.body, "the bytes that were frozen");
  await arrived(server, after);
}

/** A page that is left amid a transaction is gone with it: the next one opens. */
async function left(kit, server) {
  await kit.run(`indexedDB.open("jijia").onsuccess = (event) => {
    const kv = event.target.result.transaction("kv", "readwrite").objectStore("kv");
    const on = () => { kv.get("person").onsuccess = on; };
    on();
  }`);
  await kit.go(`${server.base}/trust`);
  await kit.go(`${server.base}/m`);
  await kit.find(".home");
}

/** Four screens more, with nothing wider than the window. */
async function looks(kit, server) {
  for (const name of ["tasks", "settings", "finish", "plate"]) {
    await kit.run("document.querySelector('main').dataset.left = ''");
    await kit.go(`${server.base}/m#${name}`);
    await kit.find("main:not([data-left])");
    await kit.picture(name);
    assert.equal(await kit.run("return document.documentElement.scrollWidth <= window.innerWidth"), true, name);
  }
}

/** In this order: each begins where the one before ended. */
const WAY = [["a phone comes in", enter], ["a report with its photo", reported], ["without a server", without],
  ["a page left amid a transaction", left], ["screens", looks]];

async function main() {
  // The service's own authority is nobody's; whether it is trusted is another test's question.
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
  const home = folder("webkit");
  const photo = path.join(home, "lake.jpg");
  // As new as one that the phone's own camera has just taken.
  fs.writeFileSync(photo, fs.readFileSync(path.join(__dirname, "../fixtures/photo/progressive.jpg")));
  const server = await Server.start({ tls: true });
  const count = { passed: 0, failed: 0 };
  const kit = new WebKit(home);
  try {
    await kit.start();
    console.log(`     WebKitGTK ${kit.version}`);
    for (const [name, run] of WAY) {
      await run(kit, server, photo);
      count.passed += 1;
      console.log(`ok   ${name}`);
    }
  } catch (error) {
    // What comes after stands on what came before.
    count.failed += 1;
    console.log(`FAIL WebKit, after ${count.passed} that passed\n       ${String(error.stack || error)}`);
  } finally {
    await server.stop();
    await kit.stop();
    // The browser's children end a moment after it.
    fs.rmSync(home, { recursive: true, force: true, maxRetries: 20, retryDelay: 200 });
  }
  console.log(`${count.passed} passed, ${count.failed} failed, 0 skipped`);
  process.exit(count.failed === 0 ? 0 : 1);
}

main();

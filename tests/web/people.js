// A real browser on a new service: the first administrator by the link that the terminal shows, people, a link for one of
// them, sign-in with both factors, sign-out; each page in both languages with axe. With a folder, pictures go there.
//   node people.js PROGRAM [folder]
"use strict";
const crypto = require("crypto");
const fs = require("fs");
const os = require("os");
const path = require("path");
const { spawn } = require("child_process");
const { chromium } = require("playwright-core");

const [program, folder] = process.argv.slice(2);
const PASSWORD = "湖边的鸭子晚上不睡觉";
const NEW = "drei graue Reiher am Ufer";
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const count = { passed: 0, failed: 0 };

function say(ok, what) {
  count[ok ? "passed" : "failed"] += 1;
  console.log(`${ok ? "ok  " : "FAIL"} ${what}`);
}

/** RFC 6238 with a Base32 secret, so many steps from now. */
function totp(base32, steps = 0) {
  const bits = [...base32].map((c) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(c).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000) + steps));
  const mac = crypto.createHmac("sha1", key).update(counter).digest();
  const at = mac[19] & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1000000).padStart(6, "0");
}

/** Starts the service on an empty folder; gives its address and what it printed. */
async function start(data) {
  // Every JIJIA_… is a key of its configuration, and an unknown one an error.
  const plain = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("JIJIA_")));
  const child = spawn(program, ["--data", data, "serve"], { env: { ...plain, JIJIA_SERVER_LISTEN: "127.0.0.1:0" } });
  let said = "";
  const link = await new Promise((resolve, reject) => {
    child.stdout.on("data", (text) => {
      said += text;
      const found = said.match(/http:\S+\/join#[0-9a-f]{64}/);
      if (found) resolve(found[0]);
    });
    child.stderr.on("data", (text) => { said += text; });
    child.on("exit", () => reject(new Error(`it ended: ${said}`)));
  });
  return { child, link, base: new URL(link).origin };
}

async function look(page, name, faults) {
  for (const lang of ["zh", "en"]) {
    if (lang === "en") await page.goto(`${page.url().split(/[?#]/)[0]}?lang=en`, { waitUntil: "networkidle" });
    await page.evaluate(axe);
    const found = await page.evaluate((tags) => window.axe.run(document, { runOnly: tags }), TAGS);
    const wrong = found.violations.map((v) => `axe ${v.id}: ${v.nodes[0].html.slice(0, 120)}`).concat(faults.splice(0));
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (wide > 0) wrong.push(`scrolls sideways by ${wide} px`);
    if (folder) await page.screenshot({ path: path.join(folder, `${name}-${lang}.png`), fullPage: true });
    say(wrong.length === 0, [`${name} ${lang}`, ...wrong].join("\n       "));
  }
  await page.goto(`${page.url().split(/[?#]/)[0]}?lang=zh`, { waitUntil: "networkidle" });
}

function listen(page, faults) {
  page.on("pageerror", (error) => faults.push(`script: ${error.message}`));
  page.on("console", (message) => {
    const refused = message.text().startsWith("Failed to load resource");
    if (["error", "warning"].includes(message.type()) && !refused) faults.push(`console: ${message.text()}`);
  });
}

/** Fills the page behind a link. */
async function join(page, fields) {
  await page.waitForSelector("#form:not([hidden])");
  const secret = await page.textContent("#totp_text");
  for (const [name, value] of Object.entries(fields)) await page.fill(`[name=${name}]`, value);
  await page.fill("[name=totp_code]", totp(secret));
  return secret;
}

/** The own account: another password, and another session ended. The second factor's code of now was used when it was set. */
async function own(page, base, secret) {
  await page.goto(`${base}/account`, { waitUntil: "networkidle" });
  const hidden = await page.$$eval("input[name=password], input[name=new_password]", (all) => all.map((i) => i.type));
  say(hidden.length === 4 && hidden.every((type) => type === "password"), "no password is shown as it is typed");
  const fields = { password: "something else", code: totp(secret, 0), new_password: NEW };
  for (const [name, value] of Object.entries(fields)) await page.fill(`#change_password [name=${name}]`, value);
  await page.click("#change_password button");
  await page.waitForSelector("#wrong:not([hidden])");
  say((await page.textContent("#wrong")).includes("现在的密码"), "the password as it is must be shown to change it");
  await page.waitForTimeout(1100);
  await page.fill("#change_password [name=password]", PASSWORD);
  const wait = 30000 - (Date.now() % 30000) + 500;
  await page.waitForTimeout(wait);
  await page.fill("#change_password [name=code]", totp(secret, 0));
  await Promise.all([page.waitForNavigation({ waitUntil: "networkidle" }), page.click("#change_password button")]);
  say((await page.$$("#sessions input")).length === 1, "the password is changed, and one is in here alone");
  await page.fill("#end_sessions [name=password]", "something else");
  await page.click("#end_sessions button");
  await page.waitForSelector("#wrong:not([hidden])");
  say(page.url() === `${base}/account`, "a session is not ended without the password");
}

async function run(browser, { link, base }) {
  const faults = [];
  const desk = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await desk.newPage();
  listen(page, faults);
  await page.goto(`${base}/timeline`);
  say(page.url() === `${base}/join`, "before anybody governs every page leads to the setup");
  await page.goto(link);
  if (folder) { await page.waitForSelector("#form:not([hidden])"); await page.screenshot({ path: path.join(folder, "setup.png"), fullPage: true }); }
  await join(page, { name: "王敏", login: "wang.min", password: "password2026" });
  await page.click("#form button");
  await page.waitForSelector("#wrong:not([hidden])");
  say((await page.textContent("#wrong")).includes("猜"), "a password that is guessed soon is refused in words");
  say(!page.url().includes("#"), "the code is gone from the address");
  const secret = await join(page, { name: "王敏", login: "wang.min", password: PASSWORD });
  await Promise.all([page.waitForURL(`${base}/`), page.click("#form button")]);
  await page.waitForSelector("#who:not([hidden])");
  say((await page.textContent("#who [data-own]")) === "王敏", "the first administrator is in, by name");
  await page.goto(`${base}/people`, { waitUntil: "networkidle" });
  await page.fill("#add_person [name=name]", "李建国");
  await page.selectOption("#add_person [name=role]", "supervisor");
  await page.fill("#add_person [name=login]", "li.jianguo");
  await page.click("#add_person button");
  await page.waitForFunction(() => document.querySelectorAll("#people tr").length === 2);
  await page.fill("#add_phone [name=name]", "1号手机");
  await page.click("#add_phone button");
  await page.waitForSelector("#link:not([hidden]) svg");
  say((await page.textContent("#href")).startsWith(`${base}/m#enrol=`), "a phone is enrolled by a link with a QR code");
  await page.fill("#add_token [name=name]", "水质上传");
  await page.click("#add_token button");
  await page.waitForFunction(() => /^[0-9a-f]{64}$/.test(document.getElementById("href").textContent));
  say(true, "a token is shown once");
  await page.click("#people tr:nth-child(2) .button");
  await page.waitForFunction(() => document.getElementById("href").textContent.includes("/join#"));
  const invite = await page.textContent("#href");
  if (folder) await page.screenshot({ path: path.join(folder, "people-link.png"), fullPage: true });
  await look(page, "people", faults);
  await page.goto(`${base}/account`, { waitUntil: "networkidle" });
  await look(page, "account", faults);

  const other = await browser.newContext({ viewport: { width: 390, height: 844 } });
  const li = await other.newPage();
  listen(li, faults);
  await li.goto(invite);
  await join(li, { password: PASSWORD });
  if (folder) await li.screenshot({ path: path.join(folder, "join-phone.png"), fullPage: true });
  await Promise.all([li.waitForURL(`${base}/`), li.click("#form button")]);
  await li.waitForSelector("#told:not([hidden])");
  const told = await li.textContent("#told");
  say(/生成了一个登录链接 王敏/.test(told), "who comes by a link is told who made it");
  await look(li, "told", faults);
  await li.waitForSelector("#told:not([hidden])");
  await li.click("#told button");
  await li.waitForSelector("#told", { state: "hidden" });
  await li.goto(`${base}/account`, { waitUntil: "networkidle" });
  const still = (await li.textContent("#notices")).includes("王敏") && (await li.isHidden("#told"));
  say(still, "what is known stays on the own page");
  say((await li.goto(`${base}/people`)).status() === 403, "a supervisor has no way to the people");
  say((await li.goto(`${base}/timeline`)).status() === 200, "and sees the timeline");

  await own(page, base, secret);
  await page.goto(`${base}/timeline`, { waitUntil: "networkidle" });
  await page.click(".bar [data-out]");
  await page.waitForURL(`${base}/login`);
  say(true, "the way out stands in the head of every page");
  await page.goto(`${base}/timeline?kind=other`);
  say(page.url() === `${base}/login?next=%2Ftimeline%3Fkind%3Dother`, "signed out, a page leads to the sign-in and back");
  await look(page, "login", faults);
  await page.goto(`${base}/timeline?kind=other`);
  await page.fill("[name=login]", "wang.min");
  await page.fill("[name=password]", "something else");
  await page.click("main button");
  say((await page.textContent(".wrong[role=alert]")).length > 5, "a wrong password is said in words");
  await page.waitForTimeout(1100);
  await page.fill("[name=password]", NEW);
  await page.fill("[name=code]", totp(secret, 1));
  await Promise.all([page.waitForURL(`${base}/timeline?kind=other`), page.click("main button")]);
  say(true, "with both factors the page that was asked for comes");
  const download = page.waitForEvent("download");
  await page.click("form.downloads button");
  say((await (await download).suggestedFilename()).endsWith(".zip"), "a bundle is made by the page's form, which shows the token");
  await page.goto(`${base}/join`);
  await look(page, "join", faults);
  await page.goto(`${base}/trust`);
  await look(page, "trust", faults);
}

async function main() {
  if (folder) fs.mkdirSync(folder, { recursive: true });
  const data = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "jijia-people-")), "data");
  const service = await start(data);
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
  try {
    await run(browser, service);
  } catch (error) {
    say(false, error.stack);
  } finally {
    await browser.close();
    service.child.removeAllListeners("exit");
    service.child.kill();
    fs.rmSync(path.dirname(data), { recursive: true, force: true });
  }
  console.log(`people: ${count.passed} passed, ${count.failed} failed, 0 skipped`);
  process.exit(count.failed ? 1 : 0);
}

main();

// Opens every page of a running server in a real browser, in both languages, on a desk and on a phone:
//   node pages.js http://127.0.0.1:8080 [folder]
// Each page must have no finding of axe (WCAG 2.2 AA), no message of the console (a refused inline style is one), no
// request to elsewhere, no sideways scrolling. With a folder, pictures and the timeline's print go there.
"use strict";
const fs = require("fs");
const path = require("path");
const { chromium } = require("playwright-core");
const { bring } = require("./import.js");
const { verify } = require("./verify.js");

const [base, folder] = process.argv.slice(2);
if (!base) {
  console.error("usage: node pages.js http://127.0.0.1:PORT [folder]");
  process.exit(2);
}
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const SCREENS = { desk: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const count = { passed: 0, failed: 0 };

function say(ok, what) {
  count[ok ? "passed" : "failed"] += 1;
  console.log(`${ok ? "ok  " : "FAIL"} ${what}`);
}

// The status of the page itself also comes as a console message; that one is expected of an error page.
function listen(page, address, faults) {
  page.on("pageerror", (error) => faults.push(`script: ${error.message}`));
  page.on("console", (message) => {
    const own = message.location().url === address && message.text().startsWith("Failed to load resource");
    if (["error", "warning"].includes(message.type()) && !own) faults.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(base) && !request.url().startsWith("data:")) faults.push(`request: ${request.url()}`);
  });
}

async function look(browser, name, address, lang, screen, status) {
  const context = await browser.newContext({ viewport: SCREENS[screen] });
  const page = await context.newPage();
  const faults = [];
  listen(page, address, faults);
  const answer = await page.goto(address, { waitUntil: "load" });
  if (answer.status() !== status) faults.push(`status ${answer.status()}, not ${status}`);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (wide > 0) faults.push(`scrolls sideways by ${wide} px`);
  await page.evaluate(axe);
  const found = await page.evaluate((tags) => window.axe.run(document, { runOnly: tags }), TAGS);
  for (const v of found.violations) faults.push(`axe ${v.id}: ${v.nodes.length} × ${v.nodes[0].html.slice(0, 120)}`);
  if (folder) await keep(page, `${name}-${lang}-${screen}`);
  await context.close();
  say(faults.length === 0, [`${name} ${lang} ${screen}`, ...faults].join("\n       "));
}

async function keep(page, name) {
  fs.mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: path.join(folder, `${name}.png`), fullPage: !name.startsWith("overview-zh-desk") });
  if (name === "timeline-zh-desk") await page.pdf({ path: path.join(folder, "timeline.pdf"), preferCSSPageSize: true });
}

// With the keyboard alone: the first Tab stops at the way past the navigation, and it leads to the content.
async function keyboard(browser) {
  const page = await browser.newPage();
  await page.goto(`${base}/`);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  const at = await page.evaluate(() => document.activeElement.id);
  say(at === "main", `keyboard: skip link leads to the content (stands on "${at}")`);
  await page.close();
}

async function withoutScript(browser) {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(`${base}/timeline`);
  await page.selectOption("select[name=kind]", "sewage_outflow");
  await Promise.all([page.waitForNavigation(), page.click("#filter button")]);
  say(page.url().includes("kind=sewage_outflow"), "without script: the filter works");
  await context.close();
}

// The page of the API is a library's: it must work under our policy, without a message of the console.
async function description(browser) {
  const page = await browser.newPage();
  const faults = [];
  listen(page, `${base}/api/docs/`, faults);
  await page.goto(`${base}/api/docs/`, { waitUntil: "networkidle" });
  const shown = await page.waitForSelector(".opblock", { timeout: 10000 }).then(() => true, () => false);
  say(shown && faults.length === 0, ["the API's description is drawn under its policy", ...faults].join("\n       "));
  await page.close();
}

// The first page takes itself anew when the log has grown, and says so when the server is gone.
async function live(browser) {
  const page = await browser.newPage();
  let answer = (route) => route.fulfill({ json: { log_size: 9007199254740991 } });
  await page.route("**/api/v1/head", (route) => answer(route));
  await page.clock.install();
  await page.goto(`${base}/`);
  await page.evaluate(() => document.getElementById("main").setAttribute("data-old", ""));
  await page.clock.runFor(31000);
  await page.waitForFunction(() => !document.getElementById("main").hasAttribute("data-old"), null, { timeout: 5000 })
    .then(() => say(true, "live: a grown log brings the page anew"), () => say(false, "live: the page stayed as it was"));
  answer = (route) => route.abort();
  await page.clock.runFor(31000);
  await page.waitForFunction(() => document.getElementById("live").classList.contains("lost"), null, { timeout: 5000 })
    .then(() => say(true, "live: a lost server is said"), () => say(false, "live: a lost server is not said"));
  await page.close();
}

async function main() {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: FLAGS });
  const page = await browser.newPage();
  await page.goto(`${base}/timeline`);
  const report = await page.evaluate(() => {
    const link = document.querySelector("a.entry");
    return link && link.getAttribute("href");
  });
  await page.close();
  const pages = [["overview", "/", 200], ["timeline", "/timeline", 200], ["patrols", "/patrols", 200], ["import", "/import", 200], ["verify", "/verify", 200],
    ["problem", "/no-such-page", 404]];
  if (report) pages.push(["report", report, 200]);
  else say(false, "timeline: no report to open");
  for (const [name, address, status] of pages) {
    for (const lang of ["zh", "en"]) {
      for (const screen of Object.keys(SCREENS)) {
        await look(browser, name, `${base}${address}?lang=${lang}`, lang, screen, status);
      }
    }
  }
  await keyboard(browser);
  await withoutScript(browser);
  await live(browser);
  await description(browser);
  await bring(browser, base, say);
  await verify(browser, base, say, folder && keep);
  await browser.close();
  console.log(`${count.passed} passed, ${count.failed} failed, 0 skipped`);
  process.exit(count.failed === 0 ? 0 : 1);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});

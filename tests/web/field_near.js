// What is near, and what speaks against a position: the same thing again, what is to be looked at again, made-up fixes.
"use strict";
const assert = require("assert");
const crypto = require("crypto");
const { AT, says } = require("./field_phone.js");
const { arrived, with_phone } = require("./field_queue.js");

const DAY_MS = 86400000;
/** Outfalls are offered to 60 m beyond the circle. */
const APART_M = 120;

/** Files a report as a program would; gives its id. */
async function file(server, kind, { latitude: lat, longitude: lng }, ms) {
  const id = crypto.randomUUID();
  const body = {
    id, kind, observed_at: new Date(ms).toISOString(), person: { id: "p-02" },
    position: { lng, lat, crs: "wgs84", accuracy_m: 5, source: "device" },
  };
  const headers = { "Content-Type": "application/json", ...server.auth };
  const answer = await fetch(`${server.base}/api/v1/reports`, { method: "POST", body: JSON.stringify(body), headers });
  assert.equal(answer.status, 201);
  return id;
}

function metres(a, b) {
  const x = (b.lng - a.longitude) * Math.cos((a.latitude * Math.PI) / 180);
  return Math.hypot(x, b.lat - a.latitude) * 111195;
}

/** A place on the shore with no outfall near. */
async function awayFromOutfalls(server) {
  const { sectors, outfalls } = await server.json("/api/v1/field");
  const corners = sectors.flatMap((s) => s.ring).map(([longitude, latitude]) => ({ longitude, latitude, accuracy: 6 }));
  return corners.find((c) => outfalls.every((o) => metres(c, o) > APART_M));
}

async function sameElsewhere(phone, server) {
  const at = await awayFromOutfalls(server);
  await phone.context.setGeolocation(at);
  await file(server, "water_hyacinth", at, Date.now() - 2 * DAY_MS);
  const newest = await file(server, "water_hyacinth", at, Date.now() - DAY_MS);
  await file(server, "other", at, Date.now() - DAY_MS);
  const page = await phone.open();
  await phone.walk();
  await phone.shoot();
  await page.click("#water_hyacinth");
  await page.waitForSelector(".same .yes");
  assert.equal(await page.locator(".same").count(), 1, "one for all at one place, of the kind that is chosen");
  await says(page, ".same", /水葫芦.*0 米.*昨天有人报/);
  await page.click(".same .yes");
  await page.waitForSelector(".same .yes.on");
  await page.click("#send");
  await page.waitForSelector(".home");
  const { items: [item] } = await phone.delivered();
  const report = await server.json(`/api/v1/reports/${item.id}`);
  assert.equal(report.same_as, newest);
  assert.equal(JSON.parse(item.body).same_as, newest);
}

async function toLookAtAgain(phone, server) {
  await file(server, "sewage_outflow", AT, Date.now() - DAY_MS);
  const page = await phone.open();
  await phone.walk();
  await says(page, "#tile-tasks b", /^1$/);
  await page.click("#tile-tasks");
  await says(page, ".items", /3号排口 污水直排/);
  await page.goBack();
  await phone.report("other");
  // Looked at, by this phone: before the server says so. Another phone hears of it from the server.
  await says(page, "#tile-tasks b", /^0$/);
  const after = await phone.delivered();
  assert.equal(after.items.length, 1);
  const { outfalls } = await server.json("/api/v1/field");
  assert.ok(outfalls.find((o) => o.name === "3号排口").looked_at > new Date(Date.now() - DAY_MS).toISOString());
}

async function madeUp(phone, server) {
  await phone.context.setGeolocation({ ...AT, accuracy: 0 });
  await phone.open();
  await phone.walk();
  await phone.report("other");
  const after = await phone.delivered();
  await arrived(server, after);
  const report = await server.json(`/api/v1/reports/${after.items[0].id}`);
  assert.deepEqual(report.position.hints, ["zero_accuracy"]);
  assert.match(report.flags.join(), /定位可疑（精度为零）/);
}

async function jumps(phone) {
  const page = await phone.open();
  await phone.walk();
  await phone.shoot();
  await page.goto(`${phone.base}/m#camera`);
  await phone.context.setGeolocation({ ...AT, latitude: AT.latitude + 0.5 });
  await page.waitForFunction(() => import("/m/position.js").then((p) => p.freeze().position.lat > 29.8));
  const hints = await page.evaluate(() => import("/m/position.js").then((p) => p.freeze().position.hints));
  assert.deepEqual(hints, ["jump"]);
}

async function near(test) {
  await test("the same thing as one that was seen before", () => with_phone({}, sameElsewhere));
  await test("outfalls to look at again", () => with_phone({}, toLookAtAgain));
  await test("a position without any error is doubted, not refused", () => with_phone({}, madeUp));
  await test("a position that jumps is doubted", () => with_phone({}, jumps));
}

module.exports = { near };

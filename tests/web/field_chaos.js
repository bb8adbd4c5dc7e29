// A day's work on the worst network: everything arrives, once, whole, by itself, and at little more than its own size.
"use strict";
const assert = require("assert");
const { Chaos } = require("./chaos.js");
const { arrived } = require("./field_queue.js");
const { Phone, Server } = require("./field_phone.js");

const STORM = { latency_ms: 2000, resets: 0.3 };
/** Reports, each with a photo of some hundred kilobytes. */
const REPORTS = process.env.JIJIA_LONG ? 200 : 24;
/**
 * Sent for each byte that had to be. A seventh of it is the browser's own: it sends a request again by itself when the
 * answer is torn on a connection that had been used before. Of few reports chance makes more or less.
 */
const MOST = process.env.JIJIA_LONG ? 1.3 : 1.5;
const MINUTE_MS = 60000;

async function storm() {
  const server = await Server.start();
  const chaos = await Chaos.start(Number(new URL(server.base).port), STORM);
  const phone = await Phone.start(chaos.base, { server });
  try {
    await phone.open();
    await phone.installed();
    await phone.offline(true);
    await phone.seed(REPORTS, 1200);
    const { items, photos } = await phone.kept();
    const needed = items.reduce((sum, i) => sum + i.body.length, photos.reduce((sum, p) => sum + p.size, 0));
    chaos.calm = false;
    Object.assign(chaos, { exchanges: 0, resets: 0, sent_bytes: 0 });
    const start = Date.now();
    await phone.offline(false);
    const after = await phone.delivered((REPORTS / 10) * MINUTE_MS);
    const ratio = chaos.sent_bytes / needed;
    const minutes = (Date.now() - start) / MINUTE_MS;
    console.log(`     ${REPORTS} reports with photos of ${Math.round(needed / REPORTS / 1000)} kB: ${chaos.resets} of `
      + `${chaos.exchanges} exchanges reset, ${ratio.toFixed(2)} bytes sent for each, ${minutes.toFixed(1)} min`);
    assert.equal(after.items.length, REPORTS);
    assert.ok(chaos.resets >= REPORTS / 4, `a network without faults: ${chaos.resets} resets`);
    assert.ok(ratio <= MOST, `${ratio} bytes sent for each`);
    chaos.calm = true;
    await arrived(server, after);
    assert.deepEqual(phone.faults, []);
  } finally {
    await phone.close();
    await chaos.stop();
    await server.stop();
  }
}

async function chaos(test) {
  await test(`${REPORTS} reports with photos at 2 s latency and 30 % resets`, storm);
}

module.exports = { chaos };

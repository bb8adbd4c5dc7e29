// The field app in a real browser, against the running demo and servers of its own (the binary of JIJIA):
//   node field.js http://127.0.0.1:8080 [folder]
// Nothing may be lost, doubled or altered between a finger and a receipt, whatever breaks on the way. With a folder,
// pictures of every screen go there.
"use strict";
const { chaos } = require("./field_chaos.js");
const { faults } = require("./field_faults.js");
const { heads } = require("./field_heads.js");
const { looks } = require("./field_looks.js");
const { near } = require("./field_near.js");
const { people } = require("./field_people.js");
const { queue } = require("./field_queue.js");
const { voice } = require("./field_voice.js");

const [base, pictures] = process.argv.slice(2);
const only = process.env.FIELD_ONLY;
if (!base || !process.env.JIJIA) {
  console.error("usage: JIJIA=path/to/jijia node field.js http://127.0.0.1:PORT [folder]");
  process.exit(2);
}
const count = { passed: 0, failed: 0 };

function say(ok, what) {
  count[ok ? "passed" : "failed"] += 1;
  console.log(`${ok ? "ok  " : "FAIL"} ${what}`);
}

/**
 * One test: what it throws is its failure, and the next goes on. FIELD_ONLY runs those whose name holds it, FIELD_PARTS
 * the parts that it names.
 */
async function test(name, run) {
  if (only && !name.includes(only)) return;
  const start = Date.now();
  try {
    await run();
    say(true, `${name} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
  } catch (error) {
    say(false, `${name}\n       ${String(error.stack || error).split("\n").slice(0, 12).join("\n       ")}`);
  }
}

async function main() {
  const parts = { queue, near, voice, heads, faults, chaos, people, looks };
  const names = process.env.FIELD_PARTS ? process.env.FIELD_PARTS.split(" ") : Object.keys(parts);
  for (const name of names) await parts[name](test, base, pictures);
  console.log(`${count.passed} passed, ${count.failed} failed, 0 skipped`);
  process.exit(count.failed === 0 ? 0 : 1);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});

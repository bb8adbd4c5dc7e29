// The page that brings in what a phone had not sent, with an archive as a phone makes it: members stored, not packed.
"use strict";
const { createHash, randomUUID } = require("crypto");

const number = (length, value) => {
  const bytes = Buffer.alloc(length);
  bytes.writeUIntLE(value, 0, length);
  return bytes;
};

function crc32(bytes) {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ -1) >>> 0;
}

/** A ZIP of these members: local headers with their bytes, the list, its end. */
function zip(members) {
  const local = [], list = [];
  let at = 0;
  for (const [name, text] of members) {
    const bytes = Buffer.from(text);
    const sizes = [number(4, crc32(bytes)), number(4, bytes.length), number(4, bytes.length), number(2, name.length)];
    const head = [number(2, 20), number(2, 0), number(2, 0), number(4, 0x5a210000), ...sizes];
    const piece = Buffer.concat([Buffer.from("PK\x03\x04"), ...head, number(2, 0), Buffer.from(name), bytes]);
    list.push(Buffer.from("PK\x01\x02"), number(2, 20), ...head, number(2, 0), number(2, 0), number(2, 0), number(2, 0),
      number(4, 0), number(4, at), Buffer.from(name));
    local.push(piece);
    at += piece.length;
  }
  const end = Buffer.concat(list);
  return Buffer.concat([...local, end, Buffer.from("PK\x05\x06"), number(4, 0), number(2, members.length),
    number(2, members.length), number(4, end.length), number(4, at), number(2, 0)]);
}

function archive() {
  const [id, bad, photo] = [randomUUID(), randomUUID(), Buffer.from("no photo")];
  const sha256 = createHash("sha256").update(photo).digest("hex");
  const report = { id, kind: "nothing_found", observed_at: new Date().toISOString(), person: { id: "p-07" },
    no_position: "室内" };
  const index = { format: "jijia-outbox-1", exported_at: report.observed_at, device_time: report.observed_at,
    reports: [id, bad], patrols: [], photos: [sha256] };
  const good = [["index.json", JSON.stringify({ ...index, reports: [id], photos: [] })],
    [`reports/${id}.json`, JSON.stringify(report)]];
  const mixed = [["index.json", JSON.stringify(index)], good[1],
    [`reports/${bad}.json`, JSON.stringify({ ...report, id: bad, kind: "<b>hearsay</b>" })], [`photos/${sha256}`, photo]];
  return { id, good: zip(good), mixed: zip(mixed), none: Buffer.from("no archive") };
}

exports.bring = async function bring(browser, base, say) {
  const page = await browser.newPage();
  const { id, good, mixed, none } = archive();
  const brought = async (buffer) => {
    await page.goto(`${base}/import?lang=zh`);
    await page.setInputFiles("#file", { name: "outbox.zip", mimeType: "application/zip", buffer });
    await page.click("#go");
    await page.waitForFunction(() => !document.getElementById("result").hidden);
    return page.evaluate(() => ({
      verdict: document.getElementById("result").dataset.verdict,
      words: document.getElementById("verdict").textContent,
      good: document.querySelectorAll("#findings .good").length,
      bad: document.querySelectorAll("#findings .bad").length,
      markup: document.querySelectorAll("#findings b b").length,
      href: (document.querySelector("#findings a") || {}).href,
    }));
  };
  let said = await brought(good);
  say(said.verdict === "good" && said.words.includes("新增 1") && said.href === `${base}/reports/${id}`,
    `import: an archive (${said.words})`);
  said = await brought(mixed);
  say(said.verdict === "bad" && said.good === 1 && said.bad === 2 && said.markup === 0 && said.words.includes("已有 1"),
    `import: one bad item beside good ones (${said.words})`);
  said = await brought(none);
  say(said.verdict === "bad" && said.words.includes("archive: "), `import: no archive (${said.words})`);
  await page.close();
};

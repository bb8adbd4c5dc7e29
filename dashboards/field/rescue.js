// 导出未上传: everything that has not reached the server in one zip, for the day the phone is broken or the network does
// not come. The office imports it. Exporting removes nothing.

import { Zip, ZipPassThrough } from "./fflate.js";
import { iso } from "./clock.js";
import { isoDay } from "./words.js";
import * as store from "./store.js";

/** Writes the file and gives the number of items in it. */
export async function exportOpen() {
  const [items, photos] = await Promise.all([store.listOpen(), store.listOpenPhotos()]);
  const parts = [];
  // Stored, not deflated: JPEG does not become smaller.
  const zip = new Zip((error, chunk) => {
    if (error) throw error;
    parts.push(chunk);
  });
  const add = (name, bytes) => {
    const file = new ZipPassThrough(name);
    zip.add(file);
    file.push(new Uint8Array(bytes), true);
  };
  add("index.json", new TextEncoder().encode(JSON.stringify(index(items, photos))));
  for (const { id, kind, body } of items) add(`${kind}s/${id}.json`, body);
  for (const photo of photos) {
    const bytes = await store.getBytes(photo.sha256);
    if (bytes) add(`${store.isVoice(photo) ? "voices" : "photos"}/${photo.sha256}`, bytes);
  }
  zip.end();
  download(new Blob(parts, { type: "application/zip" }), `jijia-${isoDay(Date.now())}.zip`);
  return items.length;
}

function index(items, photos) {
  const ids = (kind) => items.filter((item) => item.kind === kind).map((item) => item.id);
  const hashes = (voices) => photos.filter((p) => store.isVoice(p) === voices).map((p) => p.sha256);
  const at = iso(Date.now());
  return {
    format: "jijia-outbox-1", exported_at: at, device_time: at, reports: ids("report"), patrols: ids("patrol"),
    photos: hashes(false), voices: hashes(true),
  };
}

function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  // The browser reads the address after the click.
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

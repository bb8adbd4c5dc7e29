// The service worker of the field app. The server writes the list FILES above: every file with its hash, so that a
// changed file makes a changed worker. It keeps the app and the pictures of earlier sightings; what is to be sent is
// none of its business (the page's own queue does that).
"use strict";

const CACHE = "jijia-field";
const PICTURES = "jijia-pictures";
const PICTURES_MAX = 40;
// Kept when they are first asked for: large, or wanted by the browser alone.
const ON_DEMAND = ["/m/jsqr.js", "/m/icon-192.png", "/m/icon-512.png"];
// Kept as soon as the app stands: the first start does not wait for them; a newer version comes whole.
const SOON = ["/m/voice.js", "/m/log-heads.js", "/m/log-tree.js"];
const PREVIEW = /^\/api\/v1\/photos\/[0-9a-f]{64}\/preview$/;

// The name of a kept file is its address and its hash: two versions lie beside each other until the old one has gone.
const keyOf = (path) => `${path}?${FILES[path]}`;

async function keep(cache, path) {
  if (await cache.match(keyOf(path))) return;
  const answer = await fetch(path, { integrity: FILES[path], cache: "no-cache" });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  await cache.put(keyOf(path), answer);
}

self.addEventListener("install", (event) => {
  const later = self.registration.active ? ON_DEMAND : [...ON_DEMAND, ...SOON];
  const wanted = Object.keys(FILES).filter((path) => !later.includes(path));
  // All or nothing: a version that is not whole is not installed, and the old one goes on.
  event.waitUntil(caches.open(CACHE).then((cache) => Promise.all(wanted.map((path) => keep(cache, path)))));
});

self.addEventListener("message", (event) => {
  if (event.data === "take over") self.skipWaiting();
});

async function sweep() {
  const cache = await caches.open(CACHE);
  const mine = new Set(Object.keys(FILES).map((path) => new URL(keyOf(path), self.location).href));
  const kept = await cache.keys();
  await Promise.all(kept.filter((request) => !mine.has(request.url)).map((request) => cache.delete(request)));
}

self.addEventListener("activate", (event) => {
  event.waitUntil(sweep().then(() => self.clients.claim()));
  // Nobody waits for these: what does not come now is kept when it is first asked for.
  const soon = caches.open(CACHE).then((cache) => Promise.all(SOON.map((path) => keep(cache, path))));
  event.waitUntil(soon.catch(() => undefined));
});

async function fromApp(path) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(keyOf(path));
  if (kept) return kept;
  await keep(cache, path);
  return cache.match(keyOf(path));
}

async function fromPictures(request) {
  const cache = await caches.open(PICTURES);
  const kept = await cache.match(request.url);
  if (kept) return kept;
  const answer = await fetch(request);
  if (answer.ok) {
    await cache.put(request.url, answer.clone());
    const all = await cache.keys();
    await Promise.all(all.slice(0, Math.max(0, all.length - PICTURES_MAX)).map((old) => cache.delete(old)));
  }
  return answer;
}

self.addEventListener("fetch", (event) => {
  const { pathname, origin } = new URL(event.request.url);
  if (event.request.method !== "GET" || origin !== self.location.origin) return;
  if (pathname in FILES) event.respondWith(fromApp(pathname));
  else if (PREVIEW.test(pathname)) event.respondWith(fromPictures(event.request));
});

// The service worker from the page's side: registers it, and lets a new version take over when nothing is being written.

import { isSending } from "./send.js";
import * as store from "./store.js";

const LOOK_MS = 30000;

/** The home screen holds nothing half written. */
async function isIdle() {
  const screen = window.location.hash.slice(1);
  return (screen === "" || screen === "home") && !isSending() && !(await store.get("draft"));
}

/** Without a worker the app works, but not offline. */
export async function start() {
  if (!navigator.serviceWorker) return;
  let controlled = Boolean(navigator.serviceWorker.controller);
  const registration = await navigator.serviceWorker.register("/m/sw.js", { scope: "/m" });
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    // The first worker takes this page as it is; a later one brings other files.
    if (controlled) window.location.reload();
    controlled = true;
  });
  setInterval(async () => {
    if (registration.waiting && (await isIdle())) registration.waiting.postMessage("take over");
  }, LOOK_MS);
  if (!("BarcodeDetector" in window)) {
    // The reader of plates is large: fetched when all else is here.
    await navigator.serviceWorker.ready;
    fetch("/m/jsqr.js").catch(() => undefined);
  }
  if (navigator.storage && navigator.storage.persist) await navigator.storage.persist();
}

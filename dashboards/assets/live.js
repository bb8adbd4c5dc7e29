// Keeps the first page fresh: asks every 30 s whether the log has grown, and takes the page's <main> anew when it
// has, or after 5 minutes, because ages grow and sensors fall silent without an entry. Without this script the page
// stands as it was made and says so.
const EVERY_MS = 30000;
const AT_LEAST_MS = 300000;

const live = document.getElementById("live");
const words = document.getElementById("live-words");
const asOf = words.textContent;
let size = Number(live.dataset.logSize);
let takenAt = Date.now();
let lost = false;

async function head() {
  const answer = await fetch("/api/v1/head", { headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error(String(answer.status));
  return (await answer.json()).log_size;
}

// A person who reads the feed or stands on a link must not lose the place, for a while.
function busy() {
  const main = document.getElementById("main");
  return document.activeElement !== main && main.contains(document.activeElement);
}

async function take() {
  const answer = await fetch(location.pathname + location.search, { headers: { accept: "text/html" } });
  if (!answer.ok) throw new Error(String(answer.status));
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const scrolled = document.querySelector(".feed ol");
  const top = scrolled ? scrolled.scrollTop : 0;
  document.getElementById("main").replaceWith(document.adoptNode(fresh.getElementById("main")));
  const list = document.querySelector(".feed ol");
  if (list) list.scrollTop = top;
  document.getElementById("live-clock").textContent = fresh.getElementById("live-clock").textContent;
  size = Number(fresh.getElementById("live").dataset.logSize);
  takenAt = Date.now();
}

async function look() {
  if (document.hidden) return;
  try {
    const grown = (await head()) !== size;
    if (Date.now() - takenAt > AT_LEAST_MS || (grown && !busy())) await take();
    lost = false;
  } catch (error) {
    lost = true;
  }
  words.textContent = lost ? live.dataset.lost : asOf;
  live.classList.toggle("lost", lost);
}

setInterval(look, EVERY_MS);
document.addEventListener("visibilitychange", look);

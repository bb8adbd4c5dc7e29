// How the screens are made: elements from plain calls, text never as markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element. `on…` attributes are listeners, `true` is an empty attribute, `null`, `false` and `undefined` are none. */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

/** A button that sends no form. */
export const button = (attributes, ...children) => h("button", { type: "button", ...attributes }, ...children);

function symbol(address, name) {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", address);
  svg.setAttribute("class", name);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

/** An icon of the sprite; the words stand beside it. */
export const icon = (name) => symbol(`/m/icons.svg#${name}`, "ic");

/** What was seen, drawn. */
export const picture = (kind) => symbol(`/m/pictures.svg#${kind}`, "pic");

/** The compass needle of the next waypoint, turned by the style's own interface: the page takes no inline style. */
export function needle(degrees) {
  const svg = symbol("/m/pictures.svg#needle", "arrow");
  svg.style.transform = `rotate(${Math.round(degrees)}deg)`;
  return svg;
}

/** Addresses of pictures that are kept on the phone as bytes, while a screen shows them. */
export class Pictures {
  constructor() {
    this.addresses = new Map();
  }

  /** Is there one under `key`? */
  has(key) {
    return this.addresses.has(key);
  }

  /** The picture under `key`; its bytes are asked for once. */
  image(key, bytes, words) {
    if (!this.addresses.has(key)) {
      this.addresses.set(key, URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" })));
    }
    return h("img", { src: this.addresses.get(key), alt: words || "" });
  }

  /** Gives the bytes back. */
  drop() {
    this.addresses.forEach((address) => URL.revokeObjectURL(address));
    this.addresses.clear();
  }
}

/** Shows a screen, and puts the reader at its heading. */
export function show(...content) {
  waiting = null;
  const app = document.getElementById("app");
  app.replaceChildren(...content);
  const heading = app.querySelector("h1");
  if (heading) {
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }
}

let pressed = false;
let waiting = null;

function lifted() {
  pressed = false;
  // The click comes after the finger has been lifted.
  setTimeout(() => waiting && repaint(...waiting), 150);
}
window.addEventListener("pointerdown", () => { pressed = true; }, true);
window.addEventListener("pointerup", lifted, true);
window.addEventListener("pointercancel", lifted, true);

/** A screen is not drawn anew more often, ms: a queue on its way out changes many times a second. */
const REST_MS = 300;

/** Runs `work` one at a time and with a rest between; called meanwhile, once more at the end. */
export function inTurn(work) {
  let busy = false;
  let stale = false;
  return async () => {
    stale = true;
    if (busy) return;
    busy = true;
    try {
      while (stale) {
        stale = false;
        await work();
        if (stale) await new Promise((done) => { setTimeout(done, REST_MS); });
      }
    } finally {
      busy = false;
    }
  };
}

/** Lines of a list that stayed as they were stay the very same elements: their pictures are not drawn again. */
function keepLines(from, content) {
  for (const fresh of content.flatMap((c) => Array.from(c.querySelectorAll("[data-id]")))) {
    const old = from.querySelector(`[data-id="${fresh.dataset.id}"]`);
    if (old && old.outerHTML === fresh.outerHTML) fresh.replaceWith(old);
  }
}

/**
 * The same screen with newer facts. Nothing is exchanged under a finger, nothing where nothing has changed, and the focus
 * stays where it is, by id.
 */
export function repaint(...content) {
  waiting = pressed ? content : null;
  if (pressed) return;
  const app = document.getElementById("app");
  const fresh = content.map((c) => c.outerHTML).join("");
  if (fresh === app.innerHTML) return;
  const { id } = document.activeElement || {};
  const scrolled = app.querySelector(".screen") ? app.querySelector(".screen").scrollTop : 0;
  keepLines(app, content);
  app.replaceChildren(...content);
  if (scrolled > 0) app.querySelector(".screen").scrollTop = scrolled;
  const again = id && document.getElementById(id);
  if (again) again.focus({ preventScroll: true });
}

let silence = null;

/** Takes the line away. */
export function hush() {
  clearTimeout(silence);
  document.getElementById("say").replaceChildren();
}

/** A line under the strip for a few seconds, read out; with a verb to press. */
export function say(words, { verb, act, seconds = 5, bad = false } = {}) {
  hush();
  const press = () => {
    hush();
    act();
  };
  const pressed = verb && button({ onclick: press }, verb);
  const look = [bad && "bad", verb && "asks"].filter(Boolean).join(" ");
  document.getElementById("say").replaceChildren(h("p", { class: look }, h("span", {}, words), pressed || null));
  silence = setTimeout(hush, seconds * 1000);
}

/** Goes to a screen; the way back stays open. */
export function go(hash) {
  window.location.hash = hash;
}

/** A picture of the server's that the worker may have kept; a pin where it has not. */
export function preview(sha256, alt) {
  const unseen = (event) => event.target.replaceWith(icon("map-pin"));
  return h("img", { src: `/api/v1/photos/${sha256}/preview`, alt, onerror: unseen });
}

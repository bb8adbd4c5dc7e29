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

/** A picture from bytes kept on the phone; the address is given back when it has been drawn. */
export function photo(bytes, name, words) {
  const image = h("img", { class: name, alt: words || "" });
  const address = URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
  image.addEventListener("load", () => URL.revokeObjectURL(address));
  image.addEventListener("error", () => URL.revokeObjectURL(address));
  image.src = address;
  return image;
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
  app.replaceChildren(...content);
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
  const button = verb && h("button", { type: "button", onclick: press }, verb);
  document.getElementById("say").replaceChildren(h("p", { class: bad ? "bad" : null }, h("span", {}, words), button || null));
  silence = setTimeout(hush, seconds * 1000);
}

/** Goes to a screen; the way back stays open. */
export function go(hash) {
  window.location.hash = hash;
}

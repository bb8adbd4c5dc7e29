// How pages ask the API: with the token of the session, and errors that carry their field.

/** An answer that is not what was asked for. */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || String(status));
    Object.assign(this, { status, field: body.field || "", title: body.title || "", retry: 0 });
  }
}

let asked;

/** Who is here; asked once for a page. */
export function session() {
  if (!asked) asked = fetch("/api/v1/session").then((answer) => answer.json());
  return asked;
}

/** Sends JSON, gives JSON, or `null` where the answer has no body. */
export async function ask(method, path, body) {
  const { csrf } = await session();
  const headers = {};
  if (csrf) headers["X-CSRF-Token"] = csrf;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  if (answer.status === 204) return null;
  const said = await answer.json().catch(() => ({}));
  if (answer.ok) return said;
  throw Object.assign(new Problem(answer.status, said), { retry: Number(answer.headers.get("Retry-After")) || 0 });
}

/** The words of a page's own list, their names in braces filled; what fills them is text, never markup. */
export function catalogue(id = "words") {
  const words = new Map([...document.getElementById(id).children].map((line) => [line.dataset.key, line.textContent]));
  return (key, args = {}) =>
    (words.get(key) || key).replace(/\{(\w+)\}/g, (whole, name) => (name in args ? String(args[name]) : whole));
}

/** An SVG of the server's as an element; scripts in it would not run, and the policy would not let them. */
export function drawing(svg) {
  const parsed = new DOMParser().parseFromString(svg, "image/svg+xml");
  return document.importNode(parsed.documentElement, true);
}

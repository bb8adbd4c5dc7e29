// Asking the server.

/** No answer came: no network, or it took too long. */
export class Unreachable extends Error {}

/** The server said no: `status`, its words in `detail`, of which `field`, and after how many seconds it may be asked again. */
export class Refused extends Error {
  constructor(status, detail, retry_s, field) {
    super(detail);
    Object.assign(this, { status, detail, retry_s, field });
  }
}

let csrf = null;

/** The token that unsafe requests carry, from the session's answer. */
export function trust(token) {
  csrf = token;
}

let reached = null;

/** Did the newest request get an answer? `null` before the first. */
export const isReached = () => reached;

/** Seconds of Retry-After, a number or a date. */
function retryAfter(headers) {
  const text = headers.get("Retry-After");
  if (!text) return null;
  const seconds = Number(text);
  return Number.isFinite(seconds) ? seconds : Math.max(0, (Date.parse(text) - Date.now()) / 1000) || null;
}

function refusal({ status, headers, json }) {
  const problem = json || {};
  const field = problem.field ? `${problem.field}: ` : "";
  return new Refused(status, field + (problem.detail || problem.title || `HTTP ${status}`), retryAfter(headers), problem.field);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    return null;
  }
}

/**
 * One request, its answer read to the end: {status, headers, json}. Gives 2xx, 304 and the statuses in `also`.
 * Throws Unreachable without an answer within `patience_s`, Refused with another one.
 */
export async function ask(method, path, { body, headers = {}, patience_s = 30, also = [] } = {}) {
  const token = method !== "GET" && method !== "HEAD" && csrf ? { "X-CSRF-Token": csrf } : {};
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), patience_s * 1000);
  let answer;
  try {
    const options = { method, body, headers: { ...token, ...headers }, signal: stop.signal };
    const got = await fetch(path, { ...options, credentials: "same-origin", cache: "no-store" });
    answer = { status: got.status, headers: got.headers, json: parsed(await got.text()) };
  } catch (error) {
    reached = false;
    throw new Unreachable(error.message);
  } finally {
    clearTimeout(timer);
  }
  reached = true;
  const { status } = answer;
  if ((status >= 200 && status < 300) || status === 304 || also.includes(status)) return answer;
  throw refusal(answer);
}

/** The same with a JSON body; gives the JSON of the answer. */
export async function askJson(method, path, value) {
  const body = value === undefined ? undefined : JSON.stringify(value);
  return (await ask(method, path, { body, headers: body ? { "Content-Type": "application/json" } : {} })).json;
}

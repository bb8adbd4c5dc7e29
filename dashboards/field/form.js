// The details of the paper form, one question to a screen. Codes and words are the server's (`/api/v1/field`, `forms`).

import { button, h, show } from "./dom.js";
import { knows, spoken, t } from "./words.js";
import { place } from "./place.js";

/** Areas and covers that one can judge by eye: m², %. */
const AREAS_M2 = [5, 20, 50, 100, 500, 1000, 5000, 10000];
const COVERS_PCT = [10, 25, 50, 75, 100];

const QUESTIONS = {
  sewage_outflow: [{ field: "flow" }, { field: "colour" }, { field: "odour" }, { field: "floatables", many: true }],
  water_hyacinth: [
    { field: "area_m2", numbers: AREAS_M2, unit: "m²", beside: { area_method: "by_eye" } },
    { field: "cover_pct", numbers: COVERS_PCT, unit: "%" }, { field: "growth" },
  ],
};

/** Are there questions about this kind? */
export const asks = (kind) => Boolean(QUESTIONS[kind]) && Boolean(place().forms);

function word(field, code) {
  const known = (place().forms[field] || []).find((w) => w.code === code);
  return spoken() === "en" && knows(`${field}.${code}`) ? t(`${field}.${code}`) : (known && known.zh) || code;
}

function choices({ field, numbers, unit }) {
  if (numbers) return numbers.map((n) => ({ value: n, words: `${n} ${unit}` }));
  return (place().forms[field] || []).map(({ code }) => ({ value: code, words: word(field, code) }));
}

/** What has been answered, in one line. */
export function summary({ kind, form }) {
  const said = QUESTIONS[kind].filter(({ field }) => form[field] !== undefined).map((q) => {
    const values = q.many ? form[q.field] : [form[q.field]];
    return values.map((v) => (q.numbers ? `${v} ${q.unit}` : word(q.field, v))).join(t("comma"));
  });
  return said.join(t("comma_wide"));
}

/** Asks from the first to the last question; `keep` takes the answers, `quit` leaves them as they were. */
export function ask({ kind, form }, keep, quit) {
  step(QUESTIONS[kind], 0, { ...form }, keep, quit);
}

function step(questions, at, answers, keep, quit) {
  if (at >= questions.length) return keep(answers);
  const question = questions[at];
  const turn = (to) => (to < 0 ? quit() : step(questions, to, answers, keep, quit));
  const answer = (value) => {
    Object.assign(answers, { [question.field]: value }, question.beside);
    if (!question.many) turn(at + 1);
  };
  const skip = () => {
    for (const field of [question.field, ...Object.keys(question.beside || {})]) delete answers[field];
    turn(at + 1);
  };
  const buttons = choices(question).map((c) => choice(question, c, answers, answer));
  show(h("main", { class: "screen ask" },
    h("p", { class: "calm" }, t("ask.count", { at: at + 1, of: questions.length })),
    h("h1", {}, t(`ask.${question.field}`)), h("div", { class: "choices" }, buttons),
    h("div", { class: "thumb two" },
      button({ class: "tile", onclick: () => turn(at - 1) }, t("ask.before")),
      question.many ? button({ class: "tile", onclick: () => turn(at + 1) }, t("ask.next"))
        : button({ class: "tile", onclick: skip }, t("ask.skip")))));
  return undefined;
}

/** `none` stands alone: nobody sees none and foam. */
function toggled(chosen, value) {
  if (chosen.includes(value)) return chosen.filter((v) => v !== value);
  return value === "none" ? ["none"] : [...chosen.filter((v) => v !== "none"), value];
}

function choice({ field, many }, { value, words }, answers, answer) {
  const on = many ? (answers[field] || []).includes(value) : answers[field] === value;
  const press = (event) => {
    if (!many) return answer(value);
    const chosen = toggled(answers[field] || [], value);
    answer(chosen);
    if (chosen.length === 0) delete answers[field];
    const all = event.currentTarget.parentElement.children;
    return Array.from(all).forEach((b) => b.setAttribute("aria-pressed", String(chosen.includes(b.value))));
  };
  return button({ value, class: "choice", "aria-pressed": String(on), onclick: press }, words);
}

// The administrator's people, phones and tokens.
import { ask, catalogue, drawing } from "./api.js";

const $ = (id) => document.getElementById(id);
const say = catalogue();

function wrong(problem) {
  $("wrong").textContent = problem ? `${problem.title} ${problem.field} ${problem.message}` : "";
  $("wrong").hidden = !problem;
  if (problem) $("wrong").scrollIntoView({ block: "nearest" });
}

/** Does something, says what went wrong, and shows what is there now. */
async function act(work) {
  wrong(null);
  try {
    await work();
  } catch (problem) {
    wrong(problem);
  }
  await show();
}

function row(cells, buttons, off) {
  const line = document.createElement("tr");
  if (off) line.className = "off";
  for (const text of cells) line.insertCell().textContent = text;
  const last = line.insertCell();
  for (const [words, work] of buttons) {
    const button = document.createElement("button");
    Object.assign(button, { className: "button", type: "button", textContent: words });
    button.addEventListener("click", () => act(work));
    last.append(button);
  }
  return line;
}

const time = (text) => new Date(text).toLocaleString("zh-CN", { timeZone: "Asia/Shanghai", hour12: false });

/** Shows what can be seen this once. */
function hand(title, words, text, svg) {
  $("link_title").textContent = title;
  $("link_words").textContent = words;
  $("href").textContent = text;
  $("qr").replaceChildren(...(svg ? [drawing(svg)] : []));
  $("link").hidden = false;
  $("link").focus();
}

function person(p) {
  const body = (more) => ({ name: p.name, role: p.role, unit: p.unit, login: p.login, disabled: p.disabled, ...more });
  const secrets = [p.has_password && say("password"), p.has_totp && say("totp"), p.has_pin && say("pin")];
  const buttons = [];
  if (!p.disabled && p.login) {
    buttons.push([say("invite"), async () => {
      const link = await ask("POST", `/api/v1/people/${p.id}/invite`);
      hand(say("link_for", { name: p.name }), say("link_hint", { time: time(link.expires_at) }), link.href, link.svg);
    }]);
  }
  if (!p.disabled && p.role === "patrol") {
    buttons.push([say("set_pin"), async () => {
      $("pin_title").textContent = say("pin_for", { name: p.name });
      $("set_pin").dataset.id = p.id;
      $("set_pin").hidden = false;
      $("set_pin").elements.pin.focus();
    }]);
  }
  if (p.has_totp) {
    buttons.push([say("drop_totp"), async () => {
      if (window.confirm(say("drop_totp_sure", { name: p.name }))) await ask("DELETE", `/api/v1/people/${p.id}/totp`);
    }]);
  }
  if (p.codes_locked) {
    buttons.push([say("unlock"), async () => {
      if (window.confirm(say("unlock_sure", { name: p.name }))) await ask("DELETE", `/api/v1/people/${p.id}/code-lock`);
    }]);
  }
  if (!p.disabled) {
    buttons.push([say("end"), async () => {
      if (window.confirm(say("end_sure", { name: p.name }))) await ask("DELETE", `/api/v1/people/${p.id}/sessions`);
    }]);
  }
  buttons.push([p.disabled ? say("enable") : say("disable"), async () => {
    if (p.disabled || window.confirm(say("disable_sure", { name: p.name }))) {
      await ask("PUT", `/api/v1/people/${p.id}`, body({ disabled: !p.disabled }));
    }
  }]);
  const role = say(`role.${p.role}`) + (p.unit ? ` ${p.unit}` : "");
  return row([p.id, p.name, role, p.login || "", secrets.filter(Boolean).join(" ")], buttons, p.disabled);
}

function machine(cells, m) {
  const shut = [say("revoke"), async () => {
    if (window.confirm(say("revoke_sure", { name: m.name }))) await ask("DELETE", `/api/v1/machines/${m.id}`);
  }];
  return row(cells, m.revoked ? [] : [shut], m.revoked);
}

const events = {
  sign_in: say("sign_in"),
  failure: say("failure"),
  refusal: say("refusal"),
  sign_out: say("sign_out"),
  lock: say("lock"),
  unlock: say("unlocked"),
};

function signIn(line) {
  const row = document.createElement("tr");
  const account = line.account === "unknown" ? say("unknown") : line.account;
  const address = line.address === "more" ? say("more") : line.address;
  for (const text of [time(line.at), account, address, events[line.event], line.count]) row.insertCell().textContent = text;
  return row;
}

async function show() {
  const [people, phones, tokens, signIns] = await Promise.all(
    ["people", "phones", "tokens", "sign-ins"].map((name) => ask("GET", `/api/v1/${name}`)),
  );
  $("sign_ins").replaceChildren(...signIns.map(signIn));
  $("people").replaceChildren(...people.map(person));
  $("phones").replaceChildren(...phones.map((m) => machine([m.id, m.name, time(m.added_at)], m)));
  const until = (m) => (m.revoked ? say("revoked") : time(m.expires_at));
  $("tokens").replaceChildren(...tokens.map((m) => machine([m.id, m.name, say(`role.${m.role}`), until(m)], m)));
}

function on(id, work) {
  $(id).addEventListener("submit", (event) => {
    event.preventDefault();
    const fields = Object.fromEntries(new FormData(event.target));
    act(async () => {
      await work(fields);
      event.target.reset();
    });
  });
}

on("add_person", ({ name, role, unit, login }) =>
  ask("POST", "/api/v1/people", { name, role, unit: unit || null, login: login || null }));
on("set_pin", async ({ pin }) => {
  await ask("PUT", `/api/v1/people/${$("set_pin").dataset.id}/pin`, { pin });
  $("set_pin").hidden = true;
});
on("add_phone", async ({ name }) => {
  const link = await ask("POST", "/api/v1/phones", { name });
  hand(say("phone_for", { name }), say("phone_hint", { time: time(link.expires_at) }), link.href, link.svg);
});
on("add_token", async ({ name, role, days }) => {
  const made = await ask("POST", "/api/v1/tokens", { name, role, days: Number(days) });
  hand(say("token_for", { name }), say("token_hint"), made.token, "");
});
show().catch(wrong);

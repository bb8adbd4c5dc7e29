// The own account: who that is, what one signs in with, where one is signed in.
import { ask, catalogue, session } from "./api.js";
import { lines } from "./told-lines.js";

const $ = (id) => document.getElementById(id);
const say = catalogue();

function tell(problem) {
  $("done").hidden = Boolean(problem);
  $("wrong").hidden = !problem;
  if (!problem) return $("done").scrollIntoView({ block: "nearest" });
  const known = { password: "bad_own", new_password: "bad_password" }[problem.field];
  $("wrong").textContent = known ? words(known) : `${problem.title} ${problem.message}`;
  return $("wrong").scrollIntoView({ block: "nearest" });
}

/** Each by its name, so that the list of words can be held against this file. */
function words(key) {
  return { bad_own: say("bad_own"), bad_password: say("bad_password") }[key];
}

const time = (text) => new Date(text).toLocaleString("zh-CN", { timeZone: "Asia/Shanghai", hour12: false });

function choice(open) {
  const label = document.createElement("label");
  const radio = Object.assign(document.createElement("input"), { type: "radio", name: "id", value: open.id });
  const place = open.here ? say("here") : open.phone || say("desk");
  label.className = "choice";
  label.append(radio, say("session", { place, began: time(open.began_at), seen: time(open.seen_at) }));
  return label;
}

async function show() {
  $("sessions").replaceChildren(...(await ask("GET", "/api/v1/sessions")).map(choice));
  const notices = await ask("GET", "/api/v1/session/notices");
  $("notices").replaceChildren(...lines(notices));
  $("others").hidden = notices.length === 0;
}

function on(id, work) {
  $(id).addEventListener("submit", async (event) => {
    event.preventDefault();
    const fields = Object.fromEntries([...new FormData(event.target)].filter(([, value]) => value !== ""));
    try {
      await work(fields);
      event.target.reset();
      tell(null);
    } catch (problem) {
      tell(problem);
    }
  });
}

on("change_password", async (fields) => {
  await ask("PUT", "/api/v1/account/password", fields);
  // The session is a new one, and so is its token.
  location.reload();
});
on("change_totp", async (fields) => {
  const { href } = await ask("POST", "/api/v1/account/totp", fields);
  location.assign(href);
});
on("end_sessions", async (fields) => {
  await ask("POST", "/api/v1/sessions/end", fields);
  if (!fields.id) return location.replace("/login");
  return show();
});
session().then(({ person }) => {
  if (!person) return undefined;
  $("name").textContent = person.name;
  $("role").textContent = say(`role.${person.role}`);
  return show();
}).catch(tell);

// The link that lets in once. Its code stands behind the # and is taken out of the address at once, so that it stays in no
// history.
import { ask, catalogue, drawing } from "./api.js";

const $ = (id) => document.getElementById(id);
const say = catalogue();
let code = "";
const form = $("form");

function wrong(words) {
  $("wrong").textContent = words;
  $("wrong").hidden = !words;
}

function show(invite) {
  $("lead").textContent = invite.purpose === "setup" ? say("setup") : say("welcome", { name: invite.name });
  for (const field of form.querySelectorAll(".setup")) field.hidden = invite.purpose !== "setup";
  form.querySelector(".secret").hidden = !invite.password;
  form.elements.name.required = form.elements.login.required = invite.purpose === "setup";
  form.elements.password.required = invite.password;
  form.elements.totp_code.required = invite.totp;
  const offers = Boolean(invite.totp_svg);
  for (const part of form.querySelectorAll(".offer")) part.hidden = !offers;
  $("totp_need").textContent = !offers ? say("totp_stays") : invite.totp ? say("totp_must") : say("totp_may");
  if (offers) {
    $("totp_text").textContent = invite.totp_text;
    $("totp_uri").href = invite.totp_uri;
    $("qr").replaceChildren(drawing(invite.totp_svg));
  }
  form.hidden = false;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  wrong("");
  const body = { code };
  for (const name of ["name", "login", "password", "totp_code"]) {
    const { value } = form.elements[name];
    if (value) body[name] = value;
  }
  try {
    await ask("POST", "/api/v1/invites/use", body);
    location.replace("/");
  } catch (problem) {
    const key = { password: "bad_password", totp_code: "bad_code", login: "bad_login", name: "bad_name" }[problem.field];
    wrong(key ? words(key) : `${problem.title} ${problem.message}`);
    if (problem.field in form.elements) form.elements[problem.field].focus();
  }
});

/** Each by its name, so that the list of words can be held against this file. */
function words(key) {
  return {
    bad_password: say("bad_password"),
    bad_code: say("bad_code"),
    bad_login: say("bad_login"),
    bad_name: say("bad_name"),
  }[key];
}

function open() {
  if (location.hash.length < 2) return;
  code = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  wrong("");
  ask("POST", "/api/v1/invites/look", { code }).then(show, (problem) => {
    form.hidden = true;
    wrong(problem.status === 404 ? say("void") : problem.message);
  });
}

// Also for a link that is opened while this page stands here already.
window.addEventListener("hashchange", open);
open();

// The head of every page: who is signed in, the way out, and the session's token in every form that changes something.
import { ask, session } from "./api.js";

session().then(({ state, person, csrf }) => {
  const place = document.getElementById("who");
  if (place && state === "in") {
    const own = place.querySelector("[data-own]");
    own.textContent = person.name;
    place.querySelector("[data-people]").hidden = person.role !== "admin";
    place.hidden = false;
  }
  for (const out of document.querySelectorAll("[data-out]")) {
    out.addEventListener("click", async () => {
      await ask("DELETE", "/api/v1/session");
      location.replace("/login");
    });
  }
  const login = document.getElementById("login");
  if (login) login.hidden = state !== "out";
  for (const form of document.querySelectorAll("form[method=post]")) {
    if (!csrf) break;
    const field = document.createElement("input");
    Object.assign(field, { type: "hidden", name: "csrf", value: csrf });
    form.append(field);
  }
}).catch(() => {
  // No network: the page stays readable, and a form without the token is refused with a reason.
});

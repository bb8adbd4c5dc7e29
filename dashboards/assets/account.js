// The own account: who that is, and the ways out.
import { ask, catalogue, session } from "./api.js";

const say = catalogue();
session().then(({ person }) => {
  if (!person) return;
  document.getElementById("name").textContent = person.name;
  document.getElementById("role").textContent = say(person.role);
});
for (const [id, path] of [["out", "/api/v1/session"], ["out_all", "/api/v1/sessions"]]) {
  document.getElementById(id).addEventListener("click", async () => {
    await ask("DELETE", path);
    location.replace("/login");
  });
}

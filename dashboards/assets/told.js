// What others did to one's account: above every page until one has said that it is known, and on the own page for ninety days.
import { ask, catalogue, session } from "./api.js";
import { line, lines } from "./told-lines.js";

/** Shows the notices of this session above the page. */
function show(notices) {
  const place = document.getElementById("told");
  if (!place || notices.length === 0) return;
  const t = catalogue("told-words");
  const known = line("button", t("known"));
  known.type = "button";
  known.addEventListener("click", async () => {
    await ask("POST", "/api/v1/session/notices", { entry: notices[0].entry });
    place.hidden = true;
  });
  place.replaceChildren(line("h2", t("title")), line("ul", ...lines(notices)), line("p", t("words")), known);
  place.hidden = false;
}

session().then(({ notices }) => show(notices || [])).catch(() => {
  // No network: they come with the next page.
});

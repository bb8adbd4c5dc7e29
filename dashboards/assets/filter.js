// Two comforts: empty fields stay out of the address, and a button prints. The page works without them.
const form = document.getElementById("filter");
form.addEventListener("submit", () => {
  for (const field of form.elements) {
    if (field.name && field.value === "") field.disabled = true;
  }
});
// The way back keeps the page as it was left, with the fields still disabled.
window.addEventListener("pageshow", () => {
  for (const field of form.elements) field.disabled = false;
});

const print = document.getElementById("print");
print.hidden = false;
print.addEventListener("click", () => window.print());

// Brings in the archive that a phone made of what it had not sent, and says what became of every item. What is shown of
// names and errors is text, never markup.
const $ = (id) => document.getElementById(id);
const words = new Map([...$("words").children].map((line) => [line.dataset.key, line.textContent]));

function fill(key, args = {}) {
  const text = words.get(key) || key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in args ? String(args[name]) : whole));
}

function say(state, name, text, href) {
  const line = document.createElement("li");
  line.className = state;
  const mark = document.createElement("b");
  mark.textContent = fill(`mark.${state}`);
  const what = document.createElement(href ? "a" : "span");
  what.textContent = name;
  if (href) {
    what.className = "go";
    what.href = href;
  }
  line.append(mark, " ", what, " ", text);
  $("findings").append(line);
}

function verdict(state, text) {
  $("verdict").className = state;
  $("verdict").textContent = text;
  $("result").hidden = false;
  $("result").dataset.verdict = state;
  $("result").focus();
}

/** The answer to the file, with its status; 0 where there was none. Not fetch: that says nothing of its progress. */
function post(file) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/api/v1/outbox");
    request.setRequestHeader("content-type", "application/zip");
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) $("progress").value = event.loaded / event.total;
    });
    request.addEventListener("loadend", () => {
      let body = null;
      try {
        body = JSON.parse(request.responseText);
      } catch {
        // No answer of ours: the status says it.
      }
      resolve({ status: request.status, body });
    });
    request.send(file);
  });
}

function show({ status, body }) {
  if (status === 0) return verdict("bad", fill("no_server"));
  if (status !== 200) {
    const at = body && body.field ? `${body.field}: ` : "";
    return verdict("bad", fill("refused_whole", { why: body ? at + body.detail : status }));
  }
  for (const item of body.items) {
    if (item.problem) {
      const at = item.problem.field ? `${item.problem.field}: ` : "";
      say("bad", item.member, at + item.problem.detail);
    } else {
      const report = /^reports\/([0-9a-f-]{36})\.json$/.exec(item.member);
      const text = fill(item.new ? "new" : "known", { index: item.receipt.index });
      say("good", item.member, text, report && `/reports/${report[1]}`);
    }
  }
  const counts = { n: body.new, known: body.known, refused: body.refused };
  return verdict(body.refused ? "bad" : "good", fill(body.refused ? "some" : "all", counts));
}

$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const file = $("file").files[0];
  if (!file) return;
  $("findings").replaceChildren();
  $("result").hidden = true;
  $("go").disabled = true;
  $("progress").value = 0;
  $("progress").hidden = false;
  show(await post(file));
  $("progress").hidden = true;
  $("go").disabled = false;
});

// Every script and style of dashboards/ against the oldest browsers we serve, Chrome 90 and Safari 15 (iOS 15.0):
//   node syntax.js
// Scripts are parsed, and refused for syntax and calls that those browsers lack, and for names that nobody declares;
// styles go through stylelint and a list of what it misses. A word in ALLOWED stands behind a test in the script itself.
"use strict";
const fs = require("fs");
const path = require("path");
const acorn = require("acorn");
const scope = require("eslint-scope");
const browsers = require("globals");
const { pathToFileURL } = require("url");

const ROOT = path.join(__dirname, "../../dashboards");
const BROWSERS = ["chrome 90", "safari 15", "ios_saf 15.0-15.1"];
/** Members that are newer: name, and whose. */
const MEMBERS = {
  randomUUID: "crypto", locks: "navigator", connection: "navigator", transferControlToOffscreen: "canvas",
  at: "", findLast: "", findLastIndex: "", hasOwn: "Object", toSorted: "", toReversed: "", toSpliced: "", with: "",
  showModal: "", requestSubmit: "", showPicker: "", togglePopover: "", showPopover: "", inert: "", throwIfAborted: "",
  any: "AbortSignal", timeout: "AbortSignal", groupBy: "", fromAsync: "", withResolvers: "Promise", adoptedStyleSheets: "",
  replaceAll: "", isWellFormed: "", checkVisibility: "", animate: "", scheduler: "", share: "navigator", canShare: "navigator",
};
/** Globals that are newer. */
const GLOBALS = ["structuredClone", "OffscreenCanvas", "BroadcastChannel", "requestIdleCallback", "CompressionStream",
  "DecompressionStream", "SyncManager", "CSSStyleSheet", "reportError", "scheduler", "EyeDropper", "ImageDecoder"];
/** Fine on both after all, or tested for: file and word. `replaceAll` is of Chrome 85 and Safari 13.1. */
const ALLOWED = new Set(["replaceAll"]);
/** Dropped where they are unknown, and nothing is lost by that. */
const DECORATION = ["css-focus-visible", "css-scroll-behavior", "css-paged-media", "css-color-adjust", "extended-system-fonts",
  "css-touch-action"];
/** What stylelint's plugin does not know. */
const STYLES = [/\bcolor-mix\(/, /\blight-dark\(/, /\baccent-color\s*:/, /\btext-wrap\s*:(?!\s*(?:balance|pretty))/, /@property\b/, /@layer\b/, /@container\b/,
  /@media[^{]*[<>]=?/, /(?:^|[;{\s])translate\s*:/, /(?:^|[;{\s])(?:scale|rotate)\s*:/, /\b\d*\.?\d+[dsl]v[hwib]\b/, /:has\(/, /:focus-visible\s*\{/,
  /(?:^|[;{\s])inset\s*:[^;]*env\(/, /\bsubgrid\b/, /&\s*[.:{]/];

/** What makes markup, or a program, of a text. The libraries have ways of their own that nobody calls. */
const MARKUP = ["insertAdjacentHTML", "createContextualFragment", "write", "writeln", "setHTMLUnsafe"];
const LIBRARY = ["fflate.js", "jsqr.js", "idb.js", "noble-ed25519.js"];

const faults = [];
const fault = (file, line, what) => faults.push(`${path.relative(ROOT, file)}:${line}: ${what}`);

function* files(folder, ending) {
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    const at = path.join(folder, entry.name);
    if (entry.isDirectory() && entry.name !== "node_modules") yield* files(at, ending);
    else if (entry.name.endsWith(ending)) yield at;
  }
}

function* nodes(node) {
  if (!node || typeof node.type !== "string") return;
  yield node;
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) if (child && typeof child === "object") yield* nodes(child);
  }
}

/** `Object.hasOwn` by its owner; a method that anything may have by its name alone. */
function tooNew({ object, property, computed }) {
  if (computed || property.type !== "Identifier" || !(property.name in MEMBERS) || ALLOWED.has(property.name)) return false;
  const owner = MEMBERS[property.name];
  if (owner === "") return true;
  return object.type === "Identifier" ? object.name === owner : object.property && object.property.name === owner;
}

function checkNode(file, node) {
  const at = node.loc.start.line;
  if (node.type === "StaticBlock") fault(file, at, "static block");
  if (node.type === "BinaryExpression" && node.operator === "in" && node.left.type === "PrivateIdentifier") fault(file, at, "#x in o");
  if (node.type === "Literal" && node.regex && /\(\?<[=!]/.test(node.regex.pattern)) fault(file, at, "lookbehind");
  if (node.type === "Literal" && node.regex && /[dv]/.test(node.regex.flags)) fault(file, at, "flag d or v");
  if (node.type === "AwaitExpression" && node.top) fault(file, at, "top-level await");
  const called = node.type === "CallExpression" && node.callee.type === "MemberExpression" && node.callee;
  const plain = node.type === "MemberExpression" && MEMBERS[node.property.name] !== "" && node;
  for (const member of [called, plain]) if (member && tooNew(member)) fault(file, at, `.${member.property.name}`);
  const free = node.type === "NewExpression" || node.type === "CallExpression" ? node.callee : null;
  if (free && free.type === "Identifier" && GLOBALS.includes(free.name)) fault(file, at, free.name);
}

/** Text is shown as text. Messages come from nowhere but the own worker's page, and are known whole. */
function checkText(file, node) {
  const at = node.loc.start.line;
  const to = node.type === "AssignmentExpression" && node.left.type === "MemberExpression" && node.left.property.name;
  if (["innerHTML", "outerHTML", "srcdoc"].includes(to)) fault(file, at, `markup from text: ${to}`);
  const callee = (node.type === "CallExpression" || node.type === "NewExpression") && node.callee;
  const name = callee && (callee.type === "MemberExpression" ? callee.property.name : callee.name);
  const own = callee && callee.type === "MemberExpression" && callee.object.type === "Identifier" && callee.object.name;
  if (MARKUP.includes(name) && (!/^write/.test(name) || own === "document")) fault(file, at, `markup from text: ${name}`);
  if (["eval", "Function"].includes(name)) fault(file, at, `a program from text: ${name}`);
  const heard = name === "addEventListener" && node.arguments[0] && node.arguments[0].value;
  if (heard === "message" && path.basename(file) !== "sw.js") fault(file, at, "a message from another page is heard");
  if (["paste", "copy", "cut", "beforeinput"].includes(heard)) fault(file, at, `nothing stands in the way of: ${heard}`);
}

/** A name that is neither declared, nor imported, nor a browser's: the line throws when it is reached. */
function checkNames(file, tree) {
  const known = { ...browsers.browser, ...browsers.es2021, ...(path.basename(file) === "sw.js" ? { ...browsers.serviceworker, FILES: false } : {}) };
  const { globalScope } = scope.analyze(tree, { ecmaVersion: 2022, sourceType: "module" });
  for (const { identifier } of globalScope.through) {
    if (!(identifier.name in known)) fault(file, identifier.loc.start.line, `${identifier.name} is not defined`);
  }
}

function checkScript(file) {
  const options = { ecmaVersion: 2022, sourceType: "module", locations: true, ranges: true, allowAwaitOutsideFunction: false };
  try {
    const tree = acorn.parse(fs.readFileSync(file, "utf8"), options);
    const own = !LIBRARY.includes(path.basename(file)) && !file.includes("/vendor/");
    for (const node of nodes(tree)) {
      checkNode(file, node);
      if (own) checkText(file, node);
    }
    if (own) checkNames(file, tree);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    fault(file, error.loc ? error.loc.line : 0, error.message);
  }
}

async function checkStyles(all) {
  const rule = [true, { browsers: BROWSERS, severity: "error", ignorePartialSupport: true, ignore: DECORATION }];
  const config = { plugins: [require.resolve("stylelint-no-unsupported-browser-features")], rules: { "plugin/no-unsupported-browser-features": rule } };
  const { default: stylelint } = await import(pathToFileURL(require.resolve("stylelint")));
  const { results } = await stylelint.lint({ files: all, config, quietDeprecationWarnings: true });
  for (const { source, warnings } of results) for (const w of warnings) fault(source, w.line, w.text);
  for (const file of all) {
    const lines = fs.readFileSync(file, "utf8").replace(/\/\*[^]*?\*\//g, (note) => note.replace(/[^\n]/g, "")).split("\n");
    lines.forEach((line, i) => STYLES.filter((s) => s.test(line)).forEach((s) => fault(file, i + 1, String(s))));
  }
}

/** The checks themselves: what must be refused is refused. */
function proves(text, names) {
  const before = faults.length;
  const file = path.join(ROOT, "proof.js");
  const tree = acorn.parse(text, { ecmaVersion: 2022, sourceType: "module", locations: true, ranges: true });
  for (const node of nodes(tree)) {
    checkNode(file, node);
    checkText(file, node);
  }
  if (names) checkNames(file, tree);
  return faults.splice(before).length > 0;
}

async function main() {
  const bad = ["class A { static { f(); } }", "class A { #x; f(o) { return #x in o; } }", "/(?<=a)b/", "crypto.randomUUID()",
    "self.crypto.randomUUID()", "list.at(-1)", "Object.hasOwn(a, b)", "structuredClone(a)", "navigator.locks.request(a)", "dialog.showModal()",
    "new OffscreenCanvas(1, 1)", "AbortSignal.timeout(1)", "el.innerHTML = text", "document.write(text)", "el.insertAdjacentHTML('beforeend', text)",
    "eval(text)", "new Function(text)", "window.addEventListener('message', f)", "input.addEventListener('paste', f)"];
  for (const text of bad) if (!proves(text)) faults.push(`the check lets through: ${text}`);
  for (const text of ["const at = 1; f(at)", "a.b.timeout", "el.textContent = text", "file.write(text)"]) if (proves(text)) faults.push(`the check refuses: ${text}`);
  if (!proves("list.filter(({ earlier }) => spot && earlier); const list = []", true)) faults.push("a name that is nobody's is let through");
  if (proves("const list = [document]; list.filter(({ title }) => title)", true)) faults.push("names of browsers are refused");
  const scripts = [...files(ROOT, ".js")];
  scripts.forEach(checkScript);
  const styles = [...files(ROOT, ".css")];
  await checkStyles(styles);
  faults.forEach((line) => console.log(`FAIL ${line}`));
  const checked = bad.length + 6 + scripts.length + styles.length;
  console.log(`${checked - Math.min(faults.length, checked)} passed, ${faults.length} failed, 0 skipped`);
  process.exit(faults.length === 0 ? 0 : 1);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});

"use strict";
// What all parts of the page share: elements, numbers as in the figures, tables that sort, lists that can be saved.
// All content of the report enters the page as text, never as HTML.

const $ = (id) => document.getElementById(id);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function element(name, ...content) {
  const node = document.createElement(name);
  node.append(...content);
  return node;
}

/** A button with a name. */
function button(text, act) {
  const node = Object.assign(element("button", text), {type: "button"});
  node.addEventListener("click", act);
  return node;
}

/** A canvas, drawn on once. */
function drawing(width, height, draw) {
  const surface = Object.assign(document.createElement("canvas"), {width, height});
  draw(surface.getContext("2d"));
  return surface;
}

let saying = 0;
/** Say a text aloud, once nothing newer came for a moment. */
function say(text) {
  clearTimeout(saying);
  saying = setTimeout(() => { $("said").textContent = text; }, 200);
}

// ---- Numbers, as in the figures (relax/text.py) ----

/** Decimals that show two digits of a step. */
const decimals = (step) => (step > 0 ? 1 - Math.floor(Math.log10(step)) : 6);

/** Enough digits to tell apart values `step` apart; powers of ten when tiny or huge. */
function number(value, step) {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 1e-3 || size >= 1e5) {
    const digits = step > 0 ? Math.floor(Math.log10(size)) - Math.floor(Math.log10(step)) + 1 : 2;
    const [mantissa, power] = value.toExponential(clamp(digits, 1, 8)).split("e");
    const raised = [...String(Number(power))].map((sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)]);
    return minus(`${mantissa}×10${raised.join("")}`);
  }
  return fixed(value, decimals(step));
}

const fixed = (value, digits) => minus(value.toFixed(clamp(digits, 0, 8)));
const minus = (text) => text.replace("-", "−");

/** Value and error with the digits that the error justifies. */
function withError(value, error) {
  const digits = decimals(error);
  return error > 0 && digits <= 8 && Math.abs(value) < 1e5
    ? [fixed(value, digits), fixed(error, digits)]
    : [number(value, error), number(error, error)];
}

/** Three digits or so; whole numbers as they are. */
const short = (value) => number(value, Math.abs(value) < 1 ? 0.01 : Math.abs(value) / 100);
const brief = (value) => (Number.isInteger(value) ? minus(value.toLocaleString("en")) : short(value));

// ---- Lists that leave the page ----

const FORMULA = /^['=+\-@\t\r\n＝＋－＠]/, NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** Rows as CSV that a spreadsheet may open: no cell of it is a formula (as relax/text.py writes them). */
function csv(rows) {
  const cell = (value) => {
    const text = String(value ?? "");
    const safe = FORMULA.test(text) && !NUMBER.test(text) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return rows.map((row) => row.map(cell).join(",") + "\n").join("");
}

function save(name, text) {
  const link = Object.assign(element("a"), {download: name, href: URL.createObjectURL(new Blob([text], {type: "text/csv"}))});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Copy a text; without the right to, through a selection, as browsers did before. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = Object.assign(element("textarea"), {value: text, className: "unseen"});
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  say("Copied.");
}

// ---- Tables ----

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.firstChild.addEventListener("click", () => {
    const way = head.ariaSort === "ascending" ? -1 : 1;
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.ariaSort = way > 0 ? "ascending" : "descending";
    const words = head.classList.contains("words");
    const key = (row) => row.cells[column].dataset.sort;
    const order = (a, b) => {
      if (key(a) === "" || key(b) === "") return (key(a) === "") - (key(b) === "");  // dashes come last in both directions
      return way * (words ? key(a).localeCompare(key(b), undefined, {numeric: true}) : key(a) - key(b));
    };
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
  }));
}

// ---- Collapsed details are printed, too ----

let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  folded.forEach((details) => { details.open = true; });
});
addEventListener("afterprint", () => folded.forEach((details) => { details.open = false; }));

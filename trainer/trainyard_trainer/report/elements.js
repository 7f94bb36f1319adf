// Elements and numbers, as the page shows them. Text is always set as text, never as markup.

const NAMES = {
  accuracy: "Accuracy", precision: "Precision", recall: "Recall", f1: "F1", rocAuc: "ROC AUC", logLoss: "Log loss",
  mse: "MSE", mae: "MAE", r2: "R²",
};
// The documents' keys come sorted; these come first, in this order.
const ORDER = [
  ...Object.keys(NAMES), "type", "uri", "nodes", "processesPerNode", "recipe", "script", "data", "prepare", "model", "train",
  "validation", "test", "evaluate", "export",
];

// --- elements ----------------------------------------------------------------------------------------------------

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  for (const child of children.flat()) if (child !== null && child !== undefined) made.append(child);
  return made;
}

const panel = (title, ...children) => element("div", "panel", title ? element("h3", "", title) : null, ...children);
const missing = (text) => element("p", "missing", text);

function section(title, ...children) {
  return element("section", "", element("h2", "", title), ...children);
}

// columns: [[heading, row => text or element, class]]
function table(rows, columns) {
  const head = element("tr", "", columns.map(([heading, , kind]) => element("th", kind, heading)));
  const body = rows.map((row) => element("tr", "", columns.map(([, cell, kind]) => element("td", kind, cell(row)))));
  return element("div", "scroll", element("table", "", element("thead", "", head), element("tbody", "", body)));
}

function ordered(entries) {
  const place = ([key]) => (ORDER.includes(key) ? ORDER.indexOf(key) : ORDER.length);
  return [...entries].sort((a, b) => place(a) - place(b));
}

// --- numbers -----------------------------------------------------------------------------------------------------

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const count = (value) => (isNumber(value) ? value.toLocaleString("en-US") : "–");
const share = (value) => `${(100 * value).toFixed(1)}%`;

function number(value) {
  if (!isNumber(value)) return "–";
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return count(value);
  const size = Math.abs(value);
  return size >= 1e6 || (size > 0 && size < 1e-3) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

function bytes(value) {
  if (!isNumber(value)) return "–";
  const units = ["B", "KB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(value, 1)) / 3));
  return `${number(Number((value / 1000 ** power).toPrecision(3)))} ${units[power]}`;
}

function duration(seconds) {
  if (!isNumber(seconds)) return "–";
  if (seconds < 90) return `${Number(seconds.toPrecision(3))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

// In UTC, as everywhere in a run's documents.
const moment = (time) => `${new Date(time).toISOString().slice(0, 19).replace("T", " ")} UTC`;

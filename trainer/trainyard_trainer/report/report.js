"use strict";
// Draws the page from the report's JSON. Text is always set as text, never as markup.

const NAMES = {
  accuracy: "Accuracy", precision: "Precision", recall: "Recall", f1: "F1", rocAuc: "ROC AUC", logLoss: "Log loss",
  mse: "MSE", mae: "MAE", r2: "R²",
};
const STAGES = { prepare: "preparing data", train: "training", publish: "publishing", done: "done" };
// The documents' keys come sorted; these come first, in this order.
const ORDER = [
  ...Object.keys(NAMES), "type", "uri", "nodes", "processesPerNode", "recipe", "script", "data", "prepare", "model", "train",
  "validation", "test", "evaluate", "export",
];
const plots = []; // [element, () => [traces, layout]], drawn after the page is laid out

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

function plot(draw, className = "plot") {
  const place = element("div", className);
  plots.push([place, draw]);
  return place;
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

// --- plots -------------------------------------------------------------------------------------------------------

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function layout(changes) {
  const axis = { gridcolor: colour("line"), linecolor: colour("line"), zeroline: false, automargin: true };
  const base = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 56, r: 16, t: 30, b: 44 },
    font: { color: colour("soft"), size: 12, family: getComputedStyle(document.body).fontFamily },
    legend: { orientation: "h", x: 1, xanchor: "right", y: 1.13 }, hovermode: "x unified",
    hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("ink") } },
    uirevision: "keep",
  };
  const { xaxis, yaxis, ...rest } = changes;
  return { ...base, ...rest, xaxis: { ...axis, ...xaxis }, yaxis: { ...axis, ...yaxis } };
}

async function drawPlots() {
  await Promise.all(plots.map(([place, draw]) =>
    Plotly.react(place, ...draw(), { displaylogo: false, responsive: true, displayModeBar: false })));
  document.body.dataset.drawn = String(Number(document.body.dataset.drawn || 0) + 1);
}

function curve(history, key, title, kept) {
  const line = (prefix, name) => ({
    x: history.map((line) => line.epoch), y: history.map((line) => line[`${prefix}/${key}`] ?? null), name,
    mode: history.length > 60 ? "lines" : "lines+markers", marker: { size: 4 },
    line: { color: colour(prefix), width: 2 }, type: "scatter",
  });
  const sides = [["train", "training"], ["validation", "validation"]]
    .filter(([prefix]) => history.some((line) => isNumber(line[`${prefix}/${key}`])));
  return () => [sides.map(([prefix, name]) => line(prefix, name)), layout({
    xaxis: { title: { text: "epoch" }, rangemode: "tozero" }, yaxis: { title: { text: title } },
    ...mark(kept, history.at(-1).epoch),
  })];
}

// A line at the epoch whose weights the model has, its words on the side where there is room.
function mark(epoch, last) {
  if (!isNumber(epoch)) return {};
  const right = epoch > last / 2;
  return {
    shapes: [{ type: "line", x0: epoch, x1: epoch, y0: 0, y1: 1, yref: "paper", line: { color: colour("good"), dash: "dot", width: 1.5 } }],
    annotations: [{
      x: epoch, y: 0.5, yref: "paper", yanchor: "middle", xanchor: right ? "right" : "left", xshift: right ? -4 : 4,
      text: `model: epoch ${epoch}`, showarrow: false, font: { color: colour("good") },
    }],
  };
}

function confusion(matrix, classes) {
  // Coloured by the share of each true class, so that rare classes are seen as well as frequent ones.
  const shares = matrix.map((row) => { const sum = row.reduce((a, b) => a + b, 0); return row.map((n) => (sum ? n / sum : 0)); });
  const few = classes.length <= 20;
  const names = classes.map((name, index) => (name.length > 24 ? `${name.slice(0, 22)}… (${index})` : name));
  return () => [[{
    type: "heatmap", z: shares, x: names, y: names, text: matrix.map((row) => row.map((n) => n || "")), texttemplate: few ? "%{text}" : "",
    customdata: matrix, hovertemplate: "true %{y}, predicted %{x}: %{customdata} (%{z:.1%})<extra></extra>",
    colorscale: [[0, colour("track")], [1, colour("validation")]], zmin: 0, zmax: 1, showscale: false, xgap: 2, ygap: 2,
  }], layout({
    hovermode: "closest", margin: { l: 70, r: 10, t: 10, b: 50 },
    xaxis: { title: { text: "predicted" }, type: "category", showgrid: false },
    yaxis: { title: { text: "true" }, type: "category", autorange: "reversed", showgrid: false },
  })];
}

function scatter({ actual, predicted }) {
  const ends = [Math.min(...actual, ...predicted), Math.max(...actual, ...predicted)];
  return () => [[
    { x: actual, y: predicted, mode: "markers", type: "scatter", marker: { color: colour("validation"), size: 6, opacity: 0.6 }, hovertemplate: "true %{x:.4g}, predicted %{y:.4g}<extra></extra>" },
    { x: ends, y: ends, mode: "lines", type: "scatter", line: { color: colour("soft"), dash: "dot", width: 1.5 }, hoverinfo: "skip" },
  ], layout({ hovermode: "closest", showlegend: false, xaxis: { title: { text: "true" } }, yaxis: { title: { text: "predicted" } } })];
}

function histogram({ edges, counts }) {
  const middles = counts.map((_, i) => (edges[i] + edges[i + 1]) / 2);
  return () => [[{ x: middles, y: counts, type: "bar", marker: { color: colour("train") }, hovertemplate: "about %{x:.3g}: %{y}<extra></extra>" }],
    layout({ hovermode: "closest", bargap: 0.05, xaxis: { title: { text: "predicted − true" } }, yaxis: { title: { text: "samples" } } })];
}

function classes(counts) {
  const names = [...new Set(Object.values(counts).flatMap((split) => Object.keys(split)))];
  const tint = { train: "train", validation: "validation", test: "soft" };
  return () => [ordered(Object.entries(counts)).map(([split, by]) => ({
    x: names, y: names.map((name) => by[name] ?? 0), name: split, type: "bar", marker: { color: colour(tint[split] ?? "soft") },
  })), layout({ barmode: "group", xaxis: { type: "category" }, yaxis: { title: { text: "samples" } } })];
}

// --- sections ----------------------------------------------------------------------------------------------------

function headline(report) {
  const { job, evaluation, published, trained, stage, uri } = report;
  const tiles = ordered(Object.entries(evaluation?.metrics ?? {})).map(([key, value]) =>
    [["accuracy", "precision", "recall", "f1"].includes(key) ? share(value) : number(value), NAMES[key] ?? key]);
  if (trained) tiles.push([duration(trained.seconds), "training time"], [number(trained.samplesPerSecond), "samples / s"]);
  const newest = report.history.at(-1);
  if (!tiles.length && newest) {
    tiles.push([number(newest["train/loss"]), "training loss"], [number(newest["validation/loss"]), "validation loss"],
      [`${newest.epoch}${job?.spec?.recipe ? ` of ${job.spec.recipe.train.epochs}` : ""}`, "epochs"]);
  }
  return element("header", "",
    element("h1", "", job?.name ?? "Run", element("span", `badge ${stage}`, STAGES[stage])),
    element("p", "where", published ? `model ${published.version} in ${published.uri}` : uri),
    evaluation ? element("p", "where", `measured on ${count(evaluation.rows)} samples of the ${evaluation.split} split`) : null,
    element("div", "tiles", tiles.map(([value, name]) => element("div", "tile", element("b", "", value), element("span", "", name)))));
}

function learning({ history, evaluation, trained }) {
  if (!history.length) return section("Learning", missing("No epoch has ended yet."));
  const verdict = evaluation?.overfitting;
  const kept = trained?.bestEpoch;
  const keys = [...new Set(history.flatMap((line) => Object.keys(line)))].filter((key) => key.startsWith("validation/")).map((key) => key.slice(11));
  const second = ["accuracy", "r2", "f1"].find((key) => keys.includes(key));
  return section("Learning",
    verdict ? element("p", `verdict ${verdict.verdict}`, verdict.sentence) : null,
    element("div", "row",
      panel("Loss", plot(curve(history, "loss", "loss", kept))),
      second ? panel(NAMES[second], plot(curve(history, second, NAMES[second], kept))) : null));
}

function judged({ evaluation }) {
  if (!evaluation) return section("Evaluation", missing("Not evaluated yet."));
  const perClass = Object.entries(evaluation.perClass ?? {});
  const shown = ["precision", "recall", "f1", "rocAuc"].filter((key) => perClass.some(([, by]) => key in by));
  const parts = [];
  if (evaluation.confusionMatrix) parts.push(panel("Confusion matrix", plot(confusion(evaluation.confusionMatrix, perClass.map(([name]) => name)), "plot tall")));
  if (perClass.length) {
    parts.push(panel("By class", table(perClass, [
      ["class", ([name]) => name, ""], ["samples", ([, by]) => count(by.rows), "number"],
      ...shown.map((key) => [NAMES[key], ([, by]) => (isNumber(by[key]) ? by[key].toFixed(3) : "–"), "number"]),
    ])));
  }
  if (evaluation.residuals) {
    parts.push(panel("Predicted against true", plot(scatter(evaluation.residuals.scatter))),
      panel("Residuals", plot(histogram(evaluation.residuals.histogram))));
  }
  return section("Evaluation", element("div", "row", parts));
}

function dataCard({ card }) {
  if (!card) return section("Data", missing("Not prepared yet."));
  const splits = ordered(Object.entries(card.splits)).map(([split, rows]) => `${count(rows)} ${split}`).join(", ");
  const lost = (step) => (step.step === "split" || step.rowsOut === step.rowsIn ? "" : count(step.rowsOut - step.rowsIn));
  return section("Data",
    element("p", "", `${count(card.rows)} rows from ${card.source} (${count(card.files)} ${card.files === 1 ? "file" : "files"}, ${bytes(card.bytes)}) became ${splits}.`),
    card.badSamples ? element("div", "panel bad", `${count(card.badSamples)} samples couldn't be read and were left out:`, element("ul", "", card.badExamples.map((text) => element("li", "", text)))) : null,
    panel("Rows in and out", table(card.steps, [
      ["step", (step) => step.step, ""], ["split", (step) => step.split, ""], ["rows in", (step) => count(step.rowsIn), "number"],
      ["rows out", (step) => count(step.rowsOut), "number"], ["change", (step) => element("span", "lost", lost(step)), "number"],
      ["why", (step) => step.why, "why"],
    ])),
    Object.keys(card.classCounts ?? {}).length ? panel("Classes", plot(classes(card.classCounts))) : null,
    card.columns.length ? panel("Columns of the training split", table(card.columns, [
      ["column", (c) => c.name, ""], ["kind", (c) => c.kind, ""], ["missing", (c) => count(c.missing), "number"],
      ["mean", (c) => number(c.mean), "number"], ["deviation", (c) => number(c.deviation), "number"],
      ["smallest", (c) => number(c.minimum), "number"], ["largest", (c) => number(c.maximum), "number"], ["distinct", (c) => count(c.distinct), "number"],
    ])) : null);
}

function text(value, indent = "") {
  return ordered(Object.entries(value))
    .filter(([, item]) => item !== null && !(typeof item === "object" && !Object.keys(item).length))
    .map(([key, item]) => {
      const nested = typeof item === "object" && !Array.isArray(item);
      if (nested && !text(item)) return "";
      return nested ? `${indent}${key}:\n${text(item, `${indent}  `)}` : `${indent}${key}: ${typeof item === "string" ? item : JSON.stringify(item)}`;
    }).filter(Boolean).join("\n");
}

function facts({ job, trained, published, checkpoints, uri }) {
  const rows = [["run", uri]];
  if (trained) {
    rows.push(["epochs", trained.stoppedEarly ? `${trained.epoch}, stopped early` : trained.epoch], ["steps", count(trained.step)],
      ["processes", trained.world], ["hardware", trained.device], ["torch", trained.torch], ["training time", duration(trained.seconds)]);
  }
  if (published) rows.push(["model", published.uri], ["version", published.version], ["formats differ by at most", number(published.maxDifference)]);
  return section("How it was done", element("div", "row",
    panel("Run", table(rows, [["", ([name]) => name, "name"], ["", ([, value]) => String(value), "value"]]),
      checkpoints.length ? element("h3", "", "Checkpoints") : null,
      checkpoints.length ? table(checkpoints, [["step", (c) => count(c.step), "number"], ["size", (c) => bytes(c.bytes), "number"], ["committed", (c) => moment(c.time), ""]]) : null),
    job ? panel("Configuration, with defaults", element("pre", "", text(job.spec))) : null));
}

// --- the page ----------------------------------------------------------------------------------------------------

async function show(report) {
  plots.length = 0;
  document.getElementById("page").replaceChildren(headline(report), learning(report), judged(report), dataCard(report), facts(report),
    element("footer", "", "Made by Trainyard. Hover over a curve for its values."));
  await drawPlots();
}

async function follow(known) {
  let stage = JSON.parse(known).stage;
  while (stage !== "done") {
    await new Promise((resolve) => setTimeout(resolve, 2000));
    try {
      const now = await (await fetch("report.json", { cache: "no-store" })).text();
      if (now === known) continue;
      known = now;
      const report = JSON.parse(now);
      stage = report.stage;
      const { scrollX, scrollY } = window;
      await show(report);
      window.scrollTo(scrollX, scrollY);
    } catch (error) {
      document.body.dataset.lost = String(error); // the server has ended: what is shown stays
    }
  }
}

const first = document.getElementById("report").textContent;
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawPlots);
show(JSON.parse(first)).then(() => { if (document.body.dataset.live === "true") follow(first); });

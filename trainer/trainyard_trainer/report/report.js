// Draws the page from the report's JSON.

const STAGES = { prepare: "preparing data", train: "training", script: "running", publish: "publishing", done: "done" };

function headline(report) {
  const { job, evaluation, published, trained, stage, times, uri } = report;
  const tiles = ordered(Object.entries(evaluation?.metrics ?? {})).map(([key, value]) =>
    [["accuracy", "precision", "recall", "f1"].includes(key) ? share(value) : number(value), NAMES[key] ?? key]);
  if (trained) tiles.push([duration(trained.seconds), "training time"], [number(trained.samplesPerSecond), "samples / s"]);
  if (!tiles.length) tiles.push(...newest(report));
  if (times?.script) tiles.push([duration(times.script), "running time"]);
  return element("header", "",
    element("h1", "", job?.name ?? "Run", job ? element("span", `badge ${stage}`, STAGES[stage]) : null),
    element("p", "where", published ? `model ${published.version} in ${published.uri}` : uri),
    evaluation ? element("p", "where", `measured on ${count(evaluation.rows)} samples of the ${evaluation.split} split`) : null,
    element("div", "tiles", tiles.map(([value, name]) => element("div", "tile", element("b", "", value), element("span", "", name)))));
}

// The newest value of each metric, and how far training is.
function newest({ history, job }) {
  if (!history.length) return [];
  const recipe = job?.spec?.recipe;
  const values = Object.entries(metrics(history)).flatMap(([name, keys]) => Object.entries(keys).map(([key, side]) =>
    [number(history.findLast((row) => isNumber(row[key]))[key]), side === name ? NAMES[name] ?? name : `${side} ${NAMES[name] ?? name}`]));
  const { epoch, step } = history.at(-1);
  return [...values.slice(0, 6), recipe ? [`${epoch} of ${recipe.train.epochs}`, "epochs"] : [count(step), "steps"]];
}

function learning({ history, evaluation, trained, job }) {
  const recipe = job?.spec?.recipe;
  if (!history.length) return section("Learning", missing(recipe ? "No epoch has ended yet." : "The program has logged no metrics."));
  const verdict = evaluation?.overfitting;
  const along = history.every((row) => isNumber(row.step)) && !recipe ? "step" : "epoch";
  const title = (name) => (name === "loss" ? "Loss" : NAMES[name] ?? name);
  const found = metrics(history);
  const names = Object.keys(found).sort((a, b) => (b === "loss") - (a === "loss"));
  const shown = recipe ? ["loss", ["accuracy", "r2", "f1"].find((name) => name in found)] : names;
  return section("Learning",
    verdict ? element("p", `verdict ${verdict.verdict}`, verdict.sentence) : null,
    element("div", "row", shown.filter((name) => name in found).map((name) =>
      panel(title(name), plot(curve(history, found[name], along, name === "loss" ? name : title(name), trained?.bestEpoch))))));
}

function judged({ evaluation, job }) {
  if (!evaluation && !job?.spec?.recipe) return null; // a program of one's own is its own judge
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

function dataCard({ card, job }) {
  if (!card && !job?.spec?.recipe && !job?.spec?.script?.data) return null;
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

function facts({ job, machine, times, trained, published, checkpoints, uri }) {
  const rows = [["run", uri]];
  if (trained) rows.push(["epochs", trained.stoppedEarly ? `${trained.epoch}, stopped early` : trained.epoch], ["steps", count(trained.step)]);
  if (trained || job) rows.push(["processes", trained?.world ?? job.nodes * job.processesPerNode]);
  if (machine) rows.push(...hardware(machine));
  if (published) rows.push(["model", published.uri], ["version", published.version], ["formats differ by at most", number(published.maxDifference)]);
  return section("How it was done", element("div", "row",
    panel("Run", table(rows, [["", ([name]) => name, "name"], ["", ([, value]) => String(value), "value"]]),
      ...(times ? [element("h3", "", "Time"), timetable(times)] : []),
      checkpoints.length ? element("h3", "", "Checkpoints") : null,
      checkpoints.length ? table(checkpoints, [["step", (c) => count(c.step), "number"], ["size", (c) => bytes(c.bytes), "number"], ["committed", (c) => moment(c.time), ""]]) : null),
    job ? panel("Configuration, with defaults", element("pre", "", text(job.spec))) : null));
}

function hardware(machine) {
  const kinds = new Map(); // as told -> how many
  for (const gpu of machine.gpus) {
    const told = gpu.memoryBytes ? `${gpu.name}, ${bytes(gpu.memoryBytes)}` : gpu.name;
    kinds.set(told, (kinds.get(told) ?? 0) + 1);
  }
  const gpus = [...kinds].map(([told, many]) => `${many} × ${told}`).join("; ");
  return [
    ["processor", `${machine.processor}, ${count(machine.cores)} ${machine.cores === 1 ? "core" : "cores"}`],
    ["memory", bytes(machine.memoryBytes)], ["GPUs", gpus || "none"],
    ["versions", `Trainyard ${machine.trainyard}, Python ${machine.python}, torch ${machine.torch}`],
  ];
}

// From the start of each stage's processes to their end.
function timetable(times) {
  const stages = Object.keys(STAGES).filter((stage) => stage in times).map((stage) => [STAGES[stage], times[stage]]);
  const total = stages.reduce((sum, [, seconds]) => sum + seconds, 0);
  return table([...stages, ["in all", total]], [["stage", ([name]) => name, ""], ["time", ([, seconds]) => duration(seconds), "number"]]);
}

// --- the page ----------------------------------------------------------------------------------------------------

async function show(report) {
  plots.length = 0;
  const sections = [headline, learning, judged, dataCard, facts].map((draw) => draw(report)).filter(Boolean);
  document.getElementById("page").replaceChildren(...sections, element("footer", "", "Made by Trainyard. Hover over a curve for its values."));
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

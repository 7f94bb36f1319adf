// Plots: drawn by Plotly in the colours of the page.

const PREFIXES = { train: "training", validation: "validation", test: "test" };
const PLACES = ["epoch", "step", "time", "seconds", "learningRate", "samplesPerSecond"]; // in a line of the history, no metric
const plots = []; // [element, () => [traces, layout]], drawn after the page is laid out

function plot(draw, className = "plot") {
  const place = element("div", className);
  plots.push([place, draw]);
  return place;
}

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

// train/loss, validation/loss and loss are one metric: {loss: {"train/loss": "training", ...}}
function metrics(history) {
  const found = {};
  for (const key of new Set(history.flatMap((line) => Object.keys(line).filter((key) => isNumber(line[key]))))) {
    if (PLACES.includes(key)) continue;
    const [prefix, ...rest] = key.split("/");
    const known = rest.length && Object.hasOwn(PREFIXES, prefix);
    const name = known ? rest.join("/") : key;
    found[name] = { ...found[name], [key]: known ? PREFIXES[prefix] : name };
  }
  return found;
}

function curve(history, keys, along, title, kept) {
  const tint = { training: "train", validation: "validation", test: "good" };
  const alone = Object.keys(keys).length === 1;
  const line = ([key, name]) => {
    const rows = history.filter((row) => key in row); // what isn't a number leaves a gap
    return {
      x: rows.map((row) => row[along]), y: rows.map((row) => row[key]), name,
      mode: rows.length > 60 ? "lines" : "lines+markers", marker: { size: 4 },
      line: { color: colour(tint[name] ?? (alone ? "train" : "soft")), width: 2 }, type: "scatter",
    };
  };
  return () => [Object.entries(keys).map(line), layout({
    xaxis: { title: { text: along }, rangemode: "tozero" }, yaxis: { title: { text: title } },
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

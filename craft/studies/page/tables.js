// Tables: scores, cost, digests, and the list of what was run.
const standings = { reference: "reference", better: "better", worse: "worse", hint: "hint only", same: "no difference", unknown: "too few seeds" };

function scoreTable() {
  const rows = data.tables[`${state.split}/${state.policy}`];
  const metrics = Object.keys(data.metrics).filter((metric) => rows.some((row) => row.seeds[metric].length));
  const names = ["variant", "conclusion", `H-mean − ${data.reference}`, "p", ...metrics.map((metric) => data.metrics[metric])];
  const head = make("tr", {}, names.map((name) => make("th", { scope: "col" }, name)));
  const body = rows.map((row) => make("tr", { class: row.standing === "reference" ? "reference" : "", "data-variant": row.variant },
    make("td", {}, dot(row.variant), row.variant),
    make("td", { class: row.standing }, standings[row.standing]),
    make("td", {}, row.difference ? [make("b", {}, signed(row.difference.mean)), interval(row.difference, 100, true)] : "–"),
    make("td", {}, row.p === null ? "–" : row.p < 0.001 ? "< 0.001" : row.p.toFixed(3)),
    metrics.map((metric) => make("td", {}, shown(row.estimates[metric], metric)))));
  fill("table", make("thead", {}, head), make("tbody", {}, body));
}

function shown(estimate, metric) {
  if (!estimate || estimate.mean === null) return "–";
  const scale = metric === "false_words" ? 1 : 100;
  return [make("b", {}, (scale * estimate.mean).toFixed(1)), interval(estimate, scale, false)];
}

function interval(estimate, scale, sign) {
  if (estimate.low === null) return "";
  if (sign) return make("small", {}, ` ${signed(estimate.low)} to ${signed(estimate.high)}`);
  return make("small", {}, ` ± ${((scale * (estimate.high - estimate.low)) / 2).toFixed(1)}`);
}

function dot(variant) {
  const mark = make("span", { class: "dot" });
  mark.style.background = byName[variant].colour;
  return mark;
}

function costTable() {
  const levels = data.costs[0].levels;
  const head = make("tr", {}, make("th", { scope: "col" }, "variant"), make("th", { scope: "col" }, "seconds per step"), make("th", { scope: "col" }, `peak memory of the ${data.costs[0].memory_of}, MiB`), levels.map((level) => make("th", { scope: "col" }, `steps to H-mean ${percent(level.level, 0)}`)));
  const body = data.costs.map((cost) => make("tr", {}, make("td", {}, dot(cost.variant), cost.variant),
    make("td", {}, cost.seconds_per_step.mean.toFixed(3), make("small", {}, cost.seconds_per_step.spread === null ? "" : ` ± ${cost.seconds_per_step.spread.toFixed(3)}`)),
    make("td", {}, Math.round(cost.peak_mebibytes.mean).toLocaleString("en")),
    cost.levels.map((level) => make("td", {}, level.step === null ? "–" : Math.round(level.step).toLocaleString("en"), make("small", {}, level.step !== null && level.reached < level.runs ? ` ${level.reached} of ${level.runs} runs` : "")))));
  fill("costs", make("thead", {}, head), make("tbody", {}, body));
}

function factsList() {
  fill("facts", data.facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
  const head = make("tr", {}, ["seed", "variant", "initial weights", "first batch", "last batch"].map((name) => make("th", { scope: "col" }, name)));
  fill("digests", make("thead", {}, head), make("tbody", {}, data.digests.map((row) => make("tr", {}, row.map((cell) => make("td", {}, String(cell)))))));
  document.getElementById("missing-box").hidden = !data.missing.length;
  fill("missing", data.missing.map(([name, reason]) => make("li", {}, `${name}: ${reason}`)));
}

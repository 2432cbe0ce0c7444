// Builds the page, and redraws what a choice changes.
function drawScores() {
  const rows = data.tables[`${state.split}/${state.policy}`];
  const metrics = Object.entries(data.metrics).filter(([metric]) => rows.some((row) => row.seeds[metric].length));
  if (!metrics.some(([metric]) => metric === state.metric)) state.metric = "hmean";
  segments("split", data.splits.map((name) => [name, name]), state.split, (value) => { state.split = value; drawScores(); });
  segments("policy", [["shared", "same thresholds"], ["own", "own thresholds"]], state.policy, (value) => { state.policy = value; drawScores(); });
  segments("metric", metrics, state.metric, (value) => { state.metric = value; drawScores(); });
  const chosen = state.policy === "shared" ? `${data.policies.shared} (${data.thresholds[state.split]})` : data.policies.own;
  document.getElementById("score-note").textContent = `Scores x 100, mean over seeds with its 95 % interval, of three seeds or more; p is corrected for all comparisons (Holm); small dots are seeds; ${chosen}, chosen on other scenes than these. Dashed line: ${data.reference}.`;
  scoreChart(document.getElementById("scores"), rows, state.metric);
  scoreTable();
}

function series(pick, steps) {
  return data.variants.map((one) => ({ name: one.name, colour: one.colour, ...pick(one.name), steps: steps(one.name) }));
}

function drawCurves() {
  const boxes = [make("div"), make("div"), make("div"), make("div")].slice(0, data.curves[data.variants[0].name].hmean ? 4 : 3);
  fill("curves", boxes);
  const logged = (name) => data.curves[name].steps;
  if (boxes[3]) lineChart(boxes[3], { title: "H-mean during training", series: series((name) => data.curves[name].hmean, (name) => data.curves[name].validated_steps), format: (value) => percent(value, 0), note: "On a few scenes, at the thresholds of the base configuration: it shows only how fast a variant learns." });
  lineChart(boxes[0], { title: "One loss for all rules", log: true, series: series((name) => ({ mean: data.kept[name].region.common_loss.map((value, i) => value + data.kept[name].affinity.common_loss[i]) }), (name) => data.kept[name].steps), note: "Mean squared error of text plus that of all background, on the same fixed crops: comparable between rules." });
  lineChart(boxes[1], { title: "Training loss", log: true, smooth: true, series: series((name) => data.curves[name].loss, logged), note: "Each rule's own loss, which is larger where only hard pixels count: not comparable between rules." });
  lineChart(boxes[2], { title: `Background pixels kept, ${state.keptMap} map`, log: true, smooth: true, series: series((name) => data.curves[name][`kept_negatives_${state.keptMap}`], logged), note: "Per image, mean over the training crops." });
}

function drawKept() {
  const steps = data.kept[data.variants[0].name].steps;
  const redraw = (changes) => { Object.assign(state, changes); drawKept(); drawCurves(); };
  segments("kept-map", [["region", "Region"], ["affinity", "Affinity"]], state.keptMap, (value) => redraw({ keptMap: value }));
  const index = state.keptStep < 0 ? steps.length - 1 : state.keptStep;
  segments("kept-step", steps.map((step, at) => [at, `step ${step}`]), index, (value) => redraw({ keptStep: value }));
  document.getElementById("kept-note").textContent = "Share of the kept background's weight by location, on fixed training crops, mean over seeds. The last bar shows all background: a rule that selects at random would match it.";
  locationsChart(document.getElementById("locations"));
  const boxes = [make("div"), make("div")];
  fill("kept", boxes);
  const shares = (name) => data.kept[name][state.keptMap];
  lineChart(boxes[0], { title: "Share of the gradient from text pixels", series: series((name) => ({ mean: shares(name).positive_gradient }), (name) => data.kept[name].steps), format: (value) => `${percent(value, 0)} %`, note: "Sum of absolute derivatives with respect to the score, text pixels against all." });
  lineChart(boxes[1], { title: "Kept background inside words or within 2 characters of one", series: series((name) => ({ mean: shares(name).kept_shares.map(([inside, near]) => inside + near) }), (name) => data.kept[name].steps), format: (value) => `${percent(value, 0)} %` });
}

function drawLegend() {
  fill("legend", data.variants.map((one) => {
    const mark = make("i");
    mark.style.background = one.colour;
    const toggle = () => { state.focus = state.focus === one.name ? null : one.name; drawAll(); };
    return make("button", { class: "chip", type: "button", "data-variant": one.name, "aria-pressed": String(state.focus === one.name), onclick: toggle }, mark, one.name);
  })).classList.toggle("focused", state.focus !== null);
}

function drawAll() {
  const held = document.activeElement?.closest("#legend") ? document.activeElement.dataset.variant : null;
  drawLegend();
  if (held) document.querySelector(`#legend [data-variant="${CSS.escape(held)}"]`)?.focus();
  drawScores();
  drawCurves();
  drawKept();
}

function startTheme() {
  const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => (root.dataset.theme = dark.matches ? "dark" : "light");
  follow();
  dark.addEventListener("change", follow);
  const turn = () => (root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark");
  document.getElementById("theme").onclick = turn;
  addEventListener("keydown", (event) => { if (event.key === "t" && !event.ctrlKey && !event.metaKey && event.target.tagName !== "INPUT") turn(); });
}

function start() {
  startTheme();
  document.getElementById("kicker").textContent = `craft compare · ${data.name} · ${data.digests.length} runs`;
  fill("conclusions", data.conclusions.map((sentence) => make("li", {}, sentence)));
  const badge = (good, words) => make("span", { class: `badge ${good ? "good" : "bad"}` }, words);
  fill("badges", badge(data.fair, data.fair ? "✓ same initial weights and batches for all variants of a seed" : "✗ " + data.fair_words), data.missing.length ? badge(false, `✗ ${data.missing.length} runs missing`) : badge(true, "✓ all runs done"), make("span", { class: "badge" }, "thresholds chosen on other scenes than the reported ones"));
  costTable();
  factsList();
  drawAll();
  startViewer();
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawAll(); } });
}

start();

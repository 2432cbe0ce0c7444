// Charts: scores with error bars, curves with bands, stacked shares.

// One point per variant: on a logarithmic axis of ratios where the study varies them, else side by side.
function scoreChart(box, rows, metric) {
  const width = Math.max(320, box.clientWidth || 900), height = width < 560 ? 270 : 320;
  const left = 44, right = 14, top = 14, bottom = 58;
  const scale = metric === "false_words" ? 1 : 100;
  const shown = rows.filter((row) => row.estimates[metric]?.mean !== null && row.estimates[metric] !== undefined);
  // Few seeds give intervals beyond anything possible: those run out of the chart.
  const values = shown.flatMap((row) => row.seeds[metric]);
  const most = metric === "false_words" ? 2 * Math.max(...values) : 1;
  const ends = [...values, ...shown.flatMap((row) => [row.estimates[metric].low, row.estimates[metric].high]).filter((value) => value !== null && value >= 0 && value <= most)];
  if (shown.some((row) => row.estimates[metric].high > most)) ends.push(most);
  if (shown.some((row) => row.estimates[metric].low !== null && row.estimates[metric].low < 0)) ends.push(0);
  let low = Math.min(...ends), high = Math.max(...ends);
  const room = (high - low || 0.02) * 0.08;
  low = Math.max(0, low - room);
  high += room;
  const y = (value) => top + (height - top - bottom) * (1 - (value - low) / (high - low));
  const xOf = positions(shown, left + 24, width - right - 24);
  const chart = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${data.metrics[metric]} by variant` });
  for (const tick of ticks(scale * low, scale * high, 5))
    chart.append(shape("line", { class: "axis", x1: left, x2: width - right, y1: y(tick / scale), y2: y(tick / scale) }), text(left - 8, y(tick / scale) + 4, brief(tick), "end"));
  const reference = shown.find((row) => row.variant === data.reference);
  if (reference) chart.append(shape("line", { class: "zero", x1: left, x2: width - right, y1: y(reference.estimates[metric].mean), y2: y(reference.estimates[metric].mean) }));
  const joined = shown.filter((row) => byName[row.variant].rule === "hardest" && xOf.numeric);
  joined.sort((one, other) => byName[one.variant].ratio - byName[other.variant].ratio);
  if (joined.length > 1) chart.append(shape("polyline", { fill: "none", stroke: "var(--soft)", "stroke-opacity": 0.35, points: joined.map((row) => `${xOf(row.variant)},${y(row.estimates[metric].mean)}`).join(" ") }));
  if (xOf.numeric) chart.append(text(left, height - 4, "ratios on a logarithmic axis, other rules to the right", "start"));
  const tight = width / shown.length < 84;
  const lines = labelLines(shown.map((row) => row.variant), xOf);
  for (const row of shown) {
    const one = row.estimates[metric], x = xOf(row.variant), colour = byName[row.variant].colour;
    const group = shape("g", { class: faded(row.variant), "data-variant": row.variant });
    row.seeds[metric].forEach((value, index) => group.append(shape("circle", { cx: x - 9 + (index % 3) * 2 - 2, cy: y(value), r: 2.4, fill: colour, "fill-opacity": 0.45 })));
    const cap = (value) => (value >= low && value <= high ? `M${x - 5} ${y(value)}h10` : "");
    if (one.low !== null) group.append(shape("path", { d: `M${x} ${y(Math.max(one.low, low))}V${y(Math.min(one.high, high))}${cap(one.low)}${cap(one.high)}`, stroke: colour, "stroke-width": 2, fill: "none" }));
    group.append(shape("circle", { cx: x, cy: y(one.mean), r: 5.5, fill: colour }));
    const label = text(x, height - bottom + 20 + (tight ? 0 : 16 * lines[row.variant]), xOf.labels[row.variant], tight ? "end" : "middle", row.variant === data.reference ? "strong" : "");
    if (tight) label.setAttribute("transform", `rotate(-38 ${x} ${height - bottom + 14})`);
    const interval = one.low === null ? "" : `\n95 % interval ${(scale * one.low).toFixed(1)} to ${(scale * one.high).toFixed(1)}`;
    tipped(group, `${row.variant}\n${data.metrics[metric]} ${(scale * one.mean).toFixed(1)}${interval}\n${one.num_seeds} seeds`);
    group.append(shape("rect", { x: x - 16, y: top, width: 32, height: height - top - bottom, fill: "transparent" }));
    chart.append(group, label);
  }
  box.replaceChildren(chart);
}

// The line below the chart for each label: the second where it would overlap its left neighbour.
function labelLines(names, xOf) {
  const ends = [-Infinity, -Infinity], lines = {};
  for (const name of [...names].sort((one, other) => xOf(one) - xOf(other))) {
    const half = 3.7 * name.length;
    lines[name] = xOf(name) - half < ends[0] + 6 ? 1 : 0;
    ends[lines[name]] = xOf(name) + half;
  }
  return lines;
}

// The x coordinate of each variant: ratios by their logarithm, other rules to the right of them.
function positions(rows, first, last) {
  const names = rows.map((row) => row.variant);
  const ratios = names.filter((name) => byName[name].ratio !== null);
  const distinct = new Set(names.filter((name) => byName[name].rule === "hardest").map((name) => byName[name].ratio));
  const others = names.filter((name) => !ratios.includes(name));
  const clash = new Set(ratios.map((name) => byName[name].rule + byName[name].ratio)).size < ratios.length;
  const numeric = distinct.size > 2 && !clash;
  const column = (last - first) / names.length;
  const logs = ratios.map((name) => Math.log(byName[name].ratio));
  const low = Math.min(...logs), high = Math.max(...logs), end = last - others.length * column;
  const position = (name) => {
    if (!numeric) return first + (names.indexOf(name) + 0.5) * column;
    if (others.includes(name)) return end + (others.indexOf(name) + 0.75) * column;
    const shift = byName[name].rule === "random" ? Math.min(34, column * 0.42) : 0;
    return first + 12 + shift + ((Math.log(byName[name].ratio) - low) / (high - low || 1)) * (end - first - 40);
  };
  position.numeric = numeric;
  position.labels = Object.fromEntries(names.map((name) => [name, name]));
  return position;
}

// Lines, with a band from the least to the largest value over seeds.
function lineChart(box, { title, series, log = false, format = brief, note = "", smooth = false }) {
  const width = Math.max(300, box.clientWidth || 480), height = 250, left = 50, right = 12, top = 10, bottom = 44;
  const span = smooth ? Math.max(1, Math.round(Math.max(...series.map((one) => one.mean.length)) / 20)) : 1;
  series = series.map((one) => ({ ...one, mean: movingAverage(one.mean, span) }));
  if (span > 1) note += ` Lines are moving averages over ${2 * span + 1} lines of the log.`;
  const all = series.flatMap((one) => [...(one.low ?? one.mean), ...(one.high ?? one.mean)]).filter((value) => !log || value > 0);
  const steps = series.flatMap((one) => one.steps);
  if (!all.length || !steps.length) return;
  let low = Math.min(...all), high = Math.max(...all);
  if (!log) [low, high] = [Math.min(low, 0), high * 1.05 || 1];
  const turn = log ? Math.log : (value) => value;
  const y = (value) => top + (height - top - bottom) * (1 - (turn(Math.max(value, low)) - turn(low)) / (turn(high) - turn(low) || 1));
  const lastStep = Math.max(...steps);
  const x = (step) => left + ((width - left - right) * step) / lastStep;
  const chart = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title });
  for (const tick of log ? logTicks(low, high) : ticks(low, high, 5))
    chart.append(shape("line", { class: "axis", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }), text(left - 8, y(tick) + 4, format(tick), "end"));
  for (const tick of ticks(0, lastStep, width < 420 ? 4 : 6)) chart.append(text(x(tick), height - 24, brief(tick), "middle"));
  chart.append(text((left + width - right) / 2, height - 6, log ? "training step (vertical axis: logarithmic)" : "training step", "middle"));
  for (const one of series) {
    const group = shape("g", { class: faded(one.name), "data-variant": one.name });
    if (one.low && (state.focus === one.name || series.length < 4)) {
      const path = [...one.steps.map((step, i) => `${x(step)},${y(one.high[i])}`), ...one.steps.map((step, i) => `${x(step)},${y(one.low[i])}`).reverse()];
      group.append(shape("polygon", { points: path.join(" "), fill: one.colour, "fill-opacity": 0.13 }));
    }
    const points = one.steps.map((step, i) => `${x(step)},${y(one.mean[i])}`).join(" ");
    group.append(shape("polyline", { points, fill: "none", stroke: one.colour, "stroke-width": 2, "stroke-linejoin": "round" }));
    const wide = shape("polyline", { points, fill: "none", stroke: "transparent", "stroke-width": 14 });
    group.append(tipped(wide, `${one.name}\nat the end ${format(one.mean.at(-1))}`));
    chart.append(group);
  }
  box.replaceChildren(make("h3", {}, title), chart, note ? make("p", { class: "note" }, note) : "");
}

// The mean of each value and its neighbours, up to `span` on either side.
function movingAverage(values, span) {
  return values.map((_, at) => {
    const near = values.slice(Math.max(0, at - span), at + span + 1);
    return span > 1 ? near.reduce((sum, value) => sum + value, 0) / near.length : values[at];
  });
}

const locationColours = ["#d13b4f", "#e39b3c", "#4b83d6", "#a9b4c6"];

// Shares of the kept background by location: a bar for each variant, and one of all background.
function locationsChart(box) {
  const names = Object.keys(data.kept), map = state.keptMap;
  const step = state.keptStep < 0 ? data.kept[names[0]].steps.length - 1 : state.keptStep;
  const width = Math.max(300, box.clientWidth || 900), label = width < 520 ? 92 : 130, bar = 22, gap = 8, top = 8;
  const rows = names.map((name) => [name, data.kept[name][map].kept_shares[step]]);
  rows.push(["all background", data.kept[names[0]][map].background_shares[step]]);
  const chart = shape("svg", { viewBox: `0 0 ${width} ${top + rows.length * (bar + gap)}`, role: "img", "aria-label": "Where the kept background lies" });
  rows.forEach(([name, shares], number) => {
    const y = top + number * (bar + gap), group = shape("g", { class: byName[name] ? faded(name) : "" });
    group.append(text(label - 10, y + 15, name, "end", name === data.reference ? "strong" : ""));
    let x = label;
    shares.forEach((share, index) => {
      const size = share * (width - label);
      const part = shape("rect", { x, y, width: Math.max(0, size - 1), height: bar, rx: 3, fill: locationColours[index], "fill-opacity": byName[name] ? 1 : 0.55 });
      group.append(tipped(part, `${name}\n${percent(share)} % ${data.locations[index]}`));
      if (size > 34) { const inside = text(x + size / 2, y + 15, percent(share, 0), "middle"); inside.style.fill = "#fff"; inside.style.pointerEvents = "none"; group.append(inside); }
      x += size;
    });
    chart.append(group);
  });
  const key = make("p", { class: "key" }, data.locations.map((name, index) => { const mark = make("i"); mark.style.cssText = `background:${locationColours[index]};border-color:${locationColours[index]}`; return make("span", {}, mark, name); }));
  box.replaceChildren(chart, key);
}

function text(x, y, content, anchor, kind = "") {
  return shape("text", { x, y, "text-anchor": anchor, class: kind }, content);
}

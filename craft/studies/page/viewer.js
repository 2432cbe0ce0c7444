// The viewer: a scene by one or two variants, with target maps, predictions, kept pixels, hits and misses over the image.
const view = { scene: 0, variants: [], layer: "image", moment: 2, map: "region", boxes: true, pair: false, opacity: 0.8, zoom: 1, x: 0.5, y: 0.5 };
const layers = [["image", "Image"], ["target", "Target"], ["score", "Prediction"], ["kept", "Kept background"]];
const boxColours = { hit: "#27d17f", false: "#ff4b5c", ignored: "#a7b0c0", missed: "#ffc400" };
const keptColour = [255, 45, 149];
const images = new Map();
let stages = [];

function startViewer() {
  if (!data.viewer) return;
  document.getElementById("viewer").hidden = false;
  const names = Object.keys(data.viewer.scenes[0].variants);
  view.variants = [names.includes(data.reference) ? data.reference : names[0], names.find((name) => name !== data.reference) ?? names[0]];
  document.getElementById("viewer-note").textContent = `Evenly spaced reported scenes, not chosen by their results · seed ${data.viewer.seed} · boxes at ${Object.entries(data.thresholds).map(([split, at]) => `${at} (${split})`).join("; ")}`;
  fill("strip", data.viewer.scenes.map((scene, index) => make("button", { class: "thumb", type: "button", role: "option", "data-index": index, title: `${scene.name}, ${scene.split}`, onclick: () => showScene(index) },
    make("img", { src: scene.image, alt: `${scene.name}, ${scene.split}`, loading: "lazy", width: Math.round((62 * scene.width) / scene.height), height: 62 }), make("span", {}, scene.split))));
  for (const [id, key] of [["boxes", "boxes"], ["pair", "pair"]]) document.getElementById(id).onchange = (event) => { view[key] = event.target.checked; buildStages(); };
  document.getElementById("opacity").oninput = (event) => { view.opacity = event.target.value / 100; drawStages(); };
  addEventListener("resize", drawStages);
  addEventListener("keydown", viewerKey);
  buildStages();
  showScene(0);
}

function buildStages() {
  const count = view.pair && view.variants.length > 1 ? 2 : 1;
  const names = Object.keys(data.viewer.scenes[view.scene].variants);
  stages = [];
  const boxes = Array.from({ length: count }, (_, side) => {
    const canvas = make("canvas", { tabindex: 0, role: "img", "aria-label": "Scene with overlays; drag to move when zoomed" });
    const line = make("p", {});
    const pick = make("div", { class: "pick", role: "radiogroup", "aria-label": side ? "Second variant" : "Variant" }, names.map((name) => {
      const mark = make("i");
      mark.style.background = byName[name].colour;
      return make("button", { class: "chip", type: "button", role: "radio", "data-variant": name, "aria-pressed": String(name === view.variants[side]), "aria-checked": String(name === view.variants[side]), onclick: () => pickVariant(side, name) }, mark, name);
    }));
    stages.push({ canvas, line, side });
    handle(canvas);
    return make("div", { class: "stage" }, pick, canvas, line);
  });
  fill("stages", boxes).classList.toggle("two", count === 2);
  document.getElementById("boxes").checked = view.boxes;
  document.getElementById("pair").checked = view.pair;
  drawControls();
  drawStages();
}

function drawControls() {
  const moments = data.viewer.moments;
  segments("layer", layers, view.layer, (value) => setView({ layer: value }));
  segments("moment", moments.map((step, index) => [index, `${["early", "middle", "late"][index]} · ${step}`, view.layer !== "kept"]), view.moment, (value) => setView({ moment: value }));
  segments("map", [["region", "Region"], ["affinity", "Affinity"]].map(([value, label]) => [value, label, view.layer === "image"]), view.map, (value) => setView({ map: value }));
  const meaning = [["hit", "correct"], ["false", "false"], ["missed", "missed word"], ["ignored", "don't care"]];
  const marks = view.boxes ? meaning.map(([kind, words]) => { const mark = make("i"); mark.style.borderColor = boxColours[kind]; if (kind === "missed" || kind === "ignored") mark.style.borderStyle = "dashed"; return make("span", {}, mark, words); }) : [];
  if (view.layer === "kept") { const mark = make("i"); mark.style.cssText = `background:rgb(${keptColour});border-color:rgb(${keptColour})`; marks.push(make("span", {}, mark, `background in the ${view.map} loss at step ${moments[view.moment]} (without pixels that tie at the cut-off)`)); }
  fill("key", marks);
}

function setView(changes) {
  Object.assign(view, changes);
  drawControls();
  drawStages();
}

function showScene(index) {
  const count = data.viewer.scenes.length;
  view.scene = (index + count) % count;
  Object.assign(view, { zoom: 1, x: 0.5, y: 0.5 });
  const strip = document.getElementById("strip");
  for (const thumb of strip.children) thumb.setAttribute("aria-selected", String(+thumb.dataset.index === view.scene));
  const chosen = strip.children[view.scene];
  strip.scrollTo({ left: chosen.offsetLeft - strip.offsetLeft - (strip.clientWidth - chosen.clientWidth) / 2 });
  drawStages();
}

// The two stages never show the same variant: a stage that takes the other's gives its own away.
function pickVariant(side, name) {
  if (view.variants[1 - side] === name) view.variants[1 - side] = view.variants[side];
  view.variants[side] = name;
  document.querySelectorAll(".stage").forEach((stage, shown) => {
    for (const chip of stage.querySelectorAll(".chip")) {
      const on = String(chip.dataset.variant === view.variants[shown]);
      chip.setAttribute("aria-pressed", on);
      chip.setAttribute("aria-checked", on);
    }
  });
  drawStages();
}

// The image of a data URL once it is loaded; the stages are drawn again then.
function loadedImage(url) {
  let image = images.get(url);
  if (!image) {
    image = new Image();
    image.onload = drawStages;
    image.src = url;
    images.set(url, image);
  }
  return image.complete && image.naturalWidth ? image : null;
}

const coloured = new Map();
const heat = [[0, 20, 11, 52], [0.25, 106, 23, 110], [0.5, 203, 65, 73], [0.75, 249, 142, 9], [1, 252, 253, 191]];

function heatColour(value) {
  const next = heat.findIndex(([at]) => at >= value), [high, ...to] = heat[Math.max(1, next)], [low, ...from] = heat[Math.max(1, next) - 1];
  return from.map((part, index) => part + ((value - low) / (high - low)) * (to[index] - part));
}

// A layer as transparent coloured pixels: the region map lies above the affinity map; kept pixels are a bit per map and step.
function layerPixels(url, kind) {
  const key = [kind, view.map, kind === "kept" ? view.moment : "", images.get(url) ? url.length : "", url].join("|");
  if (coloured.has(key)) return coloured.get(key);
  const image = loadedImage(url);
  if (!image) return null;
  const stacked = kind !== "kept", height = stacked ? image.naturalHeight / 2 : image.naturalHeight, width = image.naturalWidth;
  const canvas = make("canvas", { width, height }), brush = canvas.getContext("2d", { willReadFrequently: true });
  brush.drawImage(image, 0, stacked && view.map === "affinity" ? -height : 0);
  const pixels = brush.getImageData(0, 0, width, height), values = pixels.data;
  const bit = 1 << (view.moment + (view.map === "affinity" ? 3 : 0));
  for (let i = 0; i < values.length; i += 4) {
    const value = values[i];
    if (stacked) {
      const [red, green, blue] = heatColour(value / 255);
      values[i] = red; values[i + 1] = green; values[i + 2] = blue;
      values[i + 3] = 255 * Math.min(1, 0.35 + value / 160);
    } else {
      const on = (value & bit) !== 0;
      values[i] = keptColour[0]; values[i + 1] = keptColour[1]; values[i + 2] = keptColour[2];
      values[i + 3] = on ? 255 : 0;
    }
  }
  brush.putImageData(pixels, 0, 0);
  if (coloured.size > 80) coloured.clear();
  coloured.set(key, canvas);
  return canvas;
}

function drawStages() {
  if (!stages.length) return;
  const scene = data.viewer.scenes[view.scene];
  for (const stage of stages) drawStage(stage, scene, view.variants[stage.side]);
  const spoken = stages.map((stage) => stage.line.textContent).join("; ");
  const live = document.getElementById("spoken");
  if (live.textContent !== spoken) live.textContent = spoken;
}

function drawStage({ canvas, line }, scene, variant) {
  const seen = scene.variants[variant];
  const ratio = Math.min(devicePixelRatio || 1, 2), room = canvas.parentElement.clientWidth || 600;
  const height = Math.min((room * scene.height) / scene.width, Math.max(260, innerHeight * 0.72));
  const width = Math.min(room, (height * scene.width) / scene.height);
  Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.classList.toggle("zoomed", view.zoom > 1);
  const brush = canvas.getContext("2d");
  const fit = Math.min(canvas.width / scene.width, canvas.height / scene.height) * view.zoom;
  brush.setTransform(fit, 0, 0, fit, canvas.width / 2 - view.x * scene.width * fit, canvas.height / 2 - view.y * scene.height * fit);
  const ground = loadedImage(scene.image);
  if (ground) brush.drawImage(ground, 0, 0, scene.width, scene.height);
  if (view.layer !== "image") {
    brush.fillStyle = `rgba(8,9,12,${0.55 * view.opacity})`;
    brush.fillRect(0, 0, scene.width, scene.height);
    const layer = layerPixels({ target: scene.target, score: seen.score, kept: seen.kept }[view.layer], view.layer);
    if (layer) {
      brush.globalAlpha = view.opacity;
      brush.imageSmoothingEnabled = view.layer !== "kept";
      brush.drawImage(layer, 0, 0, scene.width, scene.height);
      brush.globalAlpha = 1;
    }
  }
  if (view.boxes) drawBoxes(brush, scene, seen, (2.2 * ratio) / fit);
  const [matched, words, found] = seen.counts;
  line.replaceChildren(make("b", {}, variant), ` on ${scene.name} (${scene.split}): ${matched} of ${words} words found, ${found - matched} false, H-mean ${percent(seen.hmean)}`);
}

function drawBoxes(brush, scene, seen, thick) {
  const found = new Set(seen.found);
  brush.lineJoin = "round";
  const outline = (points, colour, dashed) => {
    brush.beginPath();
    points.forEach(([x, y], index) => (index ? brush.lineTo(x, y) : brush.moveTo(x, y)));
    brush.closePath();
    brush.setLineDash([]);
    brush.lineWidth = thick * 2.1;
    brush.strokeStyle = "#000a";
    if (!dashed) brush.stroke();
    brush.setLineDash(dashed ? [thick * 3, thick * 2.2] : []);
    brush.lineWidth = thick;
    brush.strokeStyle = colour;
    brush.stroke();
  };
  scene.words.forEach((word, index) => {
    if (word.dont_care) outline(word.polygon, boxColours.ignored, true);
    else if (!found.has(index)) outline(word.polygon, boxColours.missed, true);
  });
  for (const [quad, , outcome] of seen.words) outline([0, 2, 4, 6].map((at) => [quad[at], quad[at + 1]]), boxColours[outcome], false);
  brush.setLineDash([]);
}

// Wheel, pinch and drag; a sideways swipe on the whole scene goes to the next one.
function handle(canvas) {
  const fingers = new Map();
  let before = null, began = null;
  const zoomAt = (factor, clientX, clientY) => {
    const box = canvas.getBoundingClientRect(), scene = data.viewer.scenes[view.scene];
    const fit = Math.min(box.width / scene.width, box.height / scene.height);
    const right = (clientX - box.left - box.width / 2) / (fit * scene.width), down = (clientY - box.top - box.height / 2) / (fit * scene.height);
    const next = Math.min(12, Math.max(1, view.zoom * factor));
    move(right / view.zoom - right / next, down / view.zoom - down / next, next);
  };
  const move = (x, y, zoom = view.zoom) => {
    const half = 0.5 / zoom, clamp = (value) => Math.min(1 - half, Math.max(half, value));
    Object.assign(view, { zoom, x: clamp(view.x + x), y: clamp(view.y + y) });
    drawStages();
  };
  canvas.addEventListener("wheel", (event) => {
    if (view.zoom === 1 && event.deltaY > 0) return;
    event.preventDefault();
    zoomAt(Math.exp(-event.deltaY / 300), event.clientX, event.clientY);
  }, { passive: false });
  canvas.addEventListener("dblclick", (event) => (view.zoom > 1 ? move(0, 0, 1) : zoomAt(3, event.clientX, event.clientY)));
  canvas.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, event);
    if (event.pointerType !== "touch" || view.zoom > 1) canvas.setPointerCapture(event.pointerId);
    began = fingers.size === 1 ? event : null;
    before = null;
  });
  canvas.addEventListener("pointermove", (event) => {
    const last = fingers.get(event.pointerId);
    if (!last) return;
    fingers.set(event.pointerId, event);
    const scene = data.viewer.scenes[view.scene], box = canvas.getBoundingClientRect();
    if (fingers.size === 2) {
      const [one, other] = [...fingers.values()], apart = Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
      if (before) zoomAt(apart / before, (one.clientX + other.clientX) / 2, (one.clientY + other.clientY) / 2);
      before = apart;
    } else if (view.zoom > 1) {
      const fit = Math.min(box.width / scene.width, box.height / scene.height) * view.zoom;
      move((last.clientX - event.clientX) / (fit * scene.width), (last.clientY - event.clientY) / (fit * scene.height));
    }
  });
  for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, (event) => {
    fingers.delete(event.pointerId);
    before = null;
    if (began && kind === "pointerup" && view.zoom === 1 && event.pointerType === "touch") {
      const right = event.clientX - began.clientX, down = event.clientY - began.clientY;
      if (Math.abs(right) > 50 && Math.abs(right) > 2 * Math.abs(down)) showScene(view.scene + (right < 0 ? 1 : -1));
    }
    began = null;
  });
}

function viewerKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName)) return;
  const box = document.getElementById("viewer").getBoundingClientRect();
  if (box.bottom < 80 || box.top > innerHeight - 80) return;
  const names = Object.keys(data.viewer.scenes[view.scene].variants);
  const turn = (step) => pickVariant(0, names[(names.indexOf(view.variants[0]) + step + names.length) % names.length]);
  const actions = {
    ArrowRight: () => showScene(view.scene + 1), ArrowLeft: () => showScene(view.scene - 1), "]": () => turn(1), "[": () => turn(-1),
    m: () => setView({ moment: (view.moment + 1) % 3, layer: "kept" }), a: () => setView({ map: view.map === "region" ? "affinity" : "region" }),
    b: () => { view.boxes = !view.boxes; buildStages(); }, c: () => { view.pair = !view.pair; buildStages(); }, 0: () => setView({ zoom: 1, x: 0.5, y: 0.5 }),
  };
  layers.forEach(([value], index) => (actions[index + 1] = () => setView({ layer: value })));
  const action = actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

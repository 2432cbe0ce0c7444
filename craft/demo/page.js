"use strict";
// The image is sent once; moving a slider asks for the words alone, and paints the maps from their scores.
const byId = (id) => document.getElementById(id);
const LABELS = {
  text_threshold: ["Peak of a word", 1, 0.01],
  low_text: ["Region score of a pixel", 1, 0.01],
  link_threshold: ["Affinity of a link", 1, 0.01],
  least_score: ["Least score of a word", 1, 0.01],
  least_side: ["Least side, network pixels", 40, 1],
};
let picture = null; // { key, bitmap, maps, words, defaults }
let wanted = 0; // number of the newest request: an older answer is dropped

function say(text, isError = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("error", isError);
}

async function ask(address, options) {
  const answer = await fetch(address, options);
  const value = answer.headers.get("Content-Type") === "application/json" ? await answer.json() : await answer.blob();
  if (!answer.ok) throw new Error(value.error || answer.statusText);
  return value;
}

async function open(file) {
  say("Searching…");
  const start = performance.now();
  try {
    const found = await ask("/images", { method: "POST", body: file });
    const seconds = (performance.now() - start) / 1000;
    const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
    const maps = await createImageBitmap(await ask(`/maps?image=${found.image}`));
    picture = { key: found.image, bitmap, maps: pixelsOf(maps), defaults: found.thresholds, words: [], seconds };
    if (!byId("sliders").querySelector("input")) addSliders(found.thresholds);
    byId("view").width = found.width;
    byId("view").height = found.height;
    await decode();
  } catch (error) {
    say(`${file.name}: ${error.message}`, true);
  }
}

function pixelsOf(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}

function addSliders(values) {
  for (const [name, [text, max, step]] of Object.entries(LABELS)) {
    const label = document.createElement("label");
    const value = document.createElement("b");
    const slider = Object.assign(document.createElement("input"), { type: "range", id: name, min: 0, max, step });
    slider.value = values[name];
    value.textContent = slider.value;
    slider.addEventListener("input", () => { value.textContent = slider.value; decode(); });
    label.append(`${text} `, value, slider);
    byId("sliders").append(label);
  }
}

const threshold = (name) => byId(name).value;

async function decode() {
  if (!picture) return;
  const mine = ++wanted;
  const query = new URLSearchParams({ image: picture.key, polygons: byId("polygons").checked ? "1" : "0" });
  for (const name of Object.keys(LABELS)) query.set(name, threshold(name));
  paint();
  try {
    const found = await ask(`/words?${query}`);
    if (mine !== wanted) return;
    picture.words = found.words;
    say(`${found.words.length} words; the network took ${picture.seconds.toFixed(1)} s`);
    paint();
  } catch (error) {
    if (mine === wanted) say(error.message, true);
  }
}

function paint() {
  if (!picture) return;
  const view = byId("view");
  const context = view.getContext("2d");
  context.drawImage(picture.bitmap, 0, 0, view.width, view.height);
  if (byId("maps").checked) paintMaps(context, view);
  if (!byId("words").checked) return;
  const thick = Math.max(1.5, Math.max(view.width, view.height) / 700);
  const small = picture.words.filter((word) => shortSide(word.quad) < 20 + 4 * thick); // an edge would hide them
  const drawnThin = new Set(small);
  const large = picture.words.filter((word) => !drawnThin.has(word));
  for (const [colour, width, words] of [["#000", 2 * thick, large], ["#5dff5d", thick, large], ["#00dc46", 0.6 * thick, small]]) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.beginPath();
    for (const word of words) {
      const points = word.polygon || word.quad;
      points.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.closePath();
    }
    context.stroke();
  }
}

function shortSide([first, second, third]) {
  return Math.min(Math.hypot(second[0] - first[0], second[1] - first[1]), Math.hypot(third[0] - second[0], third[1] - second[1]));
}

function paintMaps(context, view) {
  const { width, height, data } = picture.maps;
  const low = 255 * threshold("low_text");
  const link = 255 * threshold("link_threshold");
  const shown = new ImageData(width, height);
  for (let i = 0; i < data.length; i += 4) {
    const colour = data[i] > low ? [255, 140, 0, 170] : data[i + 1] > link ? [47, 155, 255, 170] : [0, 0, 0, 90];
    shown.data.set(colour, i);
  }
  const layer = new OffscreenCanvas(width, height);
  layer.getContext("2d").putImageData(shown, 0, 0);
  context.drawImage(layer, 0, 0, view.width, view.height);
}

byId("file").addEventListener("change", (event) => event.target.files[0] && open(event.target.files[0]));
for (const id of ["words", "maps"]) byId(id).addEventListener("change", paint);
byId("polygons").addEventListener("change", decode);
byId("reset").addEventListener("click", () => {
  if (!picture) return;
  for (const name of Object.keys(LABELS)) {
    byId(name).value = picture.defaults[name];
    byId(name).previousSibling.textContent = byId(name).value;
  }
  decode();
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
  });
}

// Elements, scales and number formats that the other scripts share.
const data = JSON.parse(document.getElementById("data").textContent);
const byName = Object.fromEntries(data.variants.map((one) => [one.name, one]));
const state = { split: data.splits[0], policy: "shared", metric: "hmean", focus: null, keptMap: "region", keptStep: -1 };

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

function shape(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(name, value);
  element.append(...children.flat());
  return element;
}

function fill(id, ...children) {
  const element = document.getElementById(id);
  element.replaceChildren(...children.flat().filter(Boolean));
  return element;
}

// A row of buttons, one of them selected; arrow keys move the selection.
function segments(id, options, chosen, choose) {
  const buttons = options.map(([value, label, off]) =>
    make("button", { type: "button", role: "radio", "aria-checked": String(value === chosen), "data-value": value, disabled: off, tabindex: value === chosen ? 0 : -1, onclick: () => choose(value) }, label));
  const box = fill(id, buttons);
  box.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const open = options.filter(([, , off]) => !off).map(([value]) => value);
    choose(open[(open.indexOf(chosen) + step + open.length) % open.length]);
    box.querySelector('[aria-checked="true"]').focus();
  };
}

const percent = (value, digits = 1) => (value === null || value === undefined ? "–" : (100 * value).toFixed(digits));
const signed = (value) => (value === null ? "–" : (value >= 0 ? "+" : "−") + Math.abs(100 * value).toFixed(1));
const brief = (value) => (value >= 1000 ? Math.round(value).toLocaleString("en") : String(+value.toPrecision(3)));
const faded = (variant) => (state.focus && state.focus !== variant ? "dim" : "");

function ticks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + 1e-9 * step; value += step) found.push(+value.toPrecision(10));
  return found;
}

function logTicks(low, high, factors = [1, 2, 5]) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++)
    for (const factor of factors) if (factor * 10 ** power >= low * 0.999 && factor * 10 ** power <= high * 1.001) found.push(+(factor * 10 ** power).toPrecision(3));
  return found.length < 3 && factors.length < 4 ? logTicks(low, high, [1, 1.5, 2, 3, 4, 5, 6, 8]) : found;
}

const tip = document.getElementById("tip");
function tipped(element, text) {
  const show = (event) => {
    tip.textContent = text;
    tip.hidden = false;
    const x = event.clientX ?? element.getBoundingClientRect().left, y = event.clientY ?? element.getBoundingClientRect().top;
    tip.style.left = Math.max(6, Math.min(x + 12, innerWidth - tip.offsetWidth - 8)) + "px";
    tip.style.top = Math.max(6, y - tip.offsetHeight - 12) + "px";
  };
  element.addEventListener("pointermove", show);
  element.addEventListener("pointerdown", show);
  element.addEventListener("pointerleave", () => (tip.hidden = true));
  return element;
}

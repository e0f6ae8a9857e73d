"use strict";
// The page of a model: the picture, the layer that is chosen, and what it makes of an input. Text is set as text
// alone, so nothing that a file holds becomes markup.

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
let model = null; // what /model.json says
let chosen = null; // the index of a layer
let input = null; // {name, bytes} of what was run last
let turn = 0; // counts what was asked for: a late answer to an earlier question is dropped
let zoom = 1;

// ---- asking the server

async function ask(path, options) {
  const answer = await fetch(path, options);
  const data = await answer.json();
  if (!answer.ok) throw new Error(data.error);
  return data;
}

function say(text, wrong = false) {
  $("status").textContent = text;
  $("status").classList.toggle("wrong", wrong);
}

// ---- elements

function element(tag, text = "", kind = "") {
  const node = document.createElement(tag);
  if (text !== "") node.textContent = text;
  if (kind) node.className = kind;
  return node;
}

function within(parent, ...children) {
  parent.append(...children);
  return parent;
}

function short(number) {
  if (typeof number !== "number") return String(number); // "nan", "inf"
  return Number.isInteger(number) && Math.abs(number) < 1e6 ? String(number) : String(Number(number.toPrecision(4)));
}

const counted = (n) => n.toLocaleString("en");
const sizes = (shape) => `(${shape.join(", ")}${shape.length === 1 ? "," : ""})`;

// ---- the picture

const hits = () => [...document.querySelectorAll(".hit")];
const hit = (index) => document.querySelector(`.hit[data-layer="${index}"]`);

function setZoom(value) {
  const svg = document.querySelector("#graph svg");
  const box = svg.viewBox.baseVal;
  zoom = Math.min(3, Math.max(0.1, value));
  svg.setAttribute("width", Math.round(box.width * zoom));
  svg.setAttribute("height", Math.round(box.height * zoom));
}

// The whole picture where it stays legible, else its width or height.
function fit(least) {
  const box = document.querySelector("#graph svg").viewBox.baseVal;
  const pane = $("graph");
  const whole = Math.min((pane.clientWidth - 4) / box.width, (pane.clientHeight - 4) / box.height);
  setZoom(Math.min(1, Math.max(least, whole)));
}

async function drawGraph() {
  const text = await (await fetch("graph.svg")).text();
  const drawn = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  $("graph").replaceChildren(document.adoptNode(drawn));
  fit(0.6);
  const all = hits();
  if (all.length) all[0].setAttribute("tabindex", "0");
  drawn.addEventListener("click", (event) => {
    const target = event.target.closest(".hit");
    if (target) choose(Number(target.dataset.layer));
  });
  drawn.addEventListener("keydown", (event) => {
    const all = hits();
    const at = all.indexOf(event.target);
    const to = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 };
    if (at >= 0 && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      choose(Number(event.target.dataset.layer));
      $("layer").focus();
    } else if (at >= 0 && event.key in to) {
      event.preventDefault();
      const next = all[to[event.key]];
      if (next) {
        choose(Number(next.dataset.layer));
        next.focus({ preventScroll: true });
      }
    }
  });
}

function mark(index) {
  for (const one of document.querySelectorAll(".hit.chosen, .hit[tabindex='0']")) {
    one.classList.remove("chosen");
    one.removeAttribute("aria-pressed");
    one.setAttribute("tabindex", "-1");
  }
  const one = hit(index);
  one.classList.add("chosen");
  one.setAttribute("aria-pressed", "true");
  one.setAttribute("tabindex", "0");
  const pane = $("graph").getBoundingClientRect();
  const box = one.getBoundingClientRect();
  if (box.top < pane.top || box.bottom > pane.bottom || box.left < pane.left || box.right > pane.right) {
    $("graph").scrollBy(
      box.left + box.width / 2 - pane.left - pane.width / 2,
      box.top + Math.min(box.height, pane.height) / 2 - pane.top - pane.height / 2,
    );
  }
}

// ---- the layer

async function choose(index) {
  const asked = ++turn;
  chosen = index;
  mark(index);
  $("layers").value = String(index);
  try {
    const [layer, outputs] = await Promise.all([ask(`layers/${index}`), input ? ask(`outputs/${index}`) : []]);
    if (asked === turn) show(layer, outputs);
  } catch (error) {
    if (asked === turn) say(error.message, true);
  }
}

function show(layer, outputs) {
  const parts = [element("h2", layer.title)];
  parts.push(element("p", layer.kind === "layer" ? layer.path : `${layer.kind} of the model`, "mono soft"));
  if (layer.function) parts.push(element("p", layer.function, "mono"));
  if (layer.params) {
    const kind = layer.trainable === layer.params ? "trained" : layer.trainable ? `${counted(layer.trainable)} trained` : "frozen";
    parts.push(element("p", `${counted(layer.params)} params, ${kind}`, "soft"));
  }
  parts.push(...shapes(layer));
  if (input) parts.push(...outputParts(layer, outputs));
  if (layer.inside?.length) parts.push(element("h3", "Layers inside"), inside(layer.inside));
  if (layer.config?.length) parts.push(element("h3", "Config"), ...config(layer.config));
  if (layer.weights?.length) parts.push(element("h3", "Weights"), ...layer.weights.map(weight));
  $("layer").replaceChildren(...parts);
  $("layer").scrollTop = 0;
}

function shapes({ calls, kind }) {
  const table = element("table");
  calls.forEach((call, i) => {
    const again = calls.length > 1 ? ` ${i + 1}` : "";
    for (const [name, types] of [["input", call.inputs], ["output", call.outputs]]) {
      if (types.length) within(table, within(element("tr"), element("th", kind === "layer" ? name + again : "array"), element("td", types.join(", "))));
    }
  });
  return [element("h3", calls.length > 1 ? `Shapes, of ${calls.length} calls` : "Shapes"), table];
}

function inside(indices) {
  const list = element("ul");
  for (const index of indices) {
    const { title, path } = model.layers.find((layer) => layer.index === index);
    const link = element("button", `${title}, ${path.split("/").pop()}`, "link");
    link.type = "button";
    link.addEventListener("click", () => choose(index));
    within(list, within(element("li"), link));
  }
  return list;
}

function config(options) {
  const rows = (wanted) => {
    const table = element("table");
    for (const [name, value, isDefault] of options) {
      if (isDefault === wanted) {
        within(table, within(element("tr", "", isDefault ? "default" : ""), element("th", name), element("td", value)));
      }
    }
    return table;
  };
  const [own, defaults] = [rows(false), rows(true)];
  const parts = own.rows.length ? [own] : [];
  if (defaults.rows.length) {
    const details = within(element("details"), element("summary", `${defaults.rows.length} defaults`), defaults);
    details.open = !own.rows.length && defaults.rows.length < 8;
    parts.push(details);
  }
  return parts;
}

// ---- charts

// Bars from the bottom of a box of 100 x 40; in thousands of bars one path is fast, as many elements are not.
function chart(heights, label, low = 0) {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  const high = Math.max(0, ...heights.filter(Number.isFinite));
  const span = high - low || 1;
  const wide = 100 / heights.length;
  const gap = heights.length > 200 ? 0 : wide * 0.12;
  const zero = (high / span) * 40;
  path.setAttribute("d", heights.map((value, i) => {
    if (!Number.isFinite(value)) return "";
    const y = ((high - value) / span) * 40;
    return `M${(i * wide + gap / 2).toFixed(3)} ${zero.toFixed(2)}V${y.toFixed(2)}h${(wide - gap).toFixed(3)}V${zero.toFixed(2)}Z`;
  }).join(""));
  svg.setAttribute("viewBox", "0 0 100 40");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", "chart");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  return within(svg, path);
}

function weight(array) {
  const figure = element("figure");
  const caption = within(element("figcaption"), element("b", array.name), ` ${sizes(array.shape)} ${array.dtype}`);
  if (array.kind !== "trained") caption.append(`, ${array.kind}`);
  within(figure, caption);
  const spread = array.histogram;
  if (spread?.counts.length) {
    const text = `mean ${short(spread.mean)}, deviation ${short(spread.deviation)}`;
    within(figure, chart(spread.counts, `Histogram of ${array.name}: ${text}`));
    within(figure, within(element("figcaption", "", "ends"), element("span", short(spread.low)), element("span", text), element("span", short(spread.high))));
  }
  if (spread?.every > 1) within(figure, element("figcaption", `of every ${counted(spread.every)}th number`));
  if (spread?.bad) within(figure, element("figcaption", `${counted(spread.bad)} not finite`));
  return figure;
}

// ---- what a layer returns

// From blue by white to red: the color-blind distinguish its ends (RdBu, by Cynthia Brewer).
const STOPS = [[5, 48, 97], [33, 102, 172], [67, 147, 195], [146, 197, 222], [209, 229, 240], [247, 247, 247],
  [253, 219, 199], [244, 165, 130], [214, 96, 77], [178, 24, 43], [103, 0, 31]];
const COLORS = Array.from({ length: 255 }, (_, code) => {
  const at = (code / 254) * (STOPS.length - 1);
  const i = Math.min(Math.floor(at), STOPS.length - 2);
  return STOPS[i].map((c, k) => Math.round(c + (STOPS[i + 1][k] - c) * (at - i)));
});
COLORS.push([255, 0, 255]); // not finite

const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

function canvas(height, width, colorOf, label, kind = "") {
  const sheet = element("canvas", "", kind);
  [sheet.height, sheet.width] = [height, width];
  sheet.setAttribute("role", "img");
  sheet.setAttribute("aria-label", label);
  const pixels = new ImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    const [r, g, b] = colorOf(i);
    pixels.data.set([r, g, b, 255], i * 4);
  }
  sheet.getContext("2d").putImageData(pixels, 0, 0);
  return sheet;
}

function outputParts(layer, outputs) {
  const parts = [element("h3", layer.kind === "input" ? "The input" : "Output")];
  if (!outputs.length) {
    parts.push(element("p", "Not kept: this layer runs inside a loop. What the loop returns is shown at the layer around it.", "soft"));
  }
  return [...parts, ...outputs.map(output)];
}

function output(array) {
  const figure = element("figure");
  const caption = within(element("figcaption"), element("b", array.name), ` ${sizes(array.shape)} ${array.dtype}`);
  within(figure, caption);
  const drawing = DRAWINGS[array.kind](array);
  within(figure, ...drawing);
  if (array.spread) {
    const { low, high, mean, deviation, bad } = array.spread;
    if (low !== null) within(figure, element("figcaption", `from ${short(low)} to ${short(high)}, mean ${short(mean)}, deviation ${short(deviation)}`));
    if (bad) within(figure, element("figcaption", `${counted(bad)} not finite (magenta)`));
  }
  if (array.masked) within(figure, element("figcaption", `${counted(array.masked)} steps masked`));
  return figure;
}

function colorBar(top) {
  const bar = canvas(1, 255, (i) => COLORS[i], `Colors from ${short(-top)} to ${short(top)}`, "scale");
  return [bar, within(element("figcaption", "", "ends"), element("span", short(-top)), element("span", "0"), element("span", short(top)))];
}

const DRAWINGS = {
  maps({ of: [height, width, channels], codes, shape, top, name }) {
    const data = bytesOf(codes);
    const grid = element("div", "", "maps");
    for (let c = 0; c < channels; c++) {
      const from = c * height * width;
      within(grid, canvas(height, width, (i) => COLORS[data[from + i]], `${name}, channel ${c}`));
    }
    const all = shape[shape.length - 1];
    const parts = [grid, ...colorBar(top)];
    if (channels < all) parts.push(element("figcaption", `channels 0 to ${channels - 1} of ${counted(all)}`));
    const [full, across] = shape.slice(-3);
    if (height < full || width < across) parts.push(element("figcaption", `drawn with ${height} x ${width} points of ${full} x ${across}`));
    return parts;
  },
  photo({ of: [height, width], codes, name }) {
    const data = bytesOf(codes);
    return [canvas(height, width, (i) => data.subarray(3 * i, 3 * i + 3), name, "photo")];
  },
  sequence({ of: [steps, features], codes, top, name, shape }) {
    const data = bytesOf(codes);
    const parts = [canvas(features, steps, (i) => COLORS[data[i]], `${name}: steps to the right, features upward`, "sequence"), ...colorBar(top)];
    const part = steps < shape[0] || features < shape[1] ? ` (the first ${steps} and ${features})` : "";
    parts.push(element("figcaption", `${counted(shape[0])} steps to the right, ${counted(shape[1])} features upward${part}`));
    return parts;
  },
  bars({ values, greatest, name, shape }) {
    const numbers = values.map((value) => (typeof value === "number" ? value : NaN));
    const parts = [];
    if (values.length > 1) {
      const least = Math.min(0, ...numbers.filter(Number.isFinite));
      parts.push(chart(numbers, `${name}: ${values.length} values`, least));
      const of = shape.length && shape[0] > values.length ? `the first ${counted(values.length)} of ${counted(shape[0])}` : counted(values.length);
      parts.push(element("figcaption", `${of} values; the greatest:`));
    }
    const table = element("table");
    for (const [index, value] of greatest) {
      within(table, within(element("tr"), element("th", String(index)), element("td", short(value))));
    }
    return [...parts, table];
  },
  text({ text }) {
    return [element("p", text.join(", ") || "no elements", "mono")];
  },
};

// ---- inputs

async function run(name, bytes, example = 0) {
  if (bytes.byteLength > model.limit) {
    say(`${name} has ${counted(bytes.byteLength)} bytes; at most ${counted(model.limit)} are read`, true);
    return;
  }
  say(`running ${name} …`);
  const start = performance.now();
  try {
    const headers = { "Content-Type": "application/octet-stream" };
    const { examples } = await ask(`input/${example}`, { method: "POST", headers, body: bytes });
    input = { name, bytes };
    $("example-of").hidden = examples < 2;
    $("example").max = String(examples - 1);
    $("example").value = String(example);
    $("examples").textContent = `of ${counted(examples)}`;
    say(`${name}, run in ${((performance.now() - start) / 1000).toFixed(1)} s`);
    const last = model.layers.length ? model.layers[model.layers.length - 1].index : null;
    if (chosen !== null || last !== null) await choose(chosen ?? last);
  } catch (error) {
    say(`${name}: ${error.message}`, true);
  }
}

const isImage = (name, type) => type.startsWith("image/") || /\.(png|jpe?g|gif|webp|bmp|avif)$/i.test(name);
let picked = null; // the image that was given last, for another scale of its pixels

async function open(file, name) {
  try {
    if (!isImage(name, file.type)) {
      picked = null;
      await run(name, new Uint8Array(await file.arrayBuffer()));
    } else if (!model.image) {
      say(`${name} is an image; the model takes ${Object.values(model.inputs).join(", ")}`, true);
    } else {
      picked = { file, name };
      await run(name, npy(...(await pixelsOf(file))));
    }
  } catch (error) {
    say(`${name}: ${error.message || "it cannot be read"}`, true);
  }
}

// The pixels of an image in the size that the model takes: [numbers, shape].
async function pixelsOf(file) {
  const bitmap = await createImageBitmap(file);
  const most = 512; // for a model that takes all sizes
  const shrink = Math.min(1, most / Math.max(bitmap.width, bitmap.height));
  const { channels, channels_first: first } = model.image;
  const height = model.image.height ?? Math.max(1, Math.round(bitmap.height * shrink));
  const width = model.image.width ?? Math.max(1, Math.round(bitmap.width * shrink));
  const sheet = element("canvas");
  [sheet.width, sheet.height] = [width, height];
  const context = sheet.getContext("2d");
  if (channels !== 4) {
    context.fillStyle = "white"; // behind what is transparent
    context.fillRect(0, 0, width, height);
  }
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  const rgba = context.getImageData(0, 0, width, height).data;
  const scaled = { 1: (v) => v / 255, 255: (v) => v, "-1": (v) => v / 127.5 - 1 }[$("scale").value];
  const numbers = new Float32Array(height * width * channels);
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < channels; c++) {
      const [r, g, b] = rgba.subarray(4 * i, 4 * i + 3);
      const value = channels === 1 ? 0.299 * r + 0.587 * g + 0.114 * b : rgba[4 * i + c];
      numbers[first ? c * height * width + i : i * channels + c] = scaled(value);
    }
  }
  return [numbers, first ? [1, channels, height, width] : [1, height, width, channels]];
}

// An .npy file, version 1.0.
function npy(numbers, shape) {
  const wholes = !Object.values(model.inputs)[0].match(/^b?float/);
  const data = wholes ? Uint8Array.from(numbers) : numbers;
  const header = `{'descr': '${wholes ? "|u1" : "<f4"}', 'fortran_order': False, 'shape': (${shape.join(", ")},), }`;
  const padded = header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11) + "\n";
  const start = new Uint8Array([0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, padded.length & 255, padded.length >> 8]);
  const bytes = new Uint8Array(start.length + padded.length + data.byteLength);
  bytes.set(start);
  bytes.set(new TextEncoder().encode(padded), start.length);
  bytes.set(new Uint8Array(data.buffer), start.length + padded.length);
  return bytes;
}

// ---- beginning

function listen() {
  $("layers").addEventListener("change", () => $("layers").value && choose(Number($("layers").value)));
  $("smaller").addEventListener("click", () => setZoom(zoom / 1.25));
  $("larger").addEventListener("click", () => setZoom(zoom * 1.25));
  $("fit").addEventListener("click", () => fit(0.1));
  $("file").addEventListener("change", () => {
    const [file] = $("file").files;
    if (file) open(file, file.name);
    $("file").value = ""; // so that the same file can be given again
  });
  $("scale").addEventListener("change", () => picked && open(picked.file, picked.name));
  $("example").addEventListener("change", () => input && run(input.name, input.bytes, Number($("example").value)));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    const [file] = event.dataTransfer.files;
    if (file) open(file, file.name);
  });
}

async function begin() {
  [model] = await Promise.all([ask("model.json"), drawGraph()]);
  document.title = `${model.title}, fnlayers`;
  $("title").textContent = model.title;
  const state = model.state ? `, ${counted(model.state)} numbers of state` : "";
  $("totals").textContent = `${counted(model.params)} params (${counted(model.trainable)} trained)${state}`;
  for (const { index, kind, title, path } of model.layers) {
    const option = element("option", kind === "layer" ? `${path} (${title})` : kind === path ? path : `${path} (${kind})`);
    option.value = String(index);
    within($("layers"), option);
  }
  $("scale-of").hidden = !model.image;
  if (model.image) $("scale").value = model.image.scale;
  listen();
  document.body.dataset.ready = "yes";
  if (model.first) open(await (await fetch("first")).blob(), model.first);
}

begin().catch((error) => say(error.message, true));

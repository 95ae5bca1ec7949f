// The two maps, the tables under them, mouse and keys.
"use strict";

const byId = (id) => document.getElementById(id);
const inputCanvas = byId("input"), outputCanvas = byId("output");
const paddedHeight = height + padding[0] + padding[2], paddedWidth = width + padding[1] + padding[3];

function make(parent, name, attributes, text) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function show(x) {
  if (typeof x !== "number") return x;
  if (x !== 0 && (Math.abs(x) < 1e-3 || Math.abs(x) >= 1e5)) return x.toExponential(1);
  return String(Number(x.toPrecision(3)));
}

const precise = (x) => (typeof x === "number" ? String(Number(x.toPrecision(5))) : x);

// --- Colours

// From blue (negative) over white to orange (positive), as text and as the three numbers.
function diverging(x, largest) {
  const strength = largest > 0 && typeof x === "number" ? Math.min(Math.abs(x) / largest, 1) : 0;
  const end = x > 0 ? [213, 94, 0] : [0, 114, 178];
  return end.map((part) => Math.round(255 + (part - 255) * strength));
}

const css = ([r, g, b]) => `rgb(${r}, ${g}, ${b})`;

// Black or white, whichever has the greater contrast (WCAG 2.2); the worst case is 4.5 to 1.
function inkOn(colour) {
  const [r, g, b] = colour.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
}

const largestOf = (values) => values.reduce((a, x) => Math.max(a, typeof x === "number" ? Math.abs(x) : 0), 0);

// --- The maps

// Whole screen pixels for each pixel of the picture, so that both maps have one scale.
const scale = Math.max(1, Math.floor(Math.min(400 / paddedWidth, 400 / paddedHeight)));

function drawInput() {
  inputCanvas.width = paddedWidth * scale;
  inputCanvas.height = paddedHeight * scale;
  const pen = inputCanvas.getContext("2d"), plane = data.input[inputChannel()];
  drawPadding(pen);
  const finite = plane.filter((x) => typeof x === "number");
  const low = finite.reduce((a, x) => Math.min(a, x), Infinity);
  const span = finite.reduce((a, x) => Math.max(a, x), -Infinity) - low || 1;
  const { toInput } = state.mode === "forward" ? {} : gradients();
  const largest = toInput ? largestOf([...toInput]) : 0;
  plane.forEach((x, n) => {
    const grey = Math.round(255 - (255 * (x - low)) / span), faint = Math.round(235 + grey * 0.08);
    const value = toInput ? toInput[n] : 0;
    pen.fillStyle = !toInput ? css([grey, grey, grey]) : value ? css(diverging(value, largest)) : css([faint, faint, faint]);
    fillPixel(pen, padding[0] + Math.floor(n / width), padding[1] + (n % width));
  });
  if (state.mode === "all") return;
  for (const tap of patchOf()) outline(pen, tap.r + padding[0], tap.q + padding[1], 1, 1, 1);
  if (dilation[0] === 1 && dilation[1] === 1) {
    outline(pen, state.i * stride[0], state.j * stride[1], kernel[0], kernel[1], 3);
  }
}

function drawPadding(pen) {
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, inputCanvas.width, inputCanvas.height);
  pen.strokeStyle = "#999";
  pen.beginPath();
  for (let x = -inputCanvas.height; x < inputCanvas.width; x += 6) {
    pen.moveTo(x, inputCanvas.height);
    pen.lineTo(x + inputCanvas.height, 0);
  }
  pen.stroke();
}

function drawOutput() {
  outputCanvas.width = outWidth * scale;
  outputCanvas.height = outHeight * scale;
  const pen = outputCanvas.getContext("2d"), plane = data.output[state.o], largest = largestOf(plane);
  plane.forEach((y, n) => {
    pen.fillStyle = css(diverging(y, largest));
    fillPixel(pen, Math.floor(n / outWidth), n % outWidth);
  });
  if (state.mode !== "all") outline(pen, state.i, state.j, 1, 1, 3);
}

const fillPixel = (pen, row, column) => pen.fillRect(column * scale, row * scale, scale, scale);

// Black beside white: seen on any colour.
function outline(pen, row, column, rows, columns, thickness) {
  for (const [colour, extra] of [["#fff", thickness > 1 ? 2 : 0], ["#000", 0]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = thickness + extra;
    pen.strokeRect(column * scale + 0.5, row * scale + 0.5, columns * scale - 1, rows * scale - 1);
  }
}

// --- The tables

function matrix(parent, id, caption, values, padded) {
  const table = make(parent, "table", { class: "matrix", id });
  make(table, "caption", {}, caption);
  const largest = largestOf(values);
  for (let k = 0; k < kernel[0]; k++) {
    const row = make(table, "tr");
    for (let l = 0; l < kernel[1]; l++) {
      const n = k * kernel[1] + l, cell = make(row, "td", { "data-value": values[n] }, show(values[n]));
      if (padded && padded[n]) {
        cell.className = "padding";
        cell.title = "padding";
      } else {
        const colour = diverging(values[n], largest);
        cell.style.background = css(colour);
        cell.style.color = inkOn(colour);
      }
    }
  }
}

const operator = (text) => make(byId("sums"), "span", { class: "operator" }, text);

function showForward() {
  const box = byId("sums"), taps = patchOf(), outside = taps.map((tap) => !tap.inside);
  matrix(box, "patch", "patch of the input", taps.map((tap) => tap.x), outside);
  operator("×");
  matrix(box, "kernel", "kernel", taps.map((tap) => tap.w));
  operator("=");
  matrix(box, "products", "products", taps.map((tap) => tap.product));
  const sums = Array.from({ length: perGroup }, (_, c) => sumOfChannel(c));
  const total = sums.reduce((a, b) => a + b, 0) + (data.bias ? data.bias[state.o] : 0);
  const words = sums.length > 1 ? `sums of the channels ${sums.map(precise).join(" + ")}` : `sum of the products ${precise(sums[0])}`;
  const line = byId("total");
  line.replaceChildren(`${words}${data.bias ? ` + bias ${precise(data.bias[state.o])}` : ""} = `);
  make(line, "output", { id: "computed" }, precise(total));
  line.append("; the engine's output here: ");
  make(line, "output", { id: "engine" }, precise(outputAt(state.i, state.j)));
  byId("status").textContent = `Output channel ${state.o}, row ${state.i}, column ${state.j}: ${precise(total)}.`;
}

function showBackward() {
  const box = byId("sums"), { toWeight, toBias } = gradients(), all = state.mode === "all";
  if (!all) {
    const taps = patchOf();
    matrix(box, "to-input", "to the input: the kernel", taps.map((tap) => tap.w), taps.map((tap) => !tap.inside));
  }
  matrix(box, "to-weight", `to the weights: the ${all ? "sum of all patches" : "patch"}`, [...toWeight]);
  byId("total").textContent = all
    ? `The gradient of every output pixel is 1 here. Input pixels that several patches read get several contributions: they add up (+=). To the bias: ${toBias}, the number of pixels.`
    : "The gradient of this one output pixel is 1 here: each input of its patch gets its weight, each weight gets its input, the bias gets 1. What goes to the padding is lost.";
  byId("status").textContent = all
    ? `Output channel ${state.o}, all ${toBias} pixels: their gradients, added up.`
    : `Output channel ${state.o}, row ${state.i}, column ${state.j}: where its gradient goes back to.`;
}

// The table of the whole output, written again when another channel is chosen.
function showTable() {
  const table = byId("output-table");
  if (table.dataset.channel !== String(state.o)) {
    table.dataset.channel = state.o;
    table.caption.textContent = `Output channel ${state.o}: rows and columns of pixels`;
    table.querySelectorAll("td").forEach((cell, n) => { cell.textContent = show(data.output[state.o][n]); });
  }
  table.querySelectorAll('[aria-current="true"]').forEach((cell) => cell.removeAttribute("aria-current"));
  table.querySelectorAll("td")[state.i * outWidth + state.j].setAttribute("aria-current", "true");
}

function update() {
  drawInput();
  drawOutput();
  byId("sums").replaceChildren();
  if (state.mode === "forward") showForward();
  else showBackward();
  showTable();
  for (const mode of ["forward", "one", "all"]) byId(mode).setAttribute("aria-pressed", String(state.mode === mode));
  const what = state.mode === "forward" ? "dark is large" : "the gradient that arrives";
  byId("input-caption").textContent = `Input, channel ${inputChannel()} of ${channels}, ${height} × ${width} pixels (${what}).`;
  byId("output-caption").textContent = `Output, channel ${state.o} of ${outputs}, ${outHeight} × ${outWidth} pixels.`;
}

// --- Mouse and keys

function choose(i, j) {
  state.i = Math.max(0, Math.min(outHeight - 1, i));
  state.j = Math.max(0, Math.min(outWidth - 1, j));
  update();
}

outputCanvas.addEventListener("pointermove", (event) => {
  const box = outputCanvas.getBoundingClientRect();
  const i = Math.floor(((event.clientY - box.top) / box.height) * outHeight);
  const j = Math.floor(((event.clientX - box.left) / box.width) * outWidth);
  if (i !== state.i || j !== state.j) choose(i, j);
});

outputCanvas.addEventListener("keydown", (event) => {
  const moves = {
    ArrowUp: [state.i - 1, state.j], ArrowDown: [state.i + 1, state.j], ArrowLeft: [state.i, state.j - 1],
    ArrowRight: [state.i, state.j + 1], Home: [state.i, 0], End: [state.i, outWidth - 1],
  };
  if (moves[event.key]) choose(...moves[event.key]);
  else if (event.key === "m") setMode(state.mode === "forward" ? "one" : "forward");
  else return;
  event.preventDefault();
});

function setMode(mode) {
  state.mode = mode;
  update();
}

for (const mode of ["forward", "one", "all"]) byId(mode).addEventListener("click", () => setMode(mode));

function fillSelect(id, count, field) {
  for (let n = 0; n < count; n++) make(byId(`${id}-channel`), "option", { value: n }, n);
  byId(`${id}-label`).hidden = count === 1;
  byId(`${id}-channel`).addEventListener("change", (event) => {
    state[field] = Number(event.target.value);
    update();
  });
}

fillSelect("output", outputs, "o");
fillSelect("input", perGroup, "c");
choose(Math.floor(outHeight / 2), Math.floor(outWidth / 2));

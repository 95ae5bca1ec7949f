// The picture, the stepper and the details.
"use strict";

const svg = document.getElementById("graph");
const byId = (id) => document.getElementById(id);
let position = 0, chosen = null, timer = null, shown = null;

function make(parent, name, attributes, text) {
  const svgNames = ["g", "rect", "text", "path", "marker", "defs"];
  const element = svgNames.includes(name) ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

// --- Drawing

function linesOf(item) {
  if (isGroup(item)) {
    const { label, operations } = groupOf(item);
    return [label, `${operations} operations`, `${operations} of ${operations} went back`]; // the longest to come
  }
  const i = item.members[0], node = nodes[i];
  const size = node.shape.length ? shapeText(node.shape) : "";
  const value = node.shape.length ? size : shortText(node.value);
  return [titleOf(i), value, ""];
}

const widthOf = (lines) => Math.max(84, 22 + 7.2 * Math.max(...lines.map((line) => line.length), 14));

function draw() {
  shown = visibleGraph();
  for (const item of shown.items) {
    item.lines = linesOf(item);
    item.w = widthOf(item.lines);
    item.h = 62;
  }
  const { width, height } = layoutGraph(shown.items, shown.links);
  svg.replaceChildren();
  svg.setAttribute("viewBox", `-6 -6 ${width + 12} ${height + 12}`);
  svg.setAttribute("width", width + 12);
  svg.setAttribute("height", height + 12);
  const marker = make(make(svg, "defs"), "marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4,
    markerWidth: 7, markerHeight: 7, orient: "auto", markerUnits: "userSpaceOnUse" });
  make(marker, "path", { d: "M0,0 L8,4 L0,8 z", class: "arrow" });
  const back = make(svg.firstChild, "marker", { id: "arrow-back", viewBox: "0 0 8 8", refX: 7, refY: 4,
    markerWidth: 12, markerHeight: 12, orient: "auto-start-reverse", markerUnits: "userSpaceOnUse" });
  make(back, "path", { d: "M0,0 L8,4 L0,8 z", class: "arrow-back" });
  for (const link of shown.links) {
    const constant = link.members.every((i) => nodes[edges[i].source].kind === "constant");
    link.path = make(svg, "path", { d: splineThrough(link.points), class: `edge${constant ? " constant" : ""}`,
      "marker-end": "url(#arrow)", "data-from": link.from, "data-to": link.to });
    link.constant = constant;
  }
  // What can be reached by Tab: one node of the graph; the arrow keys go on from there.
  for (const item of shown.items) drawItem(item);
  for (const link of shown.links) {
    const [a, b] = link.points; // near the source: there the edges of one operation are apart
    link.label = make(svg, "text", { class: "edge-label", x: 0.75 * a.x + 0.25 * b.x, y: a.y + 24 });
  }
  if (!shown.items.some((item) => item.id === chosen)) chosen = standIn(data.loss);
  update();
}

function drawItem(item) {
  const kind = isGroup(item) ? "group" : nodes[item.members[0]].kind;
  item.kind = kind;
  item.g = make(svg, "g", { "data-id": item.id, tabindex: -1, role: isGroup(item) ? "button" : "img",
    transform: `translate(${item.x - item.w / 2},${item.y - item.h / 2})` });
  make(item.g, "rect", { class: "frame", width: item.w, height: item.h, rx: kind === "leaf" ? 16 : 4 });
  item.texts = ["title", "value", "gradient"].map((name, i) =>
    make(item.g, "text", { class: name, x: item.w / 2, y: 19 + 18 * i }, item.lines[i]));
  item.g.addEventListener("mouseenter", () => describe(item.id));
  item.g.addEventListener("mouseleave", () => describe(chosen));
  item.g.addEventListener("focus", () => choose(item.id));
  item.g.addEventListener("click", () => {
    if (!openOrClose(item)) item.g.focus();
  });
  item.g.addEventListener("keydown", (event) => moveAmongNodes(event, item));
}

// --- The state after `position` steps

function update() {
  const state = gradientsAfter(position);
  const current = position ? steps[position - 1] : null;
  const fresh = new Set(current ? current.contributions.map((part) => part.edge) : []);
  for (const item of shown.items) {
    const operations = item.members.filter((i) => nodes[i].kind === "operation");
    const at = item.members.map((i) => state[i]);
    let gradient = " ", stage = "";
    if (isGroup(item)) {
      const back = operations.filter((i) => stepOf.get(i) < position).length;
      if (back) gradient = `${back} of ${operations.length} went back`;
      stage = back === operations.length ? "full" : back ? "part" : "";
    } else if (at[0].total) {
      gradient = `∂ ${shortText(at[0].total)}${at[0].complete ? "" : " …"}`;
      stage = at[0].complete ? "full" : "part";
    }
    const now = current && item.members.includes(current.node) ? "current" : "";
    item.g.setAttribute("class", `node ${item.kind} ${stage} ${now}`);
    item.texts[2].textContent = gradient;
    item.g.setAttribute("aria-label", `${item.lines[0]}, ${item.lines[1]}${gradient.trim() ? `, gradient ${gradient}` : ""}`);
    item.g.setAttribute("tabindex", item.id === chosen ? 0 : -1);
  }
  for (const link of shown.links) {
    const carried = link.members.filter((i) => steps.slice(0, position).some((step) => step.contributions.some((part) => part.edge === i)));
    const now = link.members.filter((i) => fresh.has(i));
    const part = now.length === 1 ? current.contributions.find((one) => one.edge === now[0]) : null;
    link.path.setAttribute("class", `edge${link.constant ? " constant" : ""}${now.length ? " now" : carried.length ? " done" : ""}`);
    const label = part && typeof part.value.values === "number" ? shortText(part.value) : "";
    link.label.textContent = `${part && part.count > 1 ? "+= " : ""}${label}`.trim();
  }
  byId("position").textContent = `step ${position} of ${steps.length}`;
  byId("start").disabled = byId("back").disabled = position === 0;
  byId("end").disabled = byId("step").disabled = position === steps.length;
  byId("status").textContent = sentence(current);
  describe(chosen);
}

function sentence(step) {
  if (!step) {
    return `Forward is done. The gradient of the result in itself is ${shortText(steps[0].incoming[0])}: the backward pass starts there.`;
  }
  const parts = step.contributions.map((part) => {
    const source = nameOf(edges[part.edge].source), value = shortText(part.value);
    return part.count > 1 ? `${source} += ${value}, now ${shortText(sumOf(part))}` : `${source} = ${value}`;
  });
  return `${nameOf(step.node)} goes back with ${step.incoming.map(shortText).join(", ")}: ${parts.join("; ") || "nothing to give"}.`;
}

function goTo(step) {
  position = Math.max(0, Math.min(steps.length, step));
  if (position === steps.length) stop();
  update();
  const current = shown.items.find((item) => item.g.classList.contains("current"));
  const frame = byId("picture"); // what goes back stands low, so that its inputs above are seen, too
  if (current) frame.scrollTo(current.x - frame.clientWidth / 2, current.y - 0.65 * frame.clientHeight);
}

function stop() {
  clearInterval(timer);
  timer = null;
  byId("play").textContent = "Play";
  byId("play").setAttribute("aria-pressed", "false");
}

function play() {
  if (timer !== null) return stop();
  if (position === steps.length) goTo(0);
  timer = setInterval(() => goTo(position + 1), 900);
  byId("play").textContent = "Pause";
  byId("play").setAttribute("aria-pressed", "true");
}

// --- Details

function choose(id) {
  chosen = id;
  for (const item of shown.items) item.g.setAttribute("tabindex", item.id === chosen ? 0 : -1);
  describe(id);
}

function describe(id) {
  const item = shown.items.find((one) => one.id === id);
  const box = byId("details");
  box.replaceChildren();
  if (isGroup(item)) {
    make(box, "h2", {}, item.lines[0]);
    make(box, "p", {}, `A group of ${groupOf(item).operations} operations. Click it, or press Enter, to open it.`);
    return;
  }
  const i = item.members[0], node = nodes[i], at = gradientsAfter(position)[i];
  make(box, "h2", {}, titleOf(i));
  const kinds = { operation: "operation", leaf: "leaf: its gradient is kept", constant: "constant: no gradient flows here" };
  make(box, "p", { class: "quiet" }, kinds[node.kind]);
  const around = groupsAround(i);
  if (around.length) {
    const button = make(box, "button", {}, `Close ${groups[around[0]].label}`);
    button.addEventListener("click", () => { closed.add(around[0]); chosen = `g${around[0]}`; draw(); focusChosen(); });
  }
  make(box, "h2", {}, `Value, shape ${shapeText(node.shape)}`);
  if (node.value) arrayTable(box, node.value);
  else make(box, "p", {}, "Not kept: no gradient needs it, so the engine let it go.");
  if (node.kind === "constant") return;
  make(box, "h2", {}, "Gradient");
  if (!at.total) return void make(box, "p", {}, "Nothing has come yet.");
  if (at.parts.length > 1) {
    const list = make(box, "ol", { class: "parts" });
    for (const part of at.parts) make(list, "li", {}, `${part.count > 1 ? "+= " : "= "}${shortText(part.value)} from ${nameOf(part.from)}`);
    make(box, "p", {}, `Sum so far: ${shortText(at.total)}`);
  }
  make(box, "p", {}, at.complete ? "Complete." : "More will come: it is not complete.");
  arrayTable(box, at.total);
}

function arrayTable(box, summary) {
  const numbers = summary.values !== undefined ? summary.values : summary.corner;
  if (summary.values === undefined) {
    make(box, "p", { class: "quiet" }, `${summary.dtype}, least ${shortNumber(summary.min)}, greatest ${shortNumber(summary.max)}, mean ${shortNumber(summary.mean)}; one corner:`);
  } else {
    make(box, "p", { class: "quiet" }, summary.dtype);
  }
  let rows = Array.isArray(numbers) ? numbers : [numbers];
  while (Array.isArray(rows[0]) && Array.isArray(rows[0][0])) rows = rows.flat();
  if (!Array.isArray(rows[0])) rows = [rows];
  const table = make(make(box, "div", { class: "scroll" }), "table", { class: "numbers" });
  for (const row of rows) {
    const line = make(table, "tr");
    for (const x of row) make(line, "td", {}, typeof x === "number" ? String(x) : x);
  }
}

// --- Keys and buttons

function openOrClose(item) {
  if (!isGroup(item)) return false;
  closed.delete(Number(item.id.slice(1)));
  chosen = standIn(item.members.find((i) => nodes[i].kind === "operation"));
  draw();
  focusChosen();
  return true;
}

function focusChosen() {
  shown.items.find((item) => item.id === chosen).g.focus();
}

function moveAmongNodes(event, item) {
  if (event.key === "Enter" || event.key === " ") {
    openOrClose(item);
    event.preventDefault();
    event.stopPropagation();
  }
  const towards = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
  if (!towards) return;
  event.preventDefault();
  event.stopPropagation();
  const [dx, dy] = towards;
  const ahead = shown.items.map((other) => {
    const along = (other.x - item.x) * dx + (other.y - item.y) * dy;
    const aside = Math.abs((other.x - item.x) * dy) + Math.abs((other.y - item.y) * dx);
    return { other, along, cost: along + 2 * aside };
  }).filter(({ along }) => along > 1).sort((a, b) => a.cost - b.cost);
  if (ahead.length) {
    ahead[0].other.g.focus();
    ahead[0].other.g.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const actions = {
    n: () => goTo(position + 1), ArrowRight: () => goTo(position + 1),
    b: () => goTo(position - 1), ArrowLeft: () => goTo(position - 1),
    p: play, Home: () => goTo(0), End: () => goTo(steps.length),
  };
  if (actions[event.key]) {
    event.preventDefault();
    if (event.key !== "p") stop();
    actions[event.key]();
  }
});

byId("start").addEventListener("click", () => { stop(); goTo(0); });
byId("back").addEventListener("click", () => { stop(); goTo(position - 1); });
byId("step").addEventListener("click", () => { stop(); goTo(position + 1); });
byId("end").addEventListener("click", () => { stop(); goTo(steps.length); });
byId("play").addEventListener("click", play);
byId("toggle-groups").hidden = groups.length === 0;
byId("toggle-groups").addEventListener("click", () => {
  if (closed.size) closed.clear();
  else groups.forEach((_, i) => closed.add(i));
  draw();
  byId("toggle-groups").textContent = closed.size ? "Open all groups" : "Close all groups";
});
byId("toggle-groups").textContent = closed.size ? "Open all groups" : "Close all groups";
draw();

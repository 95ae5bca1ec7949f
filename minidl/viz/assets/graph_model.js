// What is to be shown: the state of every gradient after some steps, and the graph with closed groups drawn as one node.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const nodes = data.nodes, groups = data.groups, steps = data.steps;
const edges = data.edges.map(([source, output, target, input]) => ({ source, output, target, input }));
const stepOf = new Map(steps.map((step, i) => [step.node, i]));
const closed = new Set(data.closed ? groups.map((_, i) => i) : []);

// The sum after a contribution; the first is the sum.
const sumOf = (part) => part.total || part.value;

// Gradients after `count` steps: for each node what has come so far, from where, and whether it is complete.
function gradientsAfter(count) {
  const found = nodes.map(() => ({ parts: [], total: null, complete: false }));
  const coming = nodes.map(() => 0);
  for (const step of steps) for (const part of step.contributions) coming[edges[part.edge].source] += 1;
  found[data.loss].seed = true;
  found[data.loss].total = steps[0].incoming[0];
  for (const step of steps.slice(0, count)) {
    for (const part of step.contributions) {
      const at = found[edges[part.edge].source];
      at.parts.push({ ...part, from: step.node });
      at.total = sumOf(part);
    }
  }
  found.forEach((at, i) => { at.complete = at.total !== null && at.parts.length === coming[i]; });
  return found;
}

function groupsAround(node) {
  const chain = [];
  for (let g = nodes[node].group; g !== -1; g = groups[g].parent) chain.push(g);
  return chain; // from the inside out
}

// What stands for a node in the picture: "n3", or "g1" if it is inside a closed group.
function standIn(node) {
  const around = groupsAround(node).filter((g) => closed.has(g));
  return around.length ? `g${around[around.length - 1]}` : `n${node}`;
}

function visibleGraph() {
  const items = new Map(), links = new Map();
  nodes.forEach((_, i) => {
    const id = standIn(i);
    if (!items.has(id)) items.set(id, { id, members: [] });
    items.get(id).members.push(i);
  });
  edges.forEach((edge, i) => {
    const from = standIn(edge.source), to = standIn(edge.target);
    if (from === to) return;
    const key = `${from}-${to}`;
    if (!links.has(key)) links.set(key, { from, to, members: [] });
    links.get(key).members.push(i);
  });
  return { items: [...items.values()], links: [...links.values()] };
}

const isGroup = (item) => item.id[0] === "g";
const groupOf = (item) => groups[Number(item.id.slice(1))];

const shapeText = (shape) => `(${shape.join(", ")}${shape.length === 1 ? "," : ""})`;

function titleOf(node) {
  const { kind, name, label } = nodes[node];
  if (kind === "operation") return label ? `${label} = ${name}` : name;
  return name || kind;
}

const nameOf = (node) => nodes[node].label || nodes[node].name || nodes[node].kind;

function shortNumber(x, digits = 4) {
  if (typeof x !== "number") return x; // "nan", "inf"
  if (x !== 0 && (Math.abs(x) < 1e-3 || Math.abs(x) >= 1e5)) return x.toExponential(digits - 2);
  return String(Number(x.toPrecision(digits)));
}

// One line: the number itself, or of many the largest size.
function shortText(summary) {
  if (!summary) return "not kept";
  const all = "values" in summary ? [summary.values].flat(Infinity) : [summary.min, summary.max];
  if (all.length === 1) return shortNumber(all[0]);
  const strange = all.find((x) => typeof x !== "number");
  return strange !== undefined ? `with ${strange}` : `up to ±${shortNumber(Math.max(...all.map(Math.abs)), 3)}`;
}

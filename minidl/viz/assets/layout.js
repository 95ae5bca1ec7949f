// A layered layout (after Sugiyama, Tagawa and Toda, 1981), from top to bottom:
// ranks, an order in each rank with few crossings, horizontal places, and curves for the edges.
"use strict";

const GAP_X = 26, GAP_Y = 46, SWEEPS = 12;

// nodes: [{id, w, h}], edges: [{from, to}] without cycles; adds x, y (centres) to nodes and points to edges.
function layoutGraph(nodes, edges) {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  rankNodes(nodes, edges, byId);
  const { layers, links } = makeLayers(nodes, edges, byId);
  reduceCrossings(layers);
  placeHorizontally(layers);
  let y = 0, width = 0;
  for (const layer of layers) {
    const height = Math.max(...layer.map((item) => item.h));
    for (const item of layer) item.y = y + height / 2;
    y += height + GAP_Y;
  }
  const left = Math.min(...layers.flat().map((item) => item.x - item.w / 2));
  for (const item of layers.flat()) {
    item.x -= left;
    width = Math.max(width, item.x + item.w / 2);
  }
  for (const link of links) link.edge.points = routeOf(link);
  return { width, height: Math.max(y - GAP_Y, 0) };
}

// The longest path from a source; then sources move down to just above what uses them.
function rankNodes(nodes, edges, byId) {
  const waiting = new Map(nodes.map((node) => [node.id, 0]));
  const next = new Map(nodes.map((node) => [node.id, []]));
  for (const edge of edges) {
    waiting.set(edge.to, waiting.get(edge.to) + 1);
    next.get(edge.from).push(edge.to);
  }
  for (const node of nodes) node.rank = 0;
  const ready = nodes.filter((node) => waiting.get(node.id) === 0);
  const sources = ready.slice();
  for (const node of ready) { // grows while it is read
    for (const id of next.get(node.id)) {
      const target = byId.get(id);
      target.rank = Math.max(target.rank, node.rank + 1);
      waiting.set(id, waiting.get(id) - 1);
      if (waiting.get(id) === 0) ready.push(target);
    }
  }
  for (const node of sources) {
    const ranks = next.get(node.id).map((id) => byId.get(id).rank);
    if (ranks.length) node.rank = Math.min(...ranks) - 1;
  }
  const lowest = Math.min(...nodes.map((node) => node.rank));
  for (const node of nodes) node.rank -= lowest;
}

// One array a rank. An edge over several ranks is cut into pieces by small bends in between.
function makeLayers(nodes, edges, byId) {
  const layers = Array.from({ length: 1 + Math.max(...nodes.map((node) => node.rank)) }, () => []);
  for (const node of nodes) {
    node.above = [];
    node.below = [];
    layers[node.rank].push(node);
  }
  const links = edges.map((edge) => {
    const chain = [byId.get(edge.from)];
    const end = byId.get(edge.to);
    for (let rank = chain[0].rank + 1; rank < end.rank; rank++) {
      const bend = { w: 8, h: 0, rank, bend: true, above: [], below: [] };
      layers[rank].push(bend);
      chain.push(bend);
    }
    chain.push(end);
    for (let i = 1; i < chain.length; i++) {
      chain[i - 1].below.push(chain[i]);
      chain[i].above.push(chain[i - 1]);
    }
    return { edge, chain };
  });
  return { layers, links };
}

const setPlaces = (layer) => layer.forEach((item, place) => { item.place = place; });

function crossingsBetween(upper) {
  // Pairs of edges between this layer and the next that cross.
  const ends = upper.flatMap((item) => item.below.map((other) => other.place).sort((a, b) => a - b));
  let crossings = 0;
  for (let i = 0; i < ends.length; i++) for (let j = i + 1; j < ends.length; j++) crossings += ends[i] > ends[j];
  return crossings;
}

function reduceCrossings(layers) {
  layers.forEach(setPlaces);
  const total = () => layers.slice(0, -1).reduce((sum, layer) => sum + crossingsBetween(layer), 0);
  let best = layers.map((layer) => layer.slice()), fewest = total();
  for (let sweep = 0; sweep < SWEEPS && fewest > 0; sweep++) {
    const down = sweep % 2 === 0;
    const order = down ? layers.slice(1) : layers.slice(0, -1).reverse();
    for (const layer of order) {
      for (const item of layer) {
        const near = down ? item.above : item.below;
        item.weight = near.length ? near.reduce((sum, other) => sum + other.place, 0) / near.length : item.place;
      }
      layer.sort((a, b) => a.weight - b.weight);
      setPlaces(layer);
    }
    const found = total();
    if (found < fewest) {
      fewest = found;
      best = layers.map((layer) => layer.slice());
    }
  }
  best.forEach((layer, i) => {
    layers[i].splice(0, layer.length, ...layer);
    setPlaces(layers[i]);
  });
}

// Each item wants to stand at the mean of its neighbours; items of a layer keep their order and their distance.
// Sources count little: a chain of operations hangs straight, and its weights stand beside it.
const force = (item) => (item.above.length ? 1 : 0.02);

function placeHorizontally(layers) {
  for (const layer of layers) {
    let x = 0;
    for (const item of layer) {
      item.x = x + item.w / 2;
      x += item.w + GAP_X;
    }
    for (const item of layer) item.x -= (x - GAP_X) / 2;
  }
  for (let pass = 0; pass < 16; pass++) {
    const order = pass % 2 === 0 ? layers : layers.slice().reverse();
    for (const layer of order) {
      for (const item of layer) {
        const near = pass % 2 === 0 ? item.above : item.below;
        const all = near.length ? near : item.above.concat(item.below);
        const forces = all.reduce((sum, other) => sum + force(other), 0);
        item.wish = forces ? all.reduce((sum, other) => sum + force(other) * other.x, 0) / forces : item.x;
      }
      settle(layer);
    }
  }
}

// The nearest places to the wishes that leave room: neighbours that collide are joined and share their deviation.
function settle(layer) {
  const blocks = [];
  for (const item of layer) {
    let block = { items: [item], offsets: [0], pull: item.wish * force(item), force: force(item), x: item.wish };
    while (blocks.length) {
      const last = blocks[blocks.length - 1];
      const a = last.items[last.items.length - 1], b = block.items[0];
      const distance = a.w / 2 + GAP_X + b.w / 2;
      const start = last.offsets[last.offsets.length - 1] + distance;
      if (last.x + start <= block.x) break;
      for (let i = 0; i < block.items.length; i++) {
        last.items.push(block.items[i]);
        last.offsets.push(start + block.offsets[i]);
        last.pull += (block.items[i].wish - (start + block.offsets[i])) * force(block.items[i]);
        last.force += force(block.items[i]);
      }
      last.x = last.pull / last.force;
      block = blocks.pop();
    }
    blocks.push(block);
  }
  for (const block of blocks) block.items.forEach((item, i) => { item.x = block.x + block.offsets[i]; });
}

function routeOf({ chain }) {
  return chain.map((item, i) => {
    if (i === 0) return { x: item.x, y: item.y + item.h / 2 };
    if (i === chain.length - 1) return { x: item.x, y: item.y - item.h / 2 };
    return { x: item.x, y: item.y };
  });
}

// A smooth curve through points, vertical at each: text for the attribute d of a path.
function splineThrough(points) {
  let d = `M${round(points[0].x)},${round(points[0].y)}`;
  for (let i = 1; i < points.length; i++) {
    const a = points[i - 1], b = points[i], middle = (a.y + b.y) / 2;
    d += `C${round(a.x)},${round(middle)} ${round(b.x)},${round(middle)} ${round(b.x)},${round(b.y)}`;
  }
  return d;
}

const round = (x) => Math.round(x * 10) / 10;

// The arithmetic of a convolution: which input pixels an output pixel reads, and where its gradient goes back to.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const { channels, height, width, outputs, outHeight, outWidth, groups, kernel, stride, dilation, padding } = data;
const perGroup = channels / groups;
const state = { mode: "forward", o: 0, c: 0, i: 0, j: 0 }; // c counts within the group of o

const inputChannel = (c = state.c) => Math.floor(state.o / (outputs / groups)) * perGroup + c;
const outputAt = (i, j, o = state.o) => data.output[o][i * outWidth + j];
const weightAt = (k, l, c = state.c) => data.weight[state.o][c][k * kernel[1] + l];

// Input row and column that tap (k, l) of output pixel (i, j) reads; outside the picture it reads padding.
function placeOf(i, j, k, l) {
  const r = i * stride[0] + k * dilation[0] - padding[0], q = j * stride[1] + l * dilation[1] - padding[1];
  return { r, q, inside: r >= 0 && r < height && q >= 0 && q < width };
}

function inputAt({ r, q, inside }, c = state.c) {
  return inside ? data.input[inputChannel(c)][r * width + q] : 0;
}

function* taps() {
  for (let k = 0; k < kernel[0]; k++) for (let l = 0; l < kernel[1]; l++) yield [k, l];
}

// The chosen output pixel's patch in channel c: place, pixel, weight and product of every tap.
function patchOf(c = state.c) {
  return [...taps()].map(([k, l]) => {
    const place = placeOf(state.i, state.j, k, l), x = inputAt(place, c), w = weightAt(k, l, c);
    return { k, l, ...place, x, w, product: x * w };
  });
}

const sumOfChannel = (c) => patchOf(c).reduce((sum, tap) => sum + tap.product, 0);

// Gradients of one output pixel, or of the sum of all pixels of its channel, in the input and in the weights of channel c.
function gradients(c = state.c) {
  const toInput = new Float64Array(height * width), toWeight = new Float64Array(kernel[0] * kernel[1]);
  const pixels = state.mode === "all" ? Array.from({ length: outHeight * outWidth }, (_, n) => [Math.floor(n / outWidth), n % outWidth])
    : [[state.i, state.j]];
  for (const [i, j] of pixels) {
    for (const [k, l] of taps()) {
      const place = placeOf(i, j, k, l);
      if (place.inside) toInput[place.r * width + place.q] += weightAt(k, l, c); // += : patches overlap
      toWeight[k * kernel[1] + l] += inputAt(place, c);
    }
  }
  return { toInput, toWeight, toBias: pixels.length };
}

// Dots on a canvas, many at a time, and which of them is near a place.
// They are written as pixels by the processor, wherever the page is opened. Without a graphics card WebGL took thirty times as
// long for 100,000 of them, and a library for it, regl, builds its code from text, which the policy of the page forbids.

/** Dots at places in [0, 1] (NaN without one), with what is needed to draw and to find them. */
function makeDots(x, y) {
  const count = x.length;
  const cells = clamp(Math.ceil(Math.sqrt(count / 2)), 1, 512);
  const cell = (value) => Math.min(cells - 1, Math.floor(value * cells));
  const starts = new Uint32Array(cells * cells + 1), members = new Uint32Array(count);
  const where = (at) => cell(y[at]) * cells + cell(x[at]);
  for (let at = 0; at < count; at++) if (!isNaN(x[at])) starts[where(at) + 1]++;
  for (let at = 0; at < cells * cells; at++) starts[at + 1] += starts[at];
  const filled = starts.slice();
  for (let at = 0; at < count; at++) if (!isNaN(x[at])) members[filled[where(at)]++] = at;

  /** The dot nearest a place among those that are wanted, within a radius; -1 if there is none. */
  function nearest(u, v, radius, wanted) {
    let best = -1, closest = radius * radius;
    const [left, right, low, high] = [u - radius, u + radius, v - radius, v + radius].map((value) => cell(clamp(value, 0, 1)));
    for (let row = low; row <= high; row++) {
      for (let slot = starts[row * cells + left]; slot < starts[row * cells + right + 1]; slot++) {
        const at = members[slot], distance = (x[at] - u) ** 2 + (y[at] - v) ** 2;
        if (distance <= closest && wanted(at)) [best, closest] = [at, distance];
      }
    }
    return best;
  }

  /** The dots inside a polygon of [u, v], in ascending order: row of cells by row, asking only the edges that cross the row. */
  function inside(polygon) {
    const edges = polygon.map((end, at) => [...polygon.at(at - 1), ...end]);
    const [left, right] = [Math.min, Math.max].map((end) => cell(clamp(end(...polygon.map(([u]) => u)), 0, 1)));
    const [low, high] = [Math.min, Math.max].map((end) => cell(clamp(end(...polygon.map(([, v]) => v)), 0, 1)));
    const chosen = [];
    for (let row = low; row <= high; row++) {
      const [floor, ceiling] = [row / cells - 1e-9, row + 1 === cells ? Infinity : (row + 1) / cells + 1e-9];
      const near = Float64Array.from(edges.filter(([, ay, , by]) => Math.max(ay, by) >= floor && Math.min(ay, by) <= ceiling).flat());
      for (let slot = starts[row * cells + left]; slot < starts[row * cells + right + 1]; slot++) {
        const at = members[slot], u = x[at], v = y[at];
        let within = false;
        for (let edge = 0; edge < near.length; edge += 4) {
          const ax = near[edge], ay = near[edge + 1], bx = near[edge + 2], by = near[edge + 3];
          if (ay > v !== by > v && u < ((bx - ax) * (v - ay)) / (by - ay) + ax) within = !within;
        }
        if (within) chosen.push(at);
      }
    }
    return Uint32Array.from(chosen).sort();
  }

  return {x, y, count, nearest, inside};
}

let stamps = {};  // of dots by size: offsets into the pixels of one width, and how much of each pixel is covered

function stamp(size, width) {
  const key = `${size} ${width}`;
  if (!stamps[key]) {
    const radius = size / 2, reach = Math.ceil(radius), offsets = [], cover = [];
    for (let down = -reach; down <= reach; down++) {
      for (let across = -reach; across <= reach; across++) {
        const share = clamp(radius + 0.5 - Math.hypot(across, down), 0, 1);
        if (share > 0) { offsets.push(down * width + across); cover.push(Math.round(share * 225)); }
      }
    }
    stamps = {[key]: {reach, offsets: Int32Array.from(offsets), cover: Int32Array.from(cover)}, ...Object.fromEntries(Object.entries(stamps).slice(0, 7))};
  }
  return stamps[key];
}

/**
 * Draw dots into pixels (32 bits each, opaque). Their order is shuffled, so that no group lies on top of the others.
 * @param colours  Uint32Array, one per dot, as bytes red, green, blue from the lowest
 * @param wanted   Uint8Array: 1 for the dots to draw
 * @param view     {scale, left, top}: pixel = place * scale + left, and top - place * scale
 * @param turns    how many of them are looked at, evenly over all
 */
function drawDots(pixels, width, height, dots, colours, wanted, view, size, turns = dots.count) {
  const {reach, offsets, cover} = stamp(size, width), {x, y, count} = dots, {scale, left, top} = view;
  const step = strideFor(count);
  for (let turn = 0, at = 0; turn < turns; turn++, at += step, at -= at >= count ? count : 0) {
    if (!wanted[at]) continue;
    const across = Math.round(x[at] * scale + left), down = Math.round(top - y[at] * scale);
    if (!(across >= reach && down >= reach && across < width - reach && down < height - reach)) continue;
    const first = down * width + across, colour = colours[at];
    const red = colour & 255, green = (colour >> 8) & 255, blue = (colour >> 16) & 255;
    for (let pixel = 0; pixel < offsets.length; pixel++) {
      const place = first + offsets[pixel], under = pixels[place], share = cover[pixel];
      const r = under & 255, g = (under >> 8) & 255, b = (under >> 16) & 255;
      pixels[place] = (0xff000000 | ((b + (((blue - b) * share) >> 8)) << 16) | ((g + (((green - g) * share) >> 8)) << 8) | (r + (((red - r) * share) >> 8))) >>> 0;
    }
  }
}

/** A step through `count` places that meets each of them once, far from the last. */
function strideFor(count) {
  const divisor = (a, b) => (b ? divisor(b, a % b) : a);
  let step = Math.max(1, Math.round(count * 0.381966));
  while (divisor(step, count) > 1) step++;
  return Math.min(step, Math.max(1, count));
}

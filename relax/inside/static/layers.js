// The layers of the page: numbers packed as float16 or bytes become arrays, and arrays become pictures.

/** Numbers from the bits of float16. */
const HALVES = Float32Array.from({length: 65536}, (_, code) => {
  const power = (code >> 10) & 31, rest = code & 1023;
  const size = power === 31 ? (rest ? NaN : Infinity) : power ? (1 + rest / 1024) * 2 ** (power - 15) : rest * 2 ** -24;
  return code & 0x8000 ? -size : size;
});

const halves = async (packed) => Float32Array.from(await arrayOf(packed), (code) => HALVES[code] * packed.scale);
const maybe = (packed, read) => (packed ? read(packed) : null);

async function readLayer(source, place) {
  const data = JSON.parse(source.textContent), [rows, columns] = data.grid, cells = rows * columns;
  const [kept, values, energy, contrast, effect, mean, size, top, left, cosines] = await Promise.all([
    arrayOf(data.kept), halves(data.values), arrayOf(data.energy), arrayOf(data.contrast), maybe(data.effect, arrayOf),
    halves(data.mean), halves(data.size), maybe(data.rows, arrayOf), maybe(data.columns, arrayOf), maybe(data.cosines, arrayOf),
  ]);
  const factors = data.factors && {...data.factors, maps: await halves(data.factors.maps)};
  const heads = data.heads && {...data.heads, steps: await arrayOf(data.heads.steps)};
  const kernel = data.kernel && await readKernel(data.kernel);
  return {
    ...data, place, rows, columns, cells, kept, energy, contrast, effect, mean, size, factors, heads, kernel,
    edges: top && {rows: top, columns: left},
    /** Values of the channel at a place among those kept. */
    channel: (at) => values.subarray(at * cells, (at + 1) * cells),
    /** Cosine of two cells; null where they were not kept. */
    cosine(a, b) {
      if (!cosines) return null;
      if (a === b) return size[a] > 0 ? 1 : 0;
      const [low, high] = a < b ? [a, b] : [b, a];
      return (cosines[high * (high - 1) / 2 + low] - 127) / 127;
    },
  };
}

async function readKernel(data) {
  const [weight, bias, input] = await Promise.all([arrayOf(data.weight), arrayOf(data.bias), arrayOf(data.input)]);
  const [channels, high, wide] = data.shape, [height, width] = data.size;
  return {
    channels, high, wide,
    bias: (at) => bias[at],
    /** For each input channel the values, weights and products at a cell; 0 beyond the picture. */
    terms(at, row, column) {
      const size = high * wide;
      return Array.from({length: channels}, (_, channel) => {
        const start = (at * channels + channel) * size, values = new Float32Array(size);
        for (let y = 0; y < high; y++) {
          const from = row * data.stride[0] - data.padding[0] + y * data.dilation[0];
          for (let x = 0; x < wide; x++) {
            const across = column * data.stride[1] - data.padding[1] + x * data.dilation[1];
            if (from >= 0 && from < height && across >= 0 && across < width) values[y * wide + x] = input[(channel * height + from) * width + across];
          }
        }
        const weights = weight.subarray(start, start + size);
        return {values, weights, products: values.map((value, place) => value * weights[place])};
      });
    },
  };
}

/** The order of the channels kept: their places, the highest first. */
function ordered(layer, by) {
  const places = [...layer.kept.keys()], values = layer[by];
  if (by === "number" || !values) return places;
  return places.sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]) || a - b);
}

/** Numbers of the tokens whose attention is kept, by token: the nearest one that is. */
function queryOf(layer, token) {
  const {prefix, columns, heads} = layer;
  if (token < prefix) return token;
  const across = Math.ceil(columns / heads.step), cell = token - prefix;
  const nearest = (index, length) => Math.min(Math.round(index / heads.step), Math.ceil(length / heads.step) - 1);
  return prefix + nearest(Math.floor(cell / columns), layer.rows) * across + nearest(cell % columns, columns);
}

/** Shares of the attention that a token gives to all tokens, in one head; -1 is the mean of the heads. */
function attention(layer, head, token) {
  const {count, steps, largest} = layer.heads, tokens = layer.prefix + layer.cells;
  const kept = steps.length / count / tokens, row = queryOf(layer, token), shares = new Float32Array(tokens);
  for (const one of head < 0 ? Array.from({length: count}, (_, at) => at) : [head]) {
    const start = (one * kept + row) * tokens;
    for (let at = 0; at < tokens; at++) shares[at] += (steps[start + at] / 255) ** 2 * largest / (head < 0 ? count : 1);
  }
  return shares;
}

/** A number with three digits. */
const three = (value) => number(value, Math.abs(value) / 10);

// ---- Colours ----

function rangeOf(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  return {low, high};
}

/** The colours of values: from 0 upwards, or both ways from 0 where some are below. */
function scaleOf(values, limits) {
  const {low, high} = limits ? {low: limits[0], high: limits[1]} : rangeOf(values);
  if (low < 0) return {low: -Math.max(-low, high), high: Math.max(-low, high), table: TABLES.signed};
  return {low, high, table: TABLES.positive};
}

function colourOf(value, {low, high, table}) {
  const at = 3 * Math.round(255 * share(value, {low, high}));
  return [table[at], table[at + 1], table[at + 2]];
}

const css = ([red, green, blue]) => `rgb(${red} ${green} ${blue})`;

/** Values as a small canvas, one pixel a cell. */
const mapOf = (layer, values, scale) => coloured(layer.columns, layer.rows, (at) => [...colourOf(values[at], scale), 255]);

const PARTS = [[0, 114, 178], [230, 159, 0], [0, 158, 115], [204, 121, 167], [86, 180, 233], [213, 94, 0], [240, 228, 66], [140, 140, 140]];

/** Each cell in the colour of its strongest part, the paler the weaker; of PCA, three components as red, green and blue. */
function partsOf(layer) {
  const {maps, shares, method} = layer.factors, count = shares.length;
  const map = (part) => maps.subarray(part * layer.cells, (part + 1) * layer.cells);
  if (method === "pca") {
    const ends = Array.from({length: Math.min(3, count)}, (_, part) => rangeOf(map(part)));
    return coloured(layer.columns, layer.rows, (at) => [0, 1, 2].map((part) => (ends[part] ? Math.round(255 * share(map(part)[at], ends[part])) : 128)).concat(255));
  }
  let largest = 0;
  for (const value of maps) largest = Math.max(largest, value);
  return coloured(layer.columns, layer.rows, (at) => {
    let best = 0;
    for (let part = 1; part < count; part++) if (map(part)[at] > map(best)[at]) best = part;
    return [...PARTS[best % PARTS.length], Math.round(255 * Math.sqrt(largest > 0 ? map(best)[at] / largest : 0))];
  });
}

// What can lie over the picture: a channel, parts, attention, alike cells. Each is a list to choose from, values and words.

const percent = (value) => `${Number((100 * value).toPrecision(2))} %`;
const placed = (layer, cell) => `row ${Math.floor(cell / layer.columns)}, column ${cell % layer.columns}`;

function largest(values) {
  let best = 0;
  for (let at = 1; at < values.length; at++) if (values[at] > values[best]) best = at;
  return best;
}

const KINDS = {
  channel: {
    known: () => true,
    title: (layer) => (layer.kept.length < layer.channels ? `${layer.kept.length} of ${layer.channels} channels` : `${layer.channels} channels`),
    note: (layer) => (layer.effect ? `Effect: by how much the cosine of the embedding to itself falls where the channel is set to ${RESET[layer.reset]}${PAGE.effect === "gradient" ? "; to leading order, from gradients" : ""}.` : ""),
    items: (layer, state) => ordered(layer, state.sort),
    name: (layer, at) => `channel ${layer.kept[at]}`,
    values: (layer, at) => layer.channel(at),
    about: (layer, at, state) => {
      const by = layer[state.sort] ? state.sort : "energy";
      return `${by} ${three(layer[by][at])}`;
    },
    unit: "the network’s own unit",
    read(layer, at, cell) {
      const values = layer.channel(at), [rank] = [values.filter((value) => value > values[cell]).length + 1];
      return [["Value", three(values[cell]), true], ["Rank", `${rank} of ${layer.cells} cells in this channel`],
        ["All channels", `mean ${three(layer.mean[cell])}, root mean square ${three(layer.size[cell])} in this cell`]];
    },
  },
  parts: {
    known: (layer) => Boolean(layer.factors),
    title: (layer) => (layer.factors.method === "nmf" ? `${layer.factors.shares.length} parts (NMF)` : `${layer.factors.shares.length} components (PCA)`),
    note: (layer) => (layer.factors.method === "nmf"
      ? "Parts that add up to the activations, none below 0; all parts: each cell in the colour of its strongest."
      : "Directions along which the cells differ most; all components: the first three as red, green and blue.") + (layer.factors.note && ` Note: ${layer.factors.note}.`),
    items: (layer) => [-1, ...layer.factors.shares.keys()],
    name: (layer, at) => (at < 0 ? (layer.factors.method === "nmf" ? "all parts" : "first three components") : `${layer.factors.method === "nmf" ? "part" : "component"} ${at + 1}`),
    values: (layer, at) => (at < 0 ? null : layer.factors.maps.subarray(at * layer.cells, (at + 1) * layer.cells)),
    picture: (layer, at) => (at < 0 ? partsOf(layer) : null),
    colour: (layer, at) => (layer.factors.method === "nmf" && at >= 0 ? PARTS[at % PARTS.length] : null),
    about: (layer, at) => (at < 0 ? "together" : `${percent(layer.factors.shares[at])} · channels ${layer.factors.channels[at].slice(0, 3).join(", ")}`),
    unit: "how much of it the cell has",
    read(layer, at, cell) {
      const all = [...layer.factors.shares.keys()].map((part) => layer.factors.maps[part * layer.cells + cell]);
      const of = at < 0 ? largest(all.map(Math.abs)) : at;
      return [[KINDS.parts.name(layer, of), three(all[of]), true], ["All", all.map((value) => three(value)).join(", ")]];
    },
  },
  attention: {
    known: (layer) => Boolean(layer.heads),
    title: (layer) => `${layer.heads.count} heads`,
    note: (layer) => `Where a token gives its attention: shares of 1 over all ${layer.prefix + layer.cells} tokens${layer.heads.step > 1 ? `; kept for one patch in ${layer.heads.step} along rows and columns, others show the nearest` : ""}.`,
    items: (layer) => [-1, ...Array.from({length: layer.heads.count}, (_, head) => head)],
    name: (layer, at) => (at < 0 ? "mean of the heads" : `head ${at}`),
    values: (layer, at, state, cell) => attention(layer, at, state.query < 0 ? layer.prefix + cell : state.query).subarray(layer.prefix),
    about(layer, at, state, cell) {
      const shares = attention(layer, at, state.query < 0 ? layer.prefix + cell : state.query);
      return layer.prefix ? `${percent(shares.subarray(0, layer.prefix).reduce((sum, value) => sum + value, 0))} to other tokens` : `at most ${percent(shares[largest(shares)])}`;
    },
    follows: (state) => state.query < 0,
    unit: "share of the attention",
    text: percent,
    read(layer, at, cell, state) {
      const from = state.query < 0 ? layer.prefix + cell : state.query;
      const shares = attention(layer, at, from), patches = shares.subarray(layer.prefix), best = largest(patches);
      const rows = [["To this cell", percent(patches[cell]), true], ["Most", `${percent(patches[best])} to ${placed(layer, best)}`]];
      if (layer.prefix) rows.push(["Prefix", `${Array.from(shares.subarray(0, layer.prefix), percent).join(", ")} to the tokens before the patches`]);
      return rows;
    },
  },
  alike: {
    known: (layer) => layer.cosine(0, 0) !== null,
    title: () => "Alike cells",
    note: () => "Cosine of all channels in the cell under the pointer to those in every other cell: 1 is the same direction.",
    items: () => [0],
    name: () => "cosine to the cell",
    values: (layer, at, state, cell) => Float32Array.from({length: layer.cells}, (_, other) => layer.cosine(cell, other)),
    about: () => "of all channels",
    limits: [-1, 1],
    follows: () => true,
    unit: "cosine of all channels",
    read(layer, at, cell) {
      const values = KINDS.alike.values(layer, at, null, cell);
      values[cell] = -2;
      const best = largest(values);
      return [["Closest cell", `${values[best].toFixed(2)}`, true], ["There", placed(layer, best)], ["Mean", `${(values.reduce((sum, value) => sum + value, 2) / (layer.cells - 1)).toFixed(2)} to all other cells`]];
    },
  },
};

const RESET = {mean: "its mean over the cells", zero: "0 in all cells, as its mean changes nothing here"};

// One layer at a time: what lies over the picture, what is under the pointer, and where that comes from.

const PAGE = JSON.parse(document.querySelector("script.inside").textContent);
const BATCH = 48;  // thumbnails before a button for more
const FIGURES = 5;  // kernels up to so many columns show their numbers, larger ones their colours

async function start() {
  const layers = await Promise.all([...document.querySelectorAll("script.layer")].map(readLayer));
  const photo = await photograph(PAGE.image);
  const canvas = $("canvas"), pen = canvas.getContext("2d");
  const state = {place: 0, kind: "channel", sort: "energy", query: -1, chosen: {}, point: [0.5, 0.5], held: false, steering: false, count: BATCH};
  const mark = makeFlow(PAGE, layers, open);
  const grey = drawing(photo.width, photo.height, (ink) => greyed(ink, photo, photo.width, photo.height));
  let overlay = null;

  const layer = () => layers[state.place];
  const kind = () => KINDS[state.kind];
  const cell = () => {
    const {rows, columns} = layer(), [y, x] = state.point;
    return [clamp(Math.floor(y * rows), 0, rows - 1), clamp(Math.floor(x * columns), 0, columns - 1)];
  };
  const index = () => cell()[0] * layer().columns + cell()[1];
  /** What is chosen of a kind in a layer: at first the first of its list. */
  const chosen = () => state.chosen[`${state.place} ${state.kind}`] ?? kind().items(layer(), state)[0];

  // -- Words and lists --

  function open(place) {
    state.place = place;
    state.count = BATCH;
    if (!kind().known(layer())) state.kind = "channel";
    const {name, kind: type, channels, rows, columns, prefix} = layer();
    $("layer-title").firstChild.textContent = name;
    $("place").textContent = `${place + 1} of ${layers.length}`;
    const tokens = prefix ? `, after ${prefix} token${prefix > 1 ? "s" : ""} without a place` : "";
    $("facts").textContent = `${type} · ${channels.toLocaleString("en")} channels of ${rows} × ${columns} cells${tokens} · ${fieldInWords()}`;
    for (const radio of document.getElementsByName("kind")) {
      radio.disabled = !KINDS[radio.value].known(layer());
      radio.checked = radio.value === state.kind;
      radio.parentElement.title = radio.disabled ? "This layer has none" : "";
    }
    mark(place);
    list();
    paint();
  }

  function fieldInWords() {
    const {edges, rows, columns} = layer();
    if (!edges) return "which pixels a cell sees is not known";
    const [top, bottom] = edges.rows.subarray(2 * (rows >> 1)), [left, right] = edges.columns.subarray(2 * (columns >> 1));
    const whole = bottom - top >= PAGE.size[0] && right - left >= PAGE.size[1];
    return whole ? "the middle cell sees the whole view" : `the middle cell sees ${bottom - top} × ${right - left} px of the view`;
  }

  function list() {
    const {title, note, items} = kind(), all = items(layer(), state);
    $("choose-title").textContent = title(layer());
    $("choose-note").textContent = note(layer());
    $("sort-field").hidden = $("find-field").hidden = state.kind !== "channel";
    $("query-field").hidden = state.kind !== "attention";
    $("number").max = layer().channels - 1;
    const orders = ["energy", "contrast", ...(layer().effect ? ["effect"] : []), "number"];
    $("sort").replaceChildren(...orders.map((name) => Object.assign(element("option", name), {value: name, selected: name === state.sort})));
    const tokens = Array.from({length: layer().prefix}, (_, token) => [token, token ? `token ${token}, before the patches` : "the first token (class)"]);
    if (state.query >= layer().prefix) state.query = -1;
    $("query").replaceChildren(...[[-1, "the cell under the pointer"], ...tokens].map(([value, words]) => Object.assign(element("option", words), {value, selected: value === state.query})));
    $("thumbs").replaceChildren(...all.slice(0, state.count).map(thumbnail));
    $("more").hidden = all.length <= state.count;
    $("more").textContent = `Show ${Math.min(4 * BATCH, all.length - state.count)} more of ${all.length}`;
  }

  function thumbnail(at) {
    const {name, about, colour} = kind();
    const surface = small(at), choice = button("", () => choose(at));
    surface.ariaHidden = "true";
    surface.style.setProperty("--shape", layer().columns / layer().rows);
    choice.dataset.at = at;
    choice.ariaPressed = String(at === chosen());
    const dot = colour?.(layer(), at);
    const title = element("span", name(layer(), at)), words = element("span", about(layer(), at, state, index()));
    if (dot) { title.prepend(element("i")); title.firstChild.style.background = css(dot); }
    words.className = "pale";
    choice.append(surface, title, words);
    return element("li", choice);
  }

  /** The picture of one item, one pixel a cell. */
  function small(at) {
    const {picture, values, limits} = kind(), drawn = picture?.(layer(), at);
    if (drawn) return drawn;
    const shown = values(layer(), at, state, index());
    return mapOf(layer(), shown, scaleOf(shown, limits));
  }

  function choose(at) {
    state.chosen[`${state.place} ${state.kind}`] = at;
    for (const choice of $("thumbs").querySelectorAll("button")) choice.ariaPressed = String(Number(choice.dataset.at) === at);
    paint();
    say(`${kind().name(layer(), at)}: ${kind().about(layer(), at, state, index())}`);
  }

  // -- Picture --

  function paint() {
    const {width, height} = photo, larger = 960 / Math.max(width, height), at = chosen();
    canvas.width = Math.max(1, Math.round(width * larger));
    canvas.height = Math.max(1, Math.round(height * larger));
    document.querySelector(".frame").style.setProperty("--shape", canvas.width / canvas.height);
    overlay = small(at);
    $("shown").textContent = `${kind().name(layer(), at)} in ${layer().name}`;
    const values = kind().values(layer(), at, state, index());
    document.querySelector(".scale").hidden = !values;
    if (values) bar(scaleOf(values, kind().limits));
    blend();
    read();
  }

  function blend() {
    const opacity = $("opacity").valueAsNumber;
    $("opacity-value").textContent = `${opacity} %`;
    pen.globalAlpha = 1;
    pen.drawImage(opacity ? grey : photo, 0, 0, canvas.width, canvas.height);
    pen.globalAlpha = opacity / 100;
    pen.imageSmoothingEnabled = false;
    pen.drawImage(overlay, 0, 0, canvas.width, canvas.height);
    pen.imageSmoothingEnabled = true;
  }

  function bar(scale) {
    const image = new ImageData(256, 1);
    for (let at = 0; at < 256; at++) image.data.set([...scale.table.subarray(3 * at, 3 * at + 3), 255], 4 * at);
    $("bar").getContext("2d").putImageData(image, 0, 0);
    const span = scale.high - scale.low;
    [$("low").textContent, $("high").textContent] = [number(scale.low, span / 10), number(scale.high, span / 10)];
    $("unit").textContent = `${kind().unit}${kind().limits ? "" : "; colours span this map alone"}`;
  }

  // -- What is under the pointer --

  function read(aloud = false) {
    const [row, column] = cell(), {rows, columns, edges, kernel} = layer(), at = chosen();
    const lines = kind().read(layer(), at, index(), state);
    lines.push(["Cell", `row ${row}, column ${column} of ${rows} × ${columns}, from 0`]);
    if (edges) {
      const [top, bottom] = edges.rows.subarray(2 * row), [left, right] = edges.columns.subarray(2 * column);
      const whole = bottom - top >= PAGE.size[0] && right - left >= PAGE.size[1];
      lines.push(["It sees", bottom > top ? (whole ? "the whole view" : `rows ${top} to ${bottom - 1}, columns ${left} to ${right - 1} of the view`) : "no pixel"]);
      lay($("field"), [top / PAGE.size[0], left / PAGE.size[1], bottom / PAGE.size[0], right / PAGE.size[1]]);
    }
    $("field").hidden = !edges;
    lay($("cell"), [row / rows, column / columns, (row + 1) / rows, (column + 1) / columns]);
    $("readout").replaceChildren(...lines.flatMap(([name, words, large]) => {
      const value = element("dd", words);
      value.classList.toggle("large", Boolean(large));
      return [element("dt", name), value];
    }));
    around(row, column, at);
    $("products").hidden = !(kernel && state.kind === "channel");
    if (kernel && state.kind === "channel") products(kernel, at, row, column);
    if (aloud) say(lines.map(([name, words]) => `${name}: ${words}`).join("; "));
  }

  const lay = (node, [top, left, bottom, right]) => Object.assign(node.style, {
    top: `${100 * top}%`, left: `${100 * left}%`, height: `${100 * (bottom - top)}%`, width: `${100 * (right - left)}%`});

  /** The values of three rows by three columns around the cell. */
  function around(row, column, at) {
    const values = kind().values(layer(), at, state, index()), {rows, columns} = layer();
    $("around").hidden = !values || rows * columns < 2;
    if ($("around").hidden) return;
    $("around").tBodies[0].replaceChildren(...[-1, 0, 1].map((down) => element("tr", ...[-1, 0, 1].map((across) => {
      const [y, x] = [row + down, column + across], inside = y >= 0 && y < rows && x >= 0 && x < columns;
      const box = element("td", inside ? (kind().text ?? three)(values[y * columns + x]) : "–");
      box.classList.toggle("middle", !down && !across);
      return box;
    }))));
  }

  /** The products of pixels and weights that add up to the number. */
  function products(kernel, at, row, column) {
    const terms = kernel.terms(at, row, column), names = kernel.channels === 3 ? ["red", "green", "blue"] : ["grey"];
    const sums = terms.map((term) => term.products.reduce((sum, value) => sum + value, 0));
    const total = sums.reduce((sum, value) => sum + value, kernel.bias(at));
    const parts = sums.map((sum, channel) => `${three(sum)} (${names[channel] ?? `input ${channel}`})`).join(" + ");
    $("sum").textContent = `${kernel.high} × ${kernel.wide} values of each colour, normalised, times weights: ${parts} + ${three(kernel.bias(at))} (bias) = ${three(total)}.`;
    const all = ["values", "weights", "products"].map((name) => scaleOf(terms.flatMap((term) => [...term[name]])));
    $("terms").replaceChildren(...terms.map((term, channel) => {
      const row = element("div", ...["values", "weights", "products"].flatMap((name, place) => [
        ...(place ? [element("span", "× ="[2 * place - 2])] : []),
        element("figure", grid(kernel, term[name], all[place]), element("figcaption", name)),
      ]));
      row.className = "row";
      return element("div", element("h4", `${names[channel] ?? `input ${channel}`}: ${three(sums[channel])}`), row);
    }));
  }

  function grid({high, wide}, values, scale) {
    if (wide > FIGURES) {
      const surface = coloured(wide, high, (at) => [...colourOf(values[at], scale), 255]);
      surface.ariaHidden = "true";
      return surface;
    }
    const rows = Array.from({length: high}, (_, y) => element("tr", ...Array.from(values.subarray(y * wide, (y + 1) * wide), (value) => {
      const box = element("td", fixed(value, Math.abs(value) < 10 ? 3 : 1)), colour = colourOf(value, scale);
      Object.assign(box.style, {background: css(colour), color: 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 140 ? "#000" : "#fff"});
      return box;
    })));
    return element("table", element("tbody", ...rows));
  }

  // -- Pointer and keys --

  function move([y, x], aloud) {
    const before = index();
    state.point = [clamp(y, 0, 1 - 1e-6), clamp(x, 0, 1 - 1e-6)];
    if (kind().follows?.(state) && index() !== before) {
      overlay = small(chosen());
      blend();
      for (const choice of $("thumbs").querySelectorAll("button")) choice.parentElement.replaceWith(thumbnail(Number(choice.dataset.at)));
    }
    read(aloud);
  }

  function pointed(event) {
    const box = canvas.getBoundingClientRect();
    move([(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width]);
  }

  function hold(on) {
    state.held = on;
    document.querySelector(".frame").classList.toggle("held", on);
    steer(state.steering);
  }

  function steer(on) {
    state.steering = on;
    document.querySelector(".viewer").classList.toggle("steering", on);
    $("keys").textContent = on
      ? "Arrow keys move from cell to cell, with Shift in larger steps; Esc ends."
      : state.held ? "Held: click the picture to let go. The dashed frame is what the cell sees."
        : "Point at the picture, click to hold the cell. The dashed frame is what it sees. Keys: Enter on the picture, then arrow keys.";
  }

  canvas.addEventListener("pointermove", (event) => { if (!state.held && event.pointerType !== "touch") pointed(event); });
  canvas.addEventListener("click", (event) => {
    if (!state.held || event.pointerType === "touch") pointed(event);
    if (event.pointerType !== "touch") hold(!state.held);
  });
  const moves = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]};
  canvas.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const way = moves[event.key];
    if (event.key === "Enter" || event.key === " ") steer(!state.steering);
    else if (event.key === "Escape" && state.steering) steer(false);
    else if (way && state.steering) {
      const step = event.shiftKey ? 5 : 1, {rows, columns} = layer(), [row, column] = cell();
      move([(clamp(row + step * way[0], 0, rows - 1) + 0.5) / rows, (clamp(column + step * way[1], 0, columns - 1) + 0.5) / columns], true);
    } else return;
    event.preventDefault();
  });
  canvas.addEventListener("blur", () => steer(false));

  const turn = (by) => { open((state.place + by + layers.length) % layers.length); say(`${layer().name}, ${$("place").textContent}`); };
  $("previous").addEventListener("click", () => turn(-1));
  $("next").addEventListener("click", () => turn(1));
  $("opacity").addEventListener("input", blend);
  $("sort").addEventListener("change", () => { state.sort = $("sort").value; list(); paint(); });
  $("query").addEventListener("change", () => { state.query = Number($("query").value); list(); paint(); });
  $("more").addEventListener("click", () => { state.count += 4 * BATCH; list(); });
  $("number").addEventListener("change", () => {
    const at = layer().kept.indexOf($("number").valueAsNumber);
    $("number").setCustomValidity(at < 0 ? "This page has no such channel of the layer" : "");
    if (at >= 0) choose(at);
    $("number").reportValidity();
  });
  for (const radio of document.getElementsByName("kind")) radio.addEventListener("change", () => { state.kind = radio.value; state.count = BATCH; list(); paint(); });

  steer(false);
  $("flow-note").textContent = PAGE.left_out;
  $("layer").hidden = false;
  open(0);
  document.documentElement.dataset.ready = "";
}

start();

"use strict";
// The page's only script: tables that sort, and the viewer of the gallery.
// All content of the report enters the page as text, never as HTML.

const $ = (id) => document.getElementById(id);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

// ---- Numbers, as in the figures (relax/text.py) ----

/** Decimals that show two digits of a step. */
const decimals = (step) => (step > 0 ? 1 - Math.floor(Math.log10(step)) : 6);

/** Enough digits to tell apart values `step` apart; powers of ten when tiny or huge. */
function number(value, step) {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 1e-3 || size >= 1e5) {
    const digits = step > 0 ? Math.floor(Math.log10(size)) - Math.floor(Math.log10(step)) + 1 : 2;
    const [mantissa, power] = value.toExponential(clamp(digits, 1, 8)).split("e");
    const raised = [...String(Number(power))].map((sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)]);
    return minus(`${mantissa}×10${raised.join("")}`);
  }
  return fixed(value, decimals(step));
}

const fixed = (value, digits) => minus(value.toFixed(clamp(digits, 0, 8)));
const minus = (text) => text.replace("-", "−");

/** Value and error with the digits that the error justifies. */
function withError(value, error) {
  const digits = decimals(error);
  return error > 0 && digits <= 8 && Math.abs(value) < 1e5
    ? [fixed(value, digits), fixed(error, digits)]
    : [number(value, error), number(error, error)];
}

// ---- Tables ----

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.firstChild.addEventListener("click", () => {
    const way = head.ariaSort === "ascending" ? -1 : 1;
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.ariaSort = way > 0 ? "ascending" : "descending";
    const words = head.classList.contains("words");
    const key = (row) => row.cells[column].dataset.sort;
    const order = (a, b) => {
      if (key(a) === "" || key(b) === "") return (key(a) === "") - (key(b) === "");  // dashes come last in both directions
      return way * (words ? key(a).localeCompare(key(b), undefined, {numeric: true}) : key(a) - key(b));
    };
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
  }));
}

// ---- Collapsed details are printed, too ----

let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  folded.forEach((details) => { details.open = true; });
});
addEventListener("afterprint", () => folded.forEach((details) => { details.open = false; }));

// ---- Gallery ----

if ($("pictures")) gallery();

function gallery() {
  const viewer = document.querySelector(".viewer");
  const sources = [...document.querySelectorAll("script.exhibit")];
  const entries = [...document.querySelectorAll(".sheet button")];
  const code = JSON.parse(document.querySelector("script.colours").textContent);
  const tables = Object.fromEntries(Object.entries(code.tables).map(([name, text]) => [name, bytesOf(text)]));
  const canvas = $("canvas"), pen = canvas.getContext("2d");
  const names = {importance: "Importance", uncertainty: "Uncertainty", standard_error: "Standard error", u_relax: "U-RELAX"};

  let target = 0;      // index of the picture to show
  let current = null;  // the picture in the viewer: its data, its decoded maps, its photograph
  let layer = null;    // the map in colours, as drawn over the photograph
  let place = [0, 0];  // row and column of the map under the read-out
  let steering = false;  // whether arrow keys move the read-out instead of changing the picture

  // -- From text to maps --

  function bytesOf(text) {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  }

  /** The values of a map, row by row; NaN where there is none. */
  async function decoded(map, [rows, columns]) {
    const count = rows * columns, values = new Float64Array(count).fill(NaN);
    if (!map) return values;
    const stream = new Blob([bytesOf(map.steps)]).stream().pipeThrough(new DecompressionStream("deflate"));
    const planes = new Uint8Array(await new Response(stream).arrayBuffer());
    const steps = new Uint16Array(count);  // sums wrap around at 65,536, as the differences do
    for (let row = 0, at = 0; row < rows; row++) {
      let down = 0;
      for (let column = 0; column < columns; column++, at++) {
        down += planes[at] | (planes[count + at] << 8);
        steps[at] = down + (row ? steps[at - columns] : 0);
        if (steps[at] !== code.never) values[at] = map.low + (steps[at] / code.steps) * (map.high - map.low);
      }
    }
    return values;
  }

  async function photograph(address) {
    const image = new Image();
    image.src = address;
    await image.decode();
    return image;
  }

  async function show(number) {
    target = (number + sources.length) % sources.length;
    const index = target;
    const data = JSON.parse(sources[index].textContent);
    const kinds = Object.keys(data.maps);
    const [photo, ...maps] = await Promise.all(
      [photograph(data.image), ...kinds.map((kind) => decoded(data.maps[kind], data.grid))]);
    if (index !== target) return;  // another picture was requested meanwhile
    current = {data, photo, maps: Object.fromEntries(kinds.map((kind, at) => [kind, maps[at]]))};
    const peak = current.maps.importance.reduce((best, value, at, all) => (value > all[best] || isNaN(all[best]) ? at : best), 0);
    place = [Math.floor(peak / data.grid[1]), peak % data.grid[1]];
    describe(index);
    paint();
    read();
    viewer.dataset.shown = index + 1;
  }

  // -- Words --

  function describe(number) {
    const {data} = current;
    $("name").firstChild.textContent = data.title;
    $("place").textContent = `${number + 1} of ${sources.length}`;
    entries.forEach((entry, at) => entry.toggleAttribute("aria-current", at === number));
    for (const radio of document.getElementsByName("layer")) {
      const known = data.maps[radio.value === "u_relax" ? "uncertainty" : radio.value];
      radio.disabled = !known;
      radio.parentElement.title = known ? "" : "This picture has no such map";
    }
    $("recipe").textContent = data.recipe;
    $("how").textContent = data.how;
    $("notes").replaceChildren(...data.notes.flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
    $("neighbours").hidden = !data.neighbours.length;
    $("neighbours").lastElementChild.replaceChildren(...data.neighbours.map((neighbour) => {
      const image = element("img");
      image.src = neighbour.image;
      image.alt = "";
      const similarity = neighbour.similarity === null ? "undefined" : number4(neighbour.similarity);
      return element("li", image, element("bdi", neighbour.name), element("span", similarity));
    }));
  }

  const number4 = (value) => number(value, Math.abs(value) < 1 ? 0.01 : Math.abs(value) / 100);

  function element(name, ...content) {
    const node = document.createElement(name);
    node.append(...content);
    return node;
  }

  // -- Colours --

  /** Which map is drawn, and the range that its colours span. */
  function chosen() {
    const radio = document.querySelector("input[name=layer]:checked");
    const kind = radio.disabled ? "importance" : radio.value;
    const map = kind === "u_relax" ? "importance" : kind;
    const single = current.data.maps[map], shared = current.data.shared[map];
    const range = single && shared && $("shared").checked ? shared : single;
    return {kind, map, single, shared, range, values: current.maps[map], table: tables[map]};
  }

  const share = (value, {low, high}) => (high > low ? clamp((value - low) / (high - low), 0, 1) : 0.5);

  /** Whether U-RELAX keeps a pixel. */
  const certain = (at) => current.maps.uncertainty[at] <= current.data.limit;

  /** A small canvas from a function that gives red, green, blue and opacity of each pixel of the map. */
  function sheet(colour) {
    const [rows, columns] = current.data.grid;
    const image = new ImageData(columns, rows);
    for (let at = 0; at < rows * columns; at++) image.data.set(colour(at), 4 * at);
    return drawing(columns, rows, (ink) => ink.putImageData(image, 0, 0));
  }

  function drawing(width, height, draw) {
    const surface = Object.assign(document.createElement("canvas"), {width, height});
    draw(surface.getContext("2d"));
    return surface;
  }

  function paint() {
    const {photo, data, maps} = current;
    const larger = 960 / Math.max(photo.width, photo.height);
    canvas.width = Math.max(1, Math.round(photo.width * larger));
    canvas.height = Math.max(1, Math.round(photo.height * larger));
    const pick = chosen();
    const {kind, values, table, range} = pick;
    const clear = [0, 0, 0, 0];
    const colours = sheet((at) => {
      if (isNaN(values[at]) || (kind === "u_relax" && !certain(at))) return clear;
      const place = 3 * Math.round(255 * share(values[at], range));
      return [table[place], table[place + 1], table[place + 2], 255];
    });
    const unknown = sheet((at) => (isNaN(kind === "u_relax" ? maps.importance[at] : values[at]) ? [0, 0, 0, 255] : clear));
    layer = drawing(canvas.width, canvas.height, (ink) => {
      if (kind === "u_relax") greyed(ink);
      ink.drawImage(colours, 0, 0, canvas.width, canvas.height);
      ink.drawImage(hatched(unknown), 0, 0);
    });
    document.querySelector(".frame").style.setProperty("--shape", canvas.width / canvas.height);
    blend();
    bar(pick);
  }

  /** The photograph in pale grey, so that none of its colours can be mistaken for a value. */
  function greyed(ink) {
    ink.drawImage(current.photo, 0, 0, canvas.width, canvas.height);
    const image = ink.getImageData(0, 0, canvas.width, canvas.height), {data} = image;
    for (let at = 0; at < data.length; at += 4) {
      const grey = 110 + (0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2]) * (135 / 255);
      data.fill(grey, at, at + 3);
    }
    ink.putImageData(image, 0, 0);
  }

  /** Hatching where there is no value. */
  function hatched(where) {
    return drawing(canvas.width, canvas.height, (ink) => {
      ink.imageSmoothingEnabled = false;
      ink.drawImage(where, 0, 0, canvas.width, canvas.height);
      ink.globalCompositeOperation = "source-atop";
      ink.fillStyle = "#e4e4e4";
      ink.fillRect(0, 0, canvas.width, canvas.height);
      ink.strokeStyle = "#a8a8a8";
      ink.lineWidth = 1.5;
      ink.beginPath();
      for (let left = -canvas.height; left < canvas.width; left += 12) {
        ink.moveTo(left, canvas.height);
        ink.lineTo(left + canvas.height, 0);
      }
      ink.stroke();
    });
  }

  /** The photograph, and over it the map with the opacity of the slider. */
  function blend() {
    const opacity = $("opacity").valueAsNumber;
    $("opacity-value").textContent = `${opacity} %`;
    pen.globalAlpha = 1;
    pen.drawImage(current.photo, 0, 0, canvas.width, canvas.height);
    pen.globalAlpha = opacity / 100;
    pen.drawImage(layer, 0, 0);
  }

  function bar({kind, map, single, shared, range, table}) {
    const {limit, units} = current.data;
    const strip = new ImageData(256, 1);
    for (let at = 0; at < 256; at++) strip.data.set([...table.subarray(3 * at, 3 * at + 3), 255], 4 * at);
    $("bar").getContext("2d").putImageData(strip, 0, 0);
    const {low, high} = range ?? {low: NaN, high: NaN};
    const ends = range ? (low < high ? [low, (low + high) / 2, high] : ["", low, ""]) : ["", "nowhere defined", ""];
    ["low", "middle", "high"].forEach((id, at) => {
      $(id).textContent = typeof ends[at] === "number" ? number(ends[at], high - low) : ends[at];
    });
    const where = kind === "u_relax" ? `, where the uncertainty is at most ${number(limit, limit)} (its median)` : "";
    $("unit").textContent = units[map] + where;
    $("spans").textContent = range !== single ? `Colours span all ${range.pictures} pictures` : "Colours span the range of this picture";
    document.querySelector(".shared").hidden = !shared;
    if (shared) $("shared-label").textContent = `One colour scale for all ${shared.pictures} pictures`;
  }

  // -- Read-out --

  /** Show the values at `place`; announce them, too, if keys moved it. */
  function read(aloud = false) {
    const {data, maps} = current, [rows, columns] = data.grid, [row, column] = place;
    const at = row * columns + column;
    const value = maps.importance[at], error = maps.standard_error[at], spread = maps.uncertainty[at];
    const seen = !isNaN(value);
    const [valueText, errorText] = isNaN(error) ? [seen ? number(value, rangeOf("importance") / 10) : "not seen by the encoder", ""] : withError(value, error);
    put("importance", value, valueText);
    put("standard-error", error, errorText);
    $("error-line").hidden = isNaN(error);
    put("uncertainty", spread, isNaN(spread) ? "–" : number(spread, rangeOf("uncertainty") / 10));
    const [y, x] = [row, column].map((index, axis) => Math.round((index + 0.5) * data.size[axis] / data.grid[axis] - 0.5));
    $("where").textContent = `x ${x}, y ${y} px`;
    const side = (data.size[1] / columns).toFixed(1);
    $("over").textContent = columns < data.size[1] ? `averages over ${side} × ${side} px` : "";
    const cursor = $("cursor"), {range, values} = chosen();
    cursor.style.left = `${100 * (column + 0.5) / columns}%`;
    cursor.style.top = `${100 * (row + 0.5) / rows}%`;
    $("mark").hidden = isNaN(values[at]);
    if (range) $("mark").style.left = `${100 * share(values[at], range)}%`;
    if (aloud) say(seen ? `importance ${valueText}${errorText && ` plus or minus ${errorText}`}, x ${x}, y ${y}` : `not seen by the encoder, x ${x}, y ${y}`);
  }

  const rangeOf = (map) => current.data.maps[map].high - current.data.maps[map].low;

  function put(id, value, text) {
    $(id).value = isNaN(value) ? "" : value;
    $(id).textContent = text;
  }

  let saying = 0;
  function say(text) {  // only once the read-out rests
    clearTimeout(saying);
    saying = setTimeout(() => { $("said").textContent = text; }, 200);
  }

  function point(event) {
    if (!current) return;
    const box = canvas.getBoundingClientRect(), [rows, columns] = current.data.grid;
    place = [
      clamp(Math.floor((event.clientY - box.top) / box.height * rows), 0, rows - 1),
      clamp(Math.floor((event.clientX - box.left) / box.width * columns), 0, columns - 1),
    ];
    read();
  }

  // -- Keys and pointer --

  function steer(on) {
    steering = on;
    viewer.classList.toggle("steering", on);
    $("keys").textContent = on
      ? "Arrow keys move the read-out, with Shift in larger steps; Esc ends."
      : "Point at the picture to read its values. Keys: ← → change the picture; Enter on the picture, then arrow keys, move the read-out.";
  }

  const moves = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]};

  /** Keys on the picture: the read-out. */
  canvas.addEventListener("keydown", (event) => {
    if (!current || event.altKey || event.ctrlKey || event.metaKey) return;
    const move = moves[event.key];
    if (event.key === "Enter" || event.key === " ") steer(!steering);
    else if (event.key === "Escape" && steering) steer(false);
    else if (move && steering) {
      const step = event.shiftKey ? 10 : 1;
      place = place.map((index, axis) => clamp(index + step * move[axis], 0, current.data.grid[axis] - 1));
    } else return;
    event.preventDefault();
    event.stopPropagation();
    read(true);
  });
  canvas.addEventListener("blur", () => steer(false));
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point);

  /** Keys in the rest of the gallery: the pictures. */
  $("pictures").addEventListener("keydown", (event) => {
    const move = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    const taken = event.target.closest("input, .sheet, pre") || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey;
    if (!move || taken) return;
    event.preventDefault();
    turn(move);
  });

  async function turn(by) {
    await show(target + by);
    say(`${current.data.title}, ${$("place").textContent}`);
  }

  $("previous").addEventListener("click", () => turn(-1));
  $("next").addEventListener("click", () => turn(1));
  $("opacity").addEventListener("input", () => current && blend());
  for (const choice of [...document.getElementsByName("layer"), $("shared")]) {
    choice.addEventListener("change", () => { if (current) { paint(); read(); } });
  }
  entries.forEach((entry, at) => entry.addEventListener("click", async () => {
    await show(at);
    $("pictures").scrollIntoView({block: "start"});
    canvas.focus({preventScroll: true});
  }));

  if (sources.length === 1) viewer.classList.add("alone");
  steer(false);
  viewer.hidden = false;
  show(0);
}

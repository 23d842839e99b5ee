// The viewer of one picture: its map over the photograph, and the values under the pointer or moved by keys.

/**
 * @param pictures  as of readPictures
 * @param order     from nothing to the numbers of the pictures that the arrows go through
 */
function makeViewer(pictures, order) {
  const viewer = document.querySelector(".viewer");
  const sources = [...document.querySelectorAll("script.exhibit")];
  const entries = [...document.querySelectorAll(".sheet button")];
  const canvas = $("canvas"), pen = canvas.getContext("2d");
  const dialog = $("lightbox"), home = viewer.parentElement, next = viewer.nextElementSibling;

  let target = 0;      // number of the picture to show
  let current = null;  // the picture in the viewer: its number, its data, its decoded maps, its photograph
  let layer = null;    // the map in colours, as drawn over the photograph
  let place = [0, 0];  // row and column of the map under the read-out
  let steering = false;  // whether arrow keys move the read-out instead of changing the picture

  async function show(picture) {
    target = picture;
    const source = sources[pictures.exhibit[picture]];
    const data = source ? JSON.parse(source.textContent) : null;
    const kinds = Object.keys(data?.maps ?? {});
    const photo = data ? photograph(data.image) : pictures.draw(picture).ready;
    const raw = data?.values ? decoded(data.values, data.values.grid) : null;
    const [drawn, values, ...maps] = await Promise.all([photo, raw, ...kinds.map((kind) => decoded(data.maps[kind], data.grid))]);
    if (picture !== target) return;  // another picture was requested meanwhile
    current = {picture, data, photo: drawn, values, maps: Object.fromEntries(kinds.map((kind, at) => [kind, maps[at]]))};
    if (values && pictures.windowed) current.photo = pictures.windowed(values, data.values.grid);
    viewer.classList.toggle("plain", !data);
    if (data) {
      const peak = current.maps.importance.reduce((best, value, at, all) => (value > all[best] || isNaN(all[best]) ? at : best), 0);
      place = [Math.floor(peak / data.grid[1]), peak % data.grid[1]];
    }
    describe();
    paint();
    read();
    viewer.dataset.shown = picture + 1;
    viewer.dispatchEvent(new CustomEvent("shown", {detail: picture}));
  }

  // -- Words --

  function describe() {
    const {data, picture} = current, list = order();
    $("name").firstChild.textContent = data?.title ?? pictures.names[picture];
    const at = list.indexOf(picture);
    $("place").textContent = at < 0 ? `– of ${list.length.toLocaleString("en")}` : `${(at + 1).toLocaleString("en")} of ${list.length.toLocaleString("en")}`;
    for (const entry of document.querySelectorAll(".sheet [aria-current]")) entry.removeAttribute("aria-current");
    entries[pictures.exhibit[picture]]?.setAttribute("aria-current", "true");
    for (const radio of document.getElementsByName("layer")) {
      const known = data?.maps[radio.value === "u_relax" ? "uncertainty" : radio.value];
      radio.disabled = !known;
      radio.parentElement.title = known ? "" : "This picture has no such map";
    }
    $("recipe").textContent = data?.recipe ?? "";
    $("how").textContent = data?.how ?? "";
    const notes = [...pictures.columns.map((column) => [column.name, column.text(picture)]), ...(data?.notes ?? [])];
    $("notes").replaceChildren(...notes.flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
    describeNeighbours();
    describeTags();
  }

  function describeNeighbours() {
    const own = current.data?.neighbours ?? [];
    const near = pictures.linked ? [] : pictures.nearest(current.picture);  // of two spaces, the maps show them
    const items = own.length ? own.map(neighbourOfExhibit) : near.slice(0, 6).map(neighbourOfCollection);
    $("neighbours").hidden = !items.length;
    $("neighbours").lastElementChild.replaceChildren(...items);
  }

  function neighbourOfExhibit({name, similarity, image}) {
    const picture = Object.assign(element("img"), {src: image, alt: ""});
    return element("li", picture, element("bdi", name), element("span", similarity === null ? "undefined" : short(similarity)));
  }

  function neighbourOfCollection({picture, similarity}) {
    const inside = [pictures.draw(picture), element("bdi", pictures.names[picture]), element("span", short(similarity))];
    const link = button("", () => show(picture));
    link.append(...inside);
    return element("li", link);
  }

  function describeTags() {
    const {picture} = current;
    $("tags").replaceChildren(...pictures.tags.of(picture).map((word) => {
      const away = button("×", () => { pictures.tags.remove(picture, word); describeTags(); viewer.dispatchEvent(new Event("tagged")); });
      away.ariaLabel = `Remove the tag ${word}`;
      return element("li", element("bdi", word), away);
    }));
  }

  $("tag-one").addEventListener("submit", (event) => {
    event.preventDefault();
    const word = $("tag-word").value.trim();
    if (!word || !current) return;
    pictures.tags.add([current.picture], word);
    $("tag-word").value = "";
    describeTags();
    viewer.dispatchEvent(new Event("tagged"));
  });

  // -- Colours --

  /** Which map is drawn, and the range that its colours span. */
  function chosen() {
    const radio = document.querySelector("input[name=layer]:checked");
    const kind = radio.disabled ? "importance" : radio.value;
    const map = kind === "u_relax" ? "importance" : kind;
    const single = current.data.maps[map], shared = current.data.shared[map];
    const range = single && shared && $("shared").checked ? shared : single;
    return {kind, map, single, shared, range, values: current.maps[map], table: TABLES[map]};
  }

  /** Whether U-RELAX keeps a pixel. */
  const certain = (at) => current.maps.uncertainty[at] <= current.data.limit;

  function paint() {
    const {photo, data, maps} = current;
    const larger = 960 / Math.max(photo.width, photo.height);
    canvas.width = Math.max(1, Math.round(photo.width * larger));
    canvas.height = Math.max(1, Math.round(photo.height * larger));
    document.querySelector(".frame").style.setProperty("--shape", canvas.width / canvas.height);
    layer = null;
    if (data) {
      const pick = chosen(), {kind, values, table, range} = pick, [rows, columns] = data.grid;
      const clear = [0, 0, 0, 0];
      const colours = coloured(columns, rows, (at) => {
        if (isNaN(values[at]) || (kind === "u_relax" && !certain(at))) return clear;
        const place = 3 * Math.round(255 * share(values[at], range));
        return [table[place], table[place + 1], table[place + 2], 255];
      });
      const unknown = coloured(columns, rows, (at) => (isNaN(kind === "u_relax" ? maps.importance[at] : values[at]) ? [0, 0, 0, 255] : clear));
      layer = drawing(canvas.width, canvas.height, (ink) => {
        if (kind === "u_relax") greyed(ink, photo, canvas.width, canvas.height);
        ink.drawImage(colours, 0, 0, canvas.width, canvas.height);
        if (!data.within) ink.drawImage(hatched(unknown, canvas.width, canvas.height), 0, 0);
      });
      bar(pick);
    }
    blend();
  }

  /** The photograph, and over it the map with the opacity of the slider. */
  function blend() {
    const opacity = $("opacity").valueAsNumber;
    $("opacity-value").textContent = `${opacity} %`;
    pen.globalAlpha = 1;
    pen.drawImage(current.photo, 0, 0, canvas.width, canvas.height);
    pen.globalAlpha = opacity / 100;
    if (layer) pen.drawImage(layer, 0, 0);
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
    const {data, maps} = current;
    if (!data) return;
    const [rows, columns] = data.grid, [row, column] = place;
    const at = row * columns + column;
    const value = maps.importance[at], error = maps.standard_error[at], spread = maps.uncertainty[at];
    const seen = !isNaN(value), unseen = data.within ? "outside the region" : "not seen by the encoder";
    const [valueText, errorText] = isNaN(error) ? [seen ? number(value, rangeOf("importance") / 10) : unseen, ""] : withError(value, error);
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
    if (aloud) say(seen ? `importance ${valueText}${errorText && ` plus or minus ${errorText}`}, x ${x}, y ${y}` : `${unseen}, x ${x}, y ${y}`);
  }

  const rangeOf = (map) => current.data.maps[map].high - current.data.maps[map].low;

  function put(id, value, text) {
    $(id).value = isNaN(value) ? "" : value;
    $(id).textContent = text;
  }

  function point(event) {
    if (!current?.data) return;
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
      : `Point at the picture to read its values. Keys: ${pictures.count > 1 ? "← → change the picture; " : ""}Enter on the picture, then arrow keys, move the read-out.`;
  }

  const moves = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]};

  /** Keys on the picture: the read-out. */
  canvas.addEventListener("keydown", (event) => {
    if (!current?.data || event.altKey || event.ctrlKey || event.metaKey) return;
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

  /** Keys anywhere else on the page: the pictures. */
  document.addEventListener("keydown", (event) => {
    const move = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    const taken = event.target.closest("input, select, textarea, .sheet, pre, .field, .scroll, .chart") || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey;
    if (!move || taken || !current || !viewer.checkVisibility()) return;
    event.preventDefault();
    turn(move);
  });

  /** The next picture in the order, round and round. */
  async function turn(by) {
    const list = order();
    if (!list.length) return;
    const at = list.indexOf(target);
    await show(list[at < 0 ? 0 : (at + by + list.length) % list.length]);
    say(`${pictures.names[current.picture]}, ${$("place").textContent}`);
  }

  // -- Over the page, whatever led to the picture --

  async function open(picture) {
    if (!dialog.open) {
      dialog.append(viewer);
      dialog.showModal();
    }
    await show(picture);
    canvas.focus({preventScroll: true});
  }

  dialog.addEventListener("close", () => home.insertBefore(viewer, next));
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  $("close").addEventListener("click", () => dialog.close());
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-picture]");
    if (link) open(Number(link.dataset.picture));
  });

  $("previous").addEventListener("click", () => turn(-1));
  $("next").addEventListener("click", () => turn(1));
  $("opacity").addEventListener("input", () => current && blend());
  for (const choice of [...document.getElementsByName("layer"), $("shared")]) {
    choice.addEventListener("change", () => { if (current?.data) { paint(); read(); } });
  }
  entries.forEach((entry, at) => entry.addEventListener("click", () => open(pictures.explained[at])));

  if (pictures.count === 1) viewer.classList.add("alone");
  steer(false);
  viewer.hidden = false;
  /** Draw the slice again, after its window was changed. */
  function rewindow() {
    if (!current?.values) return;
    current.photo = pictures.windowed(current.values, current.data.values.grid);
    if (chosen().kind === "u_relax") paint();
    else blend();
  }

  return {show, open, rewindow, redescribe: () => current && describe(), element: viewer};
}

// Beside the map of the space: which map, coloured by what; and the card of the picture under the pointer.

const OTHERS = 0xc8c8c8;

/** The controls of map and colour, and the legend, whose groups filter the gallery. */
function makeLegend(pictures, view, gallery) {
  const hex = (text) => { const [r, g, b] = [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)); return r | (g << 8) | (b << 16); };
  const palette = CODE.groups.map(hex);
  const dyed = (place, dark) => (dark && palette[place] === 0 ? 0xffffff : palette[place]);  // no black dots on black

  $("plane-choice").append(...pictures.planes.map(({name}, at) => {
    const radio = Object.assign(element("input"), {type: "radio", name: "plane", value: at, checked: at === pictures.planes.length - 1});
    radio.addEventListener("change", () => lay(at));
    return element("label", radio, element("span", name));
  }));
  $("plane-choice").hidden = pictures.planes.length < 2 || Boolean(pictures.linked);

  function lay(at) {
    const {known, name} = pictures.planes[at];
    $("space-partial").hidden = known === pictures.count || Boolean(pictures.linked);
    $("space-partial").textContent = `${name} shows ${known.toLocaleString("en")} of the ${pictures.count.toLocaleString("en")} pictures.`;
    view.plane(at);
    gallery.refresh();
  }

  $("colour-by").append(...pictures.columns.map((column, at) => new Option(column.name, at)));
  $("colour-by").value = String(Math.max(0, pictures.columns.findIndex((column) => column.name === pictures.colourBy)));
  $("colour-by").addEventListener("change", colour);

  function colour() {
    const column = pictures.columns[$("colour-by").value];
    if (!column) view.colour(null, () => palette[0]);
    else if (column.kind === "numbers") numbers(column);
    else groups(column);
  }

  function numbers(column) {
    const table = TABLES.importance;
    view.colour(column, (picture) => {
      if (isNaN(column.values[picture])) return OTHERS;
      const at = 3 * Math.round(255 * share(column.values[picture], column));
      return table[at] | (table[at + 1] << 8) | (table[at + 2] << 16);
    });
    const bar = coloured(256, 1, (at) => [...table.subarray(3 * at, 3 * at + 3), 255]);
    const ends = Object.assign(element("div", element("span", brief(column.low)), element("span", brief(column.high))), {className: "ends"});
    $("legend").replaceChildren(heading(column), bar, ends);
  }

  function groups(column) {
    const largest = [...column.labels.keys()].sort((a, b) => column.sizes[b] - column.sizes[a]).slice(0, palette.length);
    largest.sort((a, b) => column.labels[a].localeCompare(column.labels[b], "en", {numeric: true}));
    const places = new Map(largest.map((code, place) => [code, place]));
    view.colour(column, (picture, dark) => (places.has(column.values[picture]) ? dyed(places.get(column.values[picture]), dark) : OTHERS));
    const rest = pictures.count - largest.reduce((sum, code) => sum + column.sizes[code], 0);
    const items = largest.map((code, place) => {
      const item = button("", () => { gallery.only($("colour-by").value, code); mark(); });
      item.append(swatch(place), element("bdi", column.labels[code]), element("span", column.sizes[code].toLocaleString("en")));
      item.dataset.code = code;
      return element("li", item);
    });
    if (rest) items.push(element("li", swatch(-1), element("span", "other or unknown"), element("span", rest.toLocaleString("en"))));
    $("legend").replaceChildren(heading(column), element("ul", ...items));
    mark();
  }

  const heading = (column) => element("h3", element("bdi", column.name), ...(column.about ? [Object.assign(element("small", column.about), {className: "pale"})] : []));

  function swatch(place) {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const spot = Object.assign(element("i"), {className: "swatch"});
    spot.style.background = css(place < 0 ? OTHERS : dyed(place, dark));
    return spot;
  }

  /** Show which group the gallery is filtered by. */
  function mark() {
    const [by, value] = gallery.filtered();
    for (const item of $("legend").querySelectorAll("button")) {
      item.setAttribute("aria-pressed", String(by === $("colour-by").value && value === item.dataset.code));
    }
  }

  colour();
  lay(pictures.planes.length - 1);
  return {mark};
}

/** The card of a picture: thumbnail, name, columns, and the nearest pictures in the space itself, under a title. */
function makeCard(pictures, field, nearest, title, open) {
  const card = field.querySelector(".card");
  let shown = -1;

  /** Show it beside a place, on the side where fewer of the lines lead. */
  function show(picture, [across, down], first, side) {
    shown = picture;
    const face = button("", () => open(picture));
    face.className = "face";
    face.append(pictures.draw(picture), element("bdi", pictures.names[picture]));
    const lines = pictures.columns.slice(0, 5).map((column) => `${column.name} ${column.text(picture)}`).filter((line) => line !== first);
    const words = [first, ...lines].filter(Boolean).map((line) => element("li", line));
    const near = nearest(picture).slice(0, 6).map(({picture: other, similarity}) => {
      const link = button("", () => open(other));
      const shown = pictures.linked ? brief(similarity) : short(similarity);
      link.append(pictures.draw(other), element("span", shown));
      link.title = link.ariaLabel = `${pictures.names[other]}, ${shown}`;
      return element("li", link);
    });
    const row = near.length ? [element("h4", title), Object.assign(element("ul", ...near), {className: "near"})] : [];
    card.replaceChildren(face, Object.assign(element("ul", ...words), {className: "words"}), ...row);
    card.hidden = false;
    const {clientWidth: width, clientHeight: height} = field, gap = 18;
    const right = across + gap, left = across - gap - card.offsetWidth, fits = [left >= 0, right + card.offsetWidth <= width];
    const start = fits[0] && (side < 0 || !fits[1]) ? left : right;
    card.style.left = `${clamp(start, 4, Math.max(4, width - card.offsetWidth - 4))}px`;
    card.style.top = `${clamp(down - card.offsetHeight / 3, 4, Math.max(4, height - card.offsetHeight - 4))}px`;
  }

  return {element: card, show, shows: () => shown, hide() { shown = -1; card.hidden = true; }};
}

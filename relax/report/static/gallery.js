// All pictures as cards: search, filter, sort, tags, and lists to copy or save. The map of the space follows the filter.

const PAGE = 60;  // cards that are added at a time

/**
 * @param pictures  as of readPictures
 * @param changed   called with the pictures shown, in their order, after every change of filter or order
 * @param opened    called with a picture whose card was clicked
 */
function makeGallery(pictures, changed, opened) {
  const sheet = document.querySelector(".sheet"), entries = [...sheet.children];
  const cards = new Map(pictures.explained.map((picture, place) => [picture, entries[place]]));
  const partly = pictures.explained.length > 0 && pictures.explained.length < pictures.count;
  const lower = pictures.names.map((name) => name.toLowerCase());
  const everything = Uint32Array.from({length: pictures.count}, (_, picture) => picture);
  let selection = null;  // pictures chosen on the map; null is all
  let order = everything;
  let drawn = 0;

  // -- Which pictures, in which order --

  function matching() {
    const word = $("search").value.trim().toLowerCase(), wanted = filter();
    return everything.filter((picture) =>
      (!selection || selection.has(picture)) && (!word || lower[picture].includes(word)) && wanted(picture));
  }

  /** From the controls to a function that tells whether a picture stays. */
  function filter() {
    const by = $("filter-by").value, value = $("filter-value").value;
    if (by === "") return () => true;
    if (by === "tags") return (picture) => pictures.tags.has(picture, value);
    const {kind, values} = pictures.columns[by];
    if (kind === "groups") return (picture) => values[picture] === Number(value);
    const end = (id, open) => ($(id).value === "" ? open : $(id).valueAsNumber);
    const low = end("filter-low", -Infinity), high = end("filter-high", Infinity);
    return (picture) => values[picture] >= low && values[picture] <= high;
  }

  function sorted(chosen) {
    const by = $("sort-by").value;
    if (by === "name") return chosen;
    if (by === "explained") return chosen.sort((a, b) => (pictures.exhibit[a] < 0) - (pictures.exhibit[b] < 0) || a - b);
    const {kind, values, labels} = pictures.columns[by];
    if (kind === "numbers") return chosen.sort((a, b) => (isNaN(values[a]) - isNaN(values[b])) || values[b] - values[a] || a - b);
    const ranks = new Map([...labels.keys()].sort((a, b) => labels[a].localeCompare(labels[b], "en", {numeric: true})).map((code, rank) => [code, rank]));
    const rank = (picture) => ranks.get(values[picture]) ?? Infinity;
    return chosen.sort((a, b) => (rank(a) === rank(b) ? a - b : rank(a) - rank(b)));
  }

  function apply() {
    order = sorted(matching());
    if ($("sort-way").getAttribute("aria-pressed") === "true") order.reverse();
    const all = order.length === pictures.count;
    const size = pictures.count.toLocaleString("en");
    $("shown-count").textContent = all ? `${size} pictures` : `${order.length.toLocaleString("en")} of ${size} pictures`;
    $("clear").hidden = all && !$("search").value;
    sheet.replaceChildren();
    drawn = 0;
    more();
    changed(order, all);
  }

  // -- Cards --

  function more() {
    const last = Math.min(drawn + PAGE, order.length);
    sheet.append(...Array.from(order.subarray(drawn, last), card));
    drawn = last;
    $("more").hidden = drawn >= order.length;
    $("more").textContent = `Show more (${(order.length - drawn).toLocaleString("en")} left)`;
  }

  function card(picture) {
    if (!cards.has(picture)) {
      const open = button("", () => opened(picture));
      const name = Object.assign(element("span", element("bdi", pictures.names[picture])), {className: "name"});
      open.append(pictures.draw(picture), name);
      cards.set(picture, element("li", open));
    }
    const item = cards.get(picture);
    item.querySelector(".value")?.remove();
    const column = pictures.columns[$("sort-by").value];
    const words = [pictures.captions[picture], column && `${column.name} ${column.text(picture)}`, ...pictures.tags.of(picture).map((tag) => `#${tag}`)].filter(Boolean);
    if (words.length) item.firstChild.append(Object.assign(element("span", words.join(" · ")), {className: "value"}));
    return item;
  }

  // -- Controls --

  function options(select, pairs, value = "") {
    select.replaceChildren(...pairs.map(([key, text]) => new Option(text, key)));
    select.value = value;
  }

  /** Offer what can be filtered by; tags once there are some. */
  function offer() {
    const tags = pictures.tags.all(), by = $("filter-by").value;
    const columns = pictures.columns.map((column, at) => [String(at), column.name]);
    options($("filter-by"), [["", "nothing"], ...columns, ...(tags.length ? [["tags", "tags"]] : [])], by);
    if ($("filter-by").selectedIndex < 0) $("filter-by").value = "";
    offerValues();
  }

  function offerValues() {
    const by = $("filter-by").value, column = pictures.columns[by], value = $("filter-value").value;
    $("filter-groups").hidden = !(by === "tags" || column?.kind === "groups");
    $("filter-range").hidden = column?.kind !== "numbers";
    if (by === "tags") options($("filter-value"), pictures.tags.all().map((tag) => [tag, tag]), value);
    if (column?.kind === "groups") {
      const codes = [...column.labels.keys()].sort((a, b) => column.labels[a].localeCompare(column.labels[b], "en", {numeric: true}));
      options($("filter-value"), codes.map((code) => [String(code), `${column.labels[code]} (${column.sizes[code].toLocaleString("en")})`]), value);
    }
    if (column?.kind === "numbers") {
      $("filter-low").placeholder = brief(column.low);
      $("filter-high").placeholder = brief(column.high);
    }
    if (!$("filter-groups").hidden && $("filter-value").selectedIndex < 0) $("filter-value").selectedIndex = 0;
  }

  const sorts = [...(partly ? [["explained", "explained first"]] : []), ["name", pictures.order], ...pictures.columns.map((column, at) => [String(at), column.name])];
  options($("sort-by"), sorts, sorts[0][0]);
  offer();
  $("search").addEventListener("input", apply);
  $("filter-by").addEventListener("change", () => { $("filter-low").value = $("filter-high").value = ""; offerValues(); apply(); });
  for (const id of ["filter-value", "filter-low", "filter-high", "sort-by"]) $(id).addEventListener("change", apply);
  $("sort-way").addEventListener("click", () => {
    $("sort-way").setAttribute("aria-pressed", String($("sort-way").getAttribute("aria-pressed") !== "true"));
    apply();
  });
  $("clear").addEventListener("click", () => { $("search").value = $("filter-by").value = ""; select(null); offerValues(); apply(); });
  $("tag-shown").addEventListener("submit", (event) => {
    event.preventDefault();
    const word = $("tag-shown-word").value.trim();
    if (!word) return;
    pictures.tags.add(order, word);
    $("tag-shown-word").value = "";
    say(`${order.length} pictures tagged ${word}.`);
    retagged();
  });
  $("copy-shown").addEventListener("click", () => copy(Array.from(order, (picture) => pictures.names[picture]).join("\n")));
  $("save-shown").addEventListener("click", () => save("pictures.csv", tableOf(pictures, order)));
  sheet.after(Object.assign(button("", more), {id: "more"}));

  function retagged() {
    offer();
    apply();
  }

  let select = (chosen) => { selection = chosen; };

  $("pictures").classList.toggle("mixed", partly);
  document.querySelector(".sheet-note").hidden = !pictures.explained.length;
  document.querySelector(".browse").hidden = pictures.count === 1;
  apply();
  return {
    retagged,
    order: () => order,
    refresh: () => changed(order, order.length === pictures.count),
    /** Show only these pictures; null for all. */
    select(chosen) { select(chosen); apply(); },
    /** What clears the selection elsewhere, too. */
    whenCleared(clear) { select = (chosen) => { selection = chosen; if (!chosen) clear(); }; },
    /** Filter by a group of a column; again, to stop. */
    only(column, code) {
      const same = $("filter-by").value === String(column) && $("filter-value").value === String(code);
      $("filter-by").value = same ? "" : String(column);
      offerValues();
      if (!same) $("filter-value").value = String(code);
      apply();
    },
    filtered: () => [$("filter-by").value, $("filter-value").value],
  };
}

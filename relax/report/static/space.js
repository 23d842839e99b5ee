// The live map of the space, or two of them side by side: what is pointed at in one is lit in the other, and what is chosen in
// either is a list. One map stands in pane.js, what is chosen in gallery.js.

/**
 * @param pictures  as of readPictures
 * @param gallery   as of makeGallery
 * @param open      called with a picture to open
 */
function makeSpace(pictures, gallery, open) {
  const {linked} = pictures;
  const spaces = linked ? [pictures.nearest, linked.nearest] : [pictures.nearest];
  document.querySelector(".plane").classList.toggle("linked", Boolean(linked));
  const first = document.querySelector(".field");
  const fields = linked ? [first, secondOf(first)] : [first];
  const panes = fields.map((field, at) => {
    const nearest = spaces[at];
    const title = linked ? `Nearest by ${pictures.planes[at].name}; ${linked.number}` : "Nearest in the space itself";
    if (linked) field.querySelector(".plane-name").textContent = pictures.planes[at].name;
    return makePane(pictures, field, nearest, title, open, {
      choose,
      pointed(picture, near) { panes.forEach((pane, other) => { if (other !== at) pane.light(picture, near); }); },
    });
  });
  const each = (act) => panes.forEach((pane) => { act(pane); pane.sketch(); });
  const view = {
    colour: (...column) => panes.forEach((pane) => pane.view.colour(...column)),
    plane: (at) => panes.forEach((pane, space) => pane.view.plane(linked ? space : at)),
  };

  // -- Lists --

  let selection = null;
  function choose(chosen, toggle = false) {
    const next = new Set(chosen ?? []);
    if (toggle) for (const picture of selection ?? []) next.has(picture) ? next.delete(picture) : next.add(picture);
    selection = next.size ? next : null;
    gallery.select(selection);
    list();
  }

  function list() {
    $("selection").hidden = !selection;
    const names = [...(selection ?? [])].sort((a, b) => a - b).map((picture) => pictures.names[picture]);
    $("selected-count").textContent = `${names.length.toLocaleString("en")} selected`;
    $("selected-names").value = names.join("\n");
    if (selection) say(`${names.length} pictures selected.`);
  }

  $("copy-selected").addEventListener("click", () => copy($("selected-names").value));
  $("save-selected").addEventListener("click", () => save("selection.csv", tableOf(pictures, [...selection].sort((a, b) => a - b))));
  $("see-selected").addEventListener("click", () => document.querySelector(".browse").scrollIntoView({block: "start"}));
  $("clear-selected").addEventListener("click", () => choose(null));
  gallery.whenCleared(() => { selection = null; list(); });

  // -- Controls --

  const zoomed = (by) => () => each((pane) => pane.view.zoom(by, ...pane.middle()));
  $("zoom-in").addEventListener("click", zoomed(1.5));
  $("zoom-out").addEventListener("click", zoomed(1 / 1.5));
  $("zoom-all").addEventListener("click", () => each((pane) => pane.view.all()));
  $("show-thumbnails").addEventListener("change", () => each((pane) => pane.view.thumbnails($("show-thumbnails").checked)));
  const legend = makeLegend(pictures, view, gallery);

  return {
    /** Dots of other pictures turn pale. */
    follow(order, all) { legend.mark(); each((pane) => pane.view.follow(order, all)); },
  };
}

/** An empty copy of a field after it, for the second space. */
function secondOf(field) {
  const second = field.cloneNode(true);
  for (const part of second.querySelectorAll("[id]")) part.removeAttribute("id");
  second.querySelector(".marks").ariaLabel = "Map of the second space, one dot per picture";
  field.after(second);
  return second;
}

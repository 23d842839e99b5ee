// One map of a space: moved and zoomed by mouse, touch and keys; a ring, the nearest pictures and a card under the pointer;
// a box or a lasso chooses pictures. What is drawn stands in view.js.

const REACH = 14, DELAY = 125, GRACE = 260;  // px around the pointer; ms until the card comes; ms until it goes

/**
 * @param pictures  as of readPictures
 * @param field     the element of the map
 * @param nearest   from a picture to its nearest ones in this space, with a number each
 * @param title     of them, on the card
 * @param open      called with a picture to open
 * @param shared    `choose(pictures, toggle)` and `pointed(picture, nearest)`, called with what is chosen and pointed at here
 */
function makePane(pictures, field, nearest, title, open, shared) {
  const [dots, marks, hint] = ["dots", "marks", "hint"].map((name) => field.querySelector(`.${name}`));
  const view = makeView(pictures, dots, marks);
  const card = makeCard(pictures, field, nearest, title, open);
  let hovered = -1, pinned = false, coming = 0, going = 0;
  let elsewhere = {picture: -1, nearest};  // what is pointed at in another map
  let drag = null;     // what the pressed pointer does: {kind, from, path}
  let aiming = false;  // whether the keys point with the cross
  const fingers = new Map();
  marks.dataset.hovered = -1;

  // -- What is under the pointer --

  const here = (event) => {
    const box = marks.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  function hover(picture, wait = DELAY) {
    clearTimeout(going);
    if (picture === hovered && (card.shows() === picture || coming)) return;
    clearTimeout(coming);
    coming = 0;
    hovered = picture;
    marks.dataset.hovered = picture;
    sketch();
    shared.pointed(picture, nearest);
    if (picture < 0) {
      going = setTimeout(() => { if (!pinned) card.hide(); }, GRACE);
      return;
    }
    coming = setTimeout(() => {
      coming = 0;
      const place = view.screen(picture), others = nearest(picture).map((other) => view.screen(other.picture)[0] - place[0]);
      card.show(picture, place, view.legendText(picture), -Math.sign(others.reduce((sum, by) => sum + (Math.sign(by) || 0), 0)));
    }, wait);
  }

  /** The map went on below the pointer or the cross: a card whose picture moved away goes at once, before it is in the way. */
  function pass(picture) {
    hover(picture);
    if (picture < 0) card.hide();
  }

  card.element.addEventListener("pointerenter", () => { pinned = true; clearTimeout(going); });
  card.element.addEventListener("pointerleave", () => { pinned = false; hover(-1); });

  const near = ([across, down], reach = REACH) => view.nearest(across, down, reach);

  function sketch() {
    const lit = hovered < 0 ? elsewhere : {picture: hovered, nearest};
    view.sketch({
      hovered: lit.picture,
      neighbours: lit.picture < 0 ? [] : lit.nearest(lit.picture).map(({picture}) => picture),
      outline: drag?.path,
      cross: aiming,
    });
  }

  // -- Pointer: move, select, click; two fingers zoom --

  const tool = (event) => (event.shiftKey ? "lasso" : document.querySelector("input[name=tool]:checked").value);

  marks.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    fingers.set(event.pointerId, here(event));
    marks.setPointerCapture(event.pointerId);
    aiming = false;
    drag = fingers.size > 1 ? null : {kind: tool(event), from: here(event), last: here(event), moved: false, path: null};
  });

  marks.addEventListener("pointermove", (event) => {
    const at = here(event);
    if (fingers.size > 1 && fingers.has(event.pointerId)) return pinch(event.pointerId, at);
    if (!drag) return hover(near(at));
    if (!drag.moved && Math.hypot(at[0] - drag.from[0], at[1] - drag.from[1]) < 4) return;
    drag.moved = true;
    if (drag.kind === "move") view.move(at[0] - drag.last[0], at[1] - drag.last[1]);
    else if (drag.kind === "box") drag.path = [drag.from, [at[0], drag.from[1]], at, [drag.from[0], at[1]]];
    else (drag.path ??= [drag.from]).push(at);
    drag.last = at;
    card.hide();
    hovered = -1;
    sketch();
    shared.pointed(-1, nearest);
  });

  function pinch(finger, at) {
    const before = [...fingers.values()];
    fingers.set(finger, at);
    const after = [...fingers.values()];
    const middle = ([a, b]) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2], apart = ([a, b]) => Math.hypot(a[0] - b[0], a[1] - b[1]) || 1;
    const [x, y] = middle(after), [u, v] = middle(before);
    view.move(x - u, y - v);
    view.zoom(apart(after) / apart(before), x, y);
    sketch();
  }

  function lift(event) {
    fingers.delete(event.pointerId);
    const done = drag;
    drag = null;
    if (!done || event.type === "pointercancel") return sketch();
    if (done.path) shared.choose(view.inside(done.path));
    else if (!done.moved) press(near(here(event)), event.pointerType);
    sketch();
  }
  marks.addEventListener("pointerup", lift);
  marks.addEventListener("pointercancel", lift);
  marks.addEventListener("pointerleave", (event) => { if (!drag && event.pointerType !== "touch") hover(-1); });

  /** A click opens the picture; a finger, which cannot hover, first shows the card. */
  function press(picture, pointer) {
    if (pointer === "touch") hover(picture, 0);
    else if (picture >= 0) open(picture);
  }

  /** The wheel zooms once the map has the focus, or with Ctrl; otherwise the page scrolls. */
  let hinting = 0;
  marks.addEventListener("wheel", (event) => {
    if (document.activeElement !== marks && !event.ctrlKey && !event.metaKey) {
      clearTimeout(hinting);
      hint.hidden = false;
      hinting = setTimeout(() => { hint.hidden = true; }, 1200);
      return;
    }
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    view.zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.002)), ...here(event));
    pass(near(here(event)));
    sketch();
  }, {passive: false});

  // -- Keys: the map moves under a cross in its middle --

  const moves = {ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]};

  marks.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const move = moves[event.key], middle = [marks.clientWidth / 2, marks.clientHeight / 2];
    if (move) view.move(...move.map((way) => way * (event.shiftKey ? 120 : 24)));
    else if (event.key === "+" || event.key === "=") view.zoom(1.25, ...middle);
    else if (event.key === "-") view.zoom(0.8, ...middle);
    else if (event.key === "0") view.all();
    else if (event.key === "Enter" && hovered >= 0) open(hovered);
    else if (event.key === " " && hovered >= 0) shared.choose([hovered], true);
    else if (event.key === "Escape") { shared.choose(null); card.hide(); }
    else return;
    event.preventDefault();
    aiming = true;
    pass(near(middle, 2 * REACH));
    if (hovered >= 0) say(`${pictures.names[hovered]}, ${view.legendText(hovered)}`);
    sketch();
  });
  marks.addEventListener("blur", () => { aiming = false; sketch(); });

  return {
    view, sketch,
    middle: () => [marks.clientWidth / 2, marks.clientHeight / 2],
    /** Ring a picture that is pointed at in another map, and its nearest ones there; -1 for none. */
    light(picture, near) { elsewhere = {picture, nearest: near}; marks.dataset.lit = picture; sketch(); },
  };
}

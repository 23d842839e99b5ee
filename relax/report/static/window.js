// Window and level of slices that hold their values: sliders, keys, presets, or the mouse dragged over the picture.

const MOVE = 0.05;  // of the width, that a key moves the level or the width by

/**
 * @param pictures  as of readPictures, with a window
 * @param viewer    as of makeViewer
 */
function makeWindow(pictures, viewer) {
  const {low, high, least, most, unit, presets} = pictures.window;
  const first = {level: (low + high) / 2, width: Math.abs(high - low)}, sign = low > high ? -1 : 1;
  const narrowest = (most - least) / 1000, range = Math.max(most - least, first.width);
  const now = {...first};
  const level = range_("level", "Level", Math.min(least, first.level), Math.max(most, first.level));
  const width = range_("width", "Window", narrowest, range);
  const ends = element("output");
  const choices = [["as explained", first.level, first.width], ...presets].map(([name, ...values]) =>
    button(name, () => { [now.level, now.width] = values; show(); }));
  const keys = element("p", "With the picture in focus: [ and ] narrow and widen the window, comma and full stop lower and raise the level; or drag the mouse over it.");
  const box = Object.assign(element("fieldset", element("legend", "Window and level"), ...level.parts, ...width.parts, ends), {className: "window"});
  const row = Object.assign(element("div", ...choices), {className: "presets"});
  keys.className = "pale";
  box.append(row, keys);

  function range_(id, name, min, max) {
    const slider = Object.assign(element("input"), {type: "range", id, min, max, step: "any"});
    slider.addEventListener("input", () => { now[id] = slider.valueAsNumber; show(); });
    const output = Object.assign(element("output"), {htmlFor: id});
    return {slider, output, parts: [Object.assign(element("label", name), {htmlFor: id}), slider, output]};
  }

  function show() {
    now.level = clamp(now.level, Number(level.slider.min), Number(level.slider.max));
    now.width = clamp(now.width, narrowest, range);
    for (const [one, value] of [[level, now.level], [width, now.width]]) {
      one.slider.value = value;
      one.output.textContent = number(value, now.width);
      one.slider.setAttribute("aria-valuetext", `${number(value, now.width)} ${unit}`);
    }
    const [black, white] = [-1, 1].map((side) => number(now.level + side * sign * now.width / 2, now.width));
    ends.textContent = `black ${black}, white ${white} ${unit}`;
    viewer.rewindow();
  }

  /** A slice (rows, columns) of values as greys. */
  pictures.windowed = (values, [rows, columns]) => coloured(columns, rows, (at) => {
    const grey = isNaN(values[at]) ? 0 : Math.round(255 * clamp(0.5 + sign * (values[at] - now.level) / now.width, 0, 1));
    return [grey, grey, grey, 255];
  });

  const canvas = $("canvas"), moves = {"[": [0, -1], "]": [0, 1], ",": [-1, 0], ".": [1, 0]};
  canvas.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (!move || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    now.level += move[0] * MOVE * now.width;
    now.width *= 1 + 2 * MOVE * move[1];
    show();
    say(`level ${number(now.level, now.width)}, window ${number(now.width, now.width)} ${unit}`);
  });
  let last = null;  // movementX and movementY would be of the screen, and of whichever event came before
  canvas.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse" || event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    last = event;
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "mouse" || !canvas.hasPointerCapture(event.pointerId)) return;
    now.width += (event.clientX - last.clientX) * first.width / 250;
    now.level += (event.clientY - last.clientY) * first.width / 250;
    last = event;
    show();
  });

  document.querySelector(".opacity").after(box);
  show();
}

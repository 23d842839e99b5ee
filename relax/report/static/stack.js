// Slices of one volume: a slider above the picture, with a line for each number of the profile.

/**
 * @param pictures  as of readPictures; they are the slices, in their order
 * @param viewer    as of makeViewer
 */
function makeStack(pictures, viewer) {
  const last = pictures.count - 1, word = pictures.stack;
  const slider = Object.assign(element("input"), {type: "range", id: "slice", min: 0, max: last, step: 1, value: 0});
  const label = Object.assign(element("label", `${word[0].toUpperCase()}${word.slice(1)}`), {htmlFor: "slice"});
  const output = Object.assign(element("output"), {htmlFor: "slice", id: "slice-name"});
  const lines = pictures.columns.filter(({name}) => pictures.profile.includes(name)).map(line);
  const keys = Object.assign(element("p", "Drag, or with the picture in focus turn the wheel or press ↑ ↓, Page ↑ ↓, Home, End."), {className: "pale"});
  const stack = Object.assign(element("div", label, output, slider, ...lines.map(({row}) => row), keys), {className: "stack"});
  const canvas = $("canvas");

  let at = 0;  // the slice that is wanted, which may not be drawn yet

  /** Go to a slice, as near as there is one. */
  function go(slice) {
    at = clamp(slice, 0, last);
    viewer.show(at);
  }

  function line(column) {
    const drawn = shape("svg", {viewBox: `0 0 ${Math.max(1, last)} 100`, preserveAspectRatio: "none", "aria-hidden": "true"});
    const height = (value) => 95 - 90 * share(value, column);
    const points = [...column.values].map((value, slice) => (isNaN(value) ? null : `${slice},${height(value).toFixed(2)}`));
    for (const run of runs(points)) drawn.append(shape("polyline", {points: run.length > 1 ? run.join(" ") : `${run} ${run}`}));
    const mark = shape("line", {y1: 0, y2: 100, class: "mark"});
    drawn.append(mark);
    const place = (event) => {
      const box = drawn.getBoundingClientRect();
      go(Math.round((event.clientX - box.left) / box.width * last));
    };
    drawn.addEventListener("pointerdown", (event) => { drawn.setPointerCapture(event.pointerId); place(event); });
    drawn.addEventListener("pointermove", (event) => { if (drawn.hasPointerCapture(event.pointerId)) place(event); });
    const value = element("span"), row = Object.assign(element("div", element("span", column.name), drawn, value), {className: "profile"});
    return {row, show(slice) {
      mark.setAttribute("x1", slice);
      mark.setAttribute("x2", slice);
      value.textContent = isNaN(column.values[slice]) ? "–" : number(column.values[slice], column.high - column.low);
    }};
  }

  function shape(name, attributes) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  }

  /** What lies between the gaps. */
  function runs(points) {
    const parts = [[]];
    for (const point of points) point === null ? parts.push([]) : parts.at(-1).push(point);
    return parts.filter((part) => part.length);
  }

  slider.addEventListener("input", () => go(slider.valueAsNumber));
  viewer.element.addEventListener("shown", ({detail}) => {
    slider.value = at = detail;
    output.textContent = pictures.captions[detail].slice(word.length + 1);
    slider.setAttribute("aria-valuetext", pictures.captions[detail]);
    lines.forEach((one) => one.show(detail));
  });

  const steps = {ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10, Home: -Infinity, End: Infinity};
  canvas.addEventListener("keydown", (event) => {
    const step = steps[event.key], free = !event.altKey && !event.ctrlKey && !event.metaKey && !event.shiftKey;
    if (!step || !free || viewer.element.classList.contains("steering")) return;
    event.preventDefault();
    go(at + step);
    say(pictures.captions[at]);
  });
  canvas.addEventListener("wheel", (event) => {
    if (document.activeElement !== canvas || event.ctrlKey || !event.deltaY) return;
    event.preventDefault();
    go(at - Math.sign(event.deltaY));
  }, {passive: false});

  viewer.element.querySelector(".head").after(stack);
}

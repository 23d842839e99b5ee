// Two sides in parts: a part of either is chosen, and the other lights up where it is linked; the strongest links as lines.

{
  const data = JSON.parse($("links-data").textContent);
  const [a, b] = data.sides, counts = [a.names.length, b.names.length];
  const way = $("way"), lines = $("lines"), told = $("told"), sides = $("sides");
  const strongest = data.strongest.map(([first, second]) => [first, second]);
  let chosen = [0, strongest.length ? strongest[0][0] : 0];

  const entry = (first, second) => first * counts[1] + second;
  const between = (side, part, other) => (side === 0 ? entry(part, other) : entry(other, part));
  const amount = (value, error) => { const [text, wrong] = withError(value, error); return `${text} ± ${wrong}`; };

  /** Orange above 0, blue below, more of it the larger: over a picture, which stays to be seen. */
  function light(part, value, limit) {
    const share = limit > 0 ? clamp(Math.abs(value) / limit, 0, 1) : 0;
    part.style.setProperty("--light", `color-mix(in srgb, var(${value < 0 ? "--down" : "--up"}) ${Math.round(85 * share)}%, transparent)`);
  }

  /** The parts of a side: buttons over the cells of its picture, or words. */
  function partsOf(side, place) {
    const parts = side.names.map((name, part) => {
      const one = button(side.words ? name : "", () => choose(place, part));
      one.className = "part";
      one.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") choose(place, part); });
      one.addEventListener("focus", () => choose(place, part));
      if (side.words) one.dir = "auto";
      else one.ariaLabel = name;
      return one;
    });
    const heading = element("h3", side.title);
    const box = element("div", ...parts);
    box.className = side.words ? "words" : "picture";
    box.role = "group";
    box.ariaLabel = `Parts of ${side.title}`;
    if (!side.words) {
      box.prepend(Object.assign(element("img"), {src: side.image, alt: side.title}));
      parts.forEach((part, number) => ["left", "top", "width", "height"].forEach((edge, at) => { part.style[edge] = `${side.boxes[number][at]}%`; }));
    }
    box.addEventListener("keydown", (event) => {
      const steps = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: side.columns, ArrowUp: -side.columns, Home: -counts[place], End: counts[place]};
      const step = steps[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const next = chosen[0] === place ? chosen[1] + step : 0;
      if (Math.abs(step) === counts[place] || (next >= 0 && next < counts[place])) parts[clamp(next, 0, counts[place] - 1)].focus();
    });
    const whole = element("div", heading, box);
    whole.className = "side";
    sides.append(whole);
    return parts;
  }

  function choose(side, part) {
    chosen = [side, part];
    show();
  }

  function show() {
    const [side, part] = chosen, other = 1 - side;
    all.forEach((parts, place) => parts.forEach((one, number) => {
      one.ariaPressed = String(place === side && number === part);
      one.tabIndex = (place === side ? number === part : number === 0) ? 0 : -1;
      if (way.value === "only") light(one, data.sides[place].only[number], data.onlyLimit);
      else light(one, place === other ? data.links[between(side, part, number)] : 0, data.limit);
    }));
    all.forEach((parts, place) => parts[0].parentElement.classList.toggle("lit", way.value === "only" || place === other));
    const words = way.value === "only" ? alone(side, part) : partners(side, part);
    told.textContent = words[0].toUpperCase() + words.slice(1);
    scale();
  }

  /** In words, the parts of the other side that a part is linked to. */
  function partners(side, part) {
    const other = 1 - side, row = data.sides[other].names.map((name, number) => {
      const at = between(side, part, number);
      return [name, data.links[at], data.errors[at]];
    });
    const first = row.filter(([, value, error]) => value > 0 && value > 2 * error).sort((x, y) => y[1] - x[1]).slice(0, 3);
    const where = `${data.sides[side].names[part]} of ${data.sides[side].title}`;
    if (!first.length) return `${where}: no link is more than two standard errors above 0.`;
    return `${where} is linked to ${first.map(([name, value, error]) => `${name} (${amount(value, error)})`).join(", ")} of ${data.sides[other].title}.`;
  }

  function alone(side, part) {
    const of = data.sides[side];
    return `${of.names[part]} of ${of.title}: ${amount(of.only[part], of.onlyErrors[part])}. Above 0, it brings its side closer to itself than to the other: what this side alone shows.`;
  }

  function scale() {
    const limit = way.value === "only" ? data.onlyLimit : data.limit;
    const ramp = element("span");
    ramp.className = "ramp";
    ramp.role = "img";
    ramp.ariaLabel = "from blue below 0 to orange above 0";
    $("scale").replaceChildren(number(-limit, limit / 10), ramp, number(limit, limit / 10), ` ${data.unit}`);
  }

  const SVG = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(SVG, "svg");
  svg.classList.add("lines");
  svg.setAttribute("aria-hidden", "true");

  /** Lines between the middles of parts, the stronger the wider. */
  function draw() {
    const frame = sides.getBoundingClientRect(), many = Number(lines.value);
    $("many").textContent = String(many);
    const middle = (part) => {
      const box = part.getBoundingClientRect();
      return [box.left + box.width / 2 - frame.left, box.top + box.height / 2 - frame.top];
    };
    const most = strongest.length ? data.links[entry(...strongest[0])] : 1;
    svg.replaceChildren(...strongest.slice(0, many).flatMap(([first, second]) => {
      const [x1, y1] = middle(all[0][first]), [x2, y2] = middle(all[1][second]);
      const wide = 1.2 + 3 * (data.links[entry(first, second)] / most);
      const node = (name, values, kind = "") => {
        const made = document.createElementNS(SVG, name);
        Object.entries(values).forEach(([key, value]) => made.setAttribute(key, value));
        if (kind) made.classList.add(kind);
        return made;
      };
      const ends = {x1, y1, x2, y2};
      return [
        node("line", {...ends, "stroke-width": wide + 2}, "under"), node("line", {...ends, "stroke-width": wide}),
        node("circle", {cx: x1, cy: y1, r: 3.5}), node("circle", {cx: x2, cy: y2, r: 3.5}),
      ];
    }));
  }

  const all = data.sides.map(partsOf);
  sides.append(svg);
  document.querySelectorAll(".choose, #sides, #scale").forEach((part) => { part.hidden = false; });
  lines.max = String(strongest.length);
  lines.value = String(Math.min(5, strongest.length));
  lines.addEventListener("input", draw);
  way.addEventListener("change", show);
  new ResizeObserver(draw).observe(sides);
  show();
  draw();
  document.documentElement.dataset.ready = "";
}

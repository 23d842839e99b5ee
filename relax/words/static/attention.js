// The attention of a network between the tokens of a text: a layer and a head are chosen, a token is pointed at.

{
  const data = JSON.parse($("attention-data").textContent);
  const unpack = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const count = data.pieces.length, area = count * count;
  const mean = unpack(data.mean), rollout = unpack(data.rollout), each = unpack(data.each);
  const layer = $("layer"), head = $("head"), way = $("way"), looked = $("looked");
  const percent = (value) => (value > 0 && value < 0.01 ? "below 1 %" : `${Math.round(value * 100)} %`);
  let chosen = 0;

  /** The T × T weights that are shown, in 1/255; row = the token that looks. */
  function weights() {
    if (layer.value === "rollout") return rollout;
    const place = Number(layer.value);
    if (head.value === "mean") return mean.subarray(place * area, (place + 1) * area);
    const start = (place * data.heads + Number(head.value)) * area;
    return each.subarray(start, start + area);
  }

  const between = (shown, other) => (way.value === "row" ? shown[chosen * count + other] : shown[other * count + chosen]) / 255;
  const tokens = data.pieces.map((piece, place) => {
    const token = button(piece || "␣", () => choose(place));
    token.addEventListener("pointerenter", () => choose(place));
    token.addEventListener("focus", () => choose(place));
    token.dir = "auto";
    return token;
  });

  function choose(place) {
    chosen = place;
    tokens.forEach((token, other) => {
      token.ariaPressed = String(other === place);
      token.tabIndex = other === place ? 0 : -1;
    });
    shade();
  }

  function shade() {
    const shown = weights(), row = data.pieces.map((_, other) => between(shown, other));
    const most = Math.max(...row, 1 / 255);
    tokens.forEach((token, other) => token.style.setProperty("--share", `${Math.round((row[other] / most) * 100)}%`));
    const first = row.map((value, other) => [value, other]).sort((a, b) => b[0] - a[0]).slice(0, 6).filter(([value]) => value > 0);
    const verb = way.value === "row" ? "looks at" : "is looked at by";
    looked.textContent = `“${data.pieces[chosen]}” ${verb} ${first.map(([value, other]) => `“${data.pieces[other]}” ${percent(value)}`).join(", ")}.`;
  }

  /** A matrix on a canvas, one pixel a pair; darker on light paper, lighter on dark. */
  function picture(shown, context, left, top) {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const pixels = context.createImageData(count, count);
    let most = 1;
    for (let place = 0; place < area; place++) most = Math.max(most, shown[place]);
    for (let place = 0; place < area; place++) {
      const share = Math.sqrt(shown[place] / most);
      const ends = dark ? [[30, 34, 38], [242, 207, 99]] : [[244, 244, 241], [104, 60, 8]];
      for (let channel = 0; channel < 3; channel++) {
        pixels.data[4 * place + channel] = ends[0][channel] + share * (ends[1][channel] - ends[0][channel]);
      }
      pixels.data[4 * place + 3] = 255;
    }
    context.putImageData(pixels, left, top);
  }

  function draw() {
    const square = $("square");
    square.width = square.height = count;
    picture(weights(), square.getContext("2d"), 0, 0);
    const words = layer.value === "rollout" ? "followed through all layers"
      : `layer ${Number(layer.value) + 1}, ${head.value === "mean" ? "mean of the heads" : `head ${Number(head.value) + 1}`}`;
    $("square-title").textContent = `All tokens, ${words}`;
    head.disabled = layer.value === "rollout";
    shade();
  }

  function overview() {
    const heads = $("heads"), gap = Math.max(1, Math.round(count / 12)), step = count + gap;
    heads.width = data.heads * step - gap;
    heads.height = data.layers * step - gap;
    const context = heads.getContext("2d");
    for (let row = 0; row < data.layers; row++) {
      for (let column = 0; column < data.heads; column++) {
        const start = (row * data.heads + column) * area;
        picture(each.subarray(start, start + area), context, column * step, row * step);
      }
    }
    heads.addEventListener("click", (event) => {
      const box = heads.getBoundingClientRect();
      head.value = String(clamp(Math.floor(((event.clientX - box.left) / box.width) * data.heads), 0, data.heads - 1));
      layer.value = String(clamp(Math.floor(((event.clientY - box.top) / box.height) * data.layers), 0, data.layers - 1));
      draw();
    });
  }

  const option = (text, value) => Object.assign(element("option", text), {value});
  layer.append(...Array.from({length: data.layers}, (_, place) => option(String(place + 1), String(place))), option("all, followed through", "rollout"));
  head.append(option("mean of all", "mean"), ...Array.from({length: data.heads}, (_, place) => option(String(place + 1), String(place))));
  layer.value = String(data.layers - 1);
  document.querySelector(".pieces").append(...tokens);
  document.querySelectorAll(".choose, .squares").forEach((part) => { part.hidden = false; });
  [layer, head].forEach((field) => field.addEventListener("change", draw));
  way.addEventListener("change", shade);
  document.querySelector(".pieces").addEventListener("keydown", (event) => {
    const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -count, End: count}[event.key];
    if (step === undefined) return;
    event.preventDefault();
    tokens[clamp(chosen + step, 0, count - 1)].focus();
  });
  $("square").addEventListener("pointermove", (event) => {
    const box = event.target.getBoundingClientRect();
    const place = (offset, size) => clamp(Math.floor((offset / size) * count), 0, count - 1);
    const row = place(event.clientY - box.top, box.height), column = place(event.clientX - box.left, box.width);
    looked.textContent = `“${data.pieces[row]}” looks at “${data.pieces[column]}” ${percent(weights()[row * count + column] / 255)}.`;
  });
  $("overview").hidden = !data.heads;
  if (data.heads) overview();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { draw(); if (data.heads) overview(); });
  choose(Math.max(0, data.pieces.length > 2 ? 1 : 0));
  draw();
  document.documentElement.dataset.ready = "";
}

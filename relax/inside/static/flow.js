// The picture flowing through its layers: one card a layer, which opens it.

/** Four channels with the most energy, two by two. */
function mosaic(layer) {
  const leading = ordered(layer, "energy").slice(0, layer.kept.length < 4 ? 1 : 4), side = leading.length > 1 ? 2 : 1;
  const surface = drawing(side * layer.columns + side - 1, side * layer.rows + side - 1, (ink) => {
    leading.forEach((at, place) => {
      const values = layer.channel(at);
      ink.drawImage(mapOf(layer, values, scaleOf(values)), (place % 2) * (layer.columns + 1), Math.floor(place / 2) * (layer.rows + 1));
    });
  });
  surface.ariaHidden = "true";
  return surface;
}

/** The embedding as a square of its numbers. */
function strip(embedding) {
  const side = Math.ceil(Math.sqrt(embedding.length)), scale = scaleOf(embedding);
  const surface = coloured(side, Math.ceil(embedding.length / side), (at) => (at < embedding.length ? [...colourOf(embedding[at], scale), 255] : [0, 0, 0, 0]));
  surface.ariaHidden = "true";
  return surface;
}

function makeFlow(page, layers, open) {
  const end = (name, words, picture) => {
    const card = element("div", picture, element("bdi", name), element("span", words));
    card.className = "end";
    return element("li", card);
  };
  const photo = Object.assign(element("img"), {src: page.image, alt: ""});
  const cards = layers.map((layer) => {
    const card = button("", () => open(layer.place));
    card.append(mosaic(layer), element("bdi", layer.name), element("span", `${layer.channels} × ${layer.rows} × ${layer.columns}`));
    return card;
  });
  $("flow").append(
    end("picture", `${page.size[0]} × ${page.size[1]} px`, photo),
    ...cards.map((card) => element("li", card)),
    end("embedding", `${page.embedding.length} numbers`, strip(page.embedding)),
  );
  return (place) => cards.forEach((card, at) => {
    if (at !== place) return card.removeAttribute("aria-current");
    card.setAttribute("aria-current", "true");
    const list = $("flow"), item = card.parentElement;
    list.scrollLeft = item.offsetLeft - list.offsetLeft - (list.clientWidth - item.clientWidth) / 2;
  });
}

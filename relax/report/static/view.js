// What the map of the space draws: dots, thumbnails when there is room for them, and over them rings, lines and outlines.

const ROOM = 46;  // px of a thumbnail on the map
const DRAFT = 25_000, REST = 150;  // dots that are drawn while the map moves; ms without a move until all are

function makeView(pictures, canvas, marks) {
  const ink = canvas.getContext("2d"), pen = marks.getContext("2d");
  const wanted = new Uint8Array(pictures.count).fill(1), pale = new Uint8Array(pictures.count);
  let dots = null, image = null, colours = new Uint32Array(pictures.count), column = null;
  let width = 0, height = 0, ratio = 1;
  let camera = {u: 0.5, v: 0.5, scale: 1};  // the middle of the map, and px per unit
  let fit = 1, asked = 0, moved = true, last = {hovered: -1, neighbours: [], outline: null, cross: false};
  let filtered = false;
  const faint = new Uint32Array(pictures.count);
  let withThumbnails = true, resting = 0;  // the timer that draws all dots, while the map moves
  const thumbnails = new Map();

  // -- From places to px and back --

  const toScreen = (u, v) => [(u - camera.u) * camera.scale + width / 2, height / 2 - (v - camera.v) * camera.scale];
  const toPlane = (across, down) => [(across - width / 2) / camera.scale + camera.u, (height / 2 - down) / camera.scale + camera.v];
  const screen = (picture) => toScreen(dots.x[picture], dots.y[picture]);

  function all() {
    const known = [dots.x, dots.y].map((axis) => axis.reduce(([low, high], value) => (isNaN(value) ? [low, high] : [Math.min(low, value), Math.max(high, value)]), [Infinity, -Infinity]));
    const [[left, right], [low, high]] = known;
    fit = 0.92 * Math.min(width / Math.max(right - left, 1e-3), height / Math.max(high - low, 1e-3));
    camera = {u: (left + right) / 2, v: (low + high) / 2, scale: fit};
    later();
  }

  function move(across, down) {
    camera.u = clamp(camera.u - across / camera.scale, 0, 1);
    camera.v = clamp(camera.v + down / camera.scale, 0, 1);
    hurry();
  }

  /** Zoom so that the place under a point of the screen stays there. */
  function zoom(by, across, down) {
    const [u, v] = toPlane(across, down);
    camera.scale = clamp(camera.scale * by, fit / 2, fit * 400);
    camera.u = u - (across - width / 2) / camera.scale;
    camera.v = v + (down - height / 2) / camera.scale;
    hurry();
  }

  // -- Drawing --

  function resize() {
    const box = marks.getBoundingClientRect();
    if (!box.width || !box.height) return;
    const before = width;
    [width, height] = [box.width, box.height];
    ratio = pictures.count > 30_000 ? 1 : Math.min(devicePixelRatio, 2);
    Object.assign(canvas, {width: Math.round(width * ratio), height: Math.round(height * ratio)});
    Object.assign(marks, {width: Math.round(width * devicePixelRatio), height: Math.round(height * devicePixelRatio)});
    image = ink.createImageData(canvas.width, canvas.height);
    if (before) later(); else all();
  }

  /** Dots grow when one comes closer, and are smaller where there are more of them. */
  const sizeNow = () => clamp((0.075 * Math.sqrt(width * height)) / dots.count ** 0.31, 3, 10) * clamp((camera.scale / fit) ** 0.3, 1, 2.2);

  /** Draw once before the next frame: the dots, or only what lies over them. */
  function later(dotsToo = true) {
    moved ||= dotsToo;
    asked ||= requestAnimationFrame(() => {
      asked = 0;
      if (!image || !dots) return;
      if (moved) draw();
      moved = false;
      sketch(last);
    });
  }

  /** As `later`, of many dots only some; once the map rests, all. */
  function hurry() {
    clearTimeout(resting);
    resting = setTimeout(() => { resting = 0; later(); }, REST);
    later();
  }

  function draw() {
    const turns = resting ? Math.min(DRAFT, dots.count) : dots.count;
    canvas.dataset.drawn = turns;
    const pixels = new Uint32Array(image.data.buffer);
    const {backgroundColor, color} = getComputedStyle(canvas);
    pixels.fill((rgb(backgroundColor) | 0xff000000) >>> 0);
    const place = {scale: camera.scale * ratio, left: (width / 2 - camera.u * camera.scale) * ratio, top: (height / 2 + camera.v * camera.scale) * ratio};
    const size = Math.round(2 * sizeNow() * ratio) / 2;
    if (filtered) drawDots(pixels, canvas.width, canvas.height, dots, faint.fill(rgb(color)), pale, place, size, turns);
    drawDots(pixels, canvas.width, canvas.height, dots, colours, wanted, place, size, turns);
    ink.putImageData(image, 0, 0);
    drawThumbnails();
  }

  /** Thumbnails in place of the dots, framed in their colours, as soon as there is room for all in sight. */
  function drawThumbnails() {
    if (!withThumbnails) return;
    const room = (0.45 * width * height) / ROOM ** 2, seen = [];
    for (let picture = 0; picture < dots.count; picture++) {
      if (!wanted[picture]) continue;
      const [across, down] = screen(picture);
      if (across > -ROOM && down > -ROOM && across < width + ROOM && down < height + ROOM && seen.push(picture) > room) return;
    }
    for (const picture of seen) {
      const small = thumbnails.get(picture);
      if (!small) { fetchThumbnail(picture); continue; }
      const [across, down] = screen(picture), factor = (ROOM - 6) / Math.max(small.width, small.height);
      const [wide, high] = [small.width * factor, small.height * factor];
      ink.fillStyle = css(colours[picture]);
      ink.fillRect((across - wide / 2 - 2) * ratio, (down - high / 2 - 2) * ratio, (wide + 4) * ratio, (high + 4) * ratio);
      ink.drawImage(small, (across - wide / 2) * ratio, (down - high / 2) * ratio, wide * ratio, high * ratio);
    }
  }

  async function fetchThumbnail(picture) {
    if (thumbnails.size > 2000) thumbnails.clear();
    thumbnails.set(picture, null);
    thumbnails.set(picture, await pictures.draw(picture).ready);
    later();
  }

  /** Rings, lines to the nearest pictures in the space itself, the outline of a selection, the cross of the keys. */
  function sketch(what) {
    const style = getComputedStyle(marks), size = sizeNow();
    pen.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.strokeStyle = pen.fillStyle = style.color;
    const ring = (picture, radius, thick) => {
      pen.lineWidth = thick;
      pen.beginPath();
      pen.arc(...screen(picture), radius, 0, 7);
      pen.stroke();
    };
    if (what.hovered >= 0 && !isNaN(dots.x[what.hovered])) {
      const placed = what.neighbours.filter((picture) => !isNaN(dots.x[picture]));
      pen.lineWidth = 1.25;
      pen.globalAlpha = 0.75;
      pen.beginPath();
      for (const picture of placed) { pen.moveTo(...screen(what.hovered)); pen.lineTo(...screen(picture)); }
      pen.stroke();
      pen.globalAlpha = 1;
      placed.forEach((picture) => ring(picture, size / 2 + 3, 1.5));
      ring(what.hovered, size / 2 + 5, 2.5);
    }
    if (what.outline) {
      pen.lineWidth = 1.5;
      pen.beginPath();
      what.outline.forEach((point) => pen.lineTo(...point));
      pen.closePath();
      pen.stroke();
      pen.globalAlpha = 0.12;
      pen.fill();
      pen.globalAlpha = 1;
    }
    if (what.cross) {
      pen.lineWidth = 1.5;
      pen.beginPath();
      for (const [across, down] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        pen.moveTo(width / 2 + 5 * across, height / 2 + 5 * down);
        pen.lineTo(width / 2 + 14 * across, height / 2 + 14 * down);
      }
      pen.stroke();
    }
  }

  new ResizeObserver(resize).observe(marks);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { recolour(); later(); });

  let given = [null, null];
  /** Colour by a column: a colour per picture, as [red, green, blue]. */
  function recolour(next = given) {
    given = next;
    [column] = next;
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    for (let picture = 0; picture < pictures.count; picture++) colours[picture] = given[1](picture, dark);
    later();
  }

  return {
    screen, all, move, zoom, sketch(what) { last = what; later(false); }, colour: (next, of) => recolour([next, of]),
    plane(at) {
      dots = makeDots(pictures.planes[at].x, pictures.planes[at].y);
      if (width) all(); else resize();
    },
    follow(order, everything) {
      filtered = !everything;
      pale.fill(everything ? 0 : 1);
      wanted.fill(everything ? 1 : 0);
      if (!everything) for (const picture of order) { wanted[picture] = 1; pale[picture] = 0; }
      later();
    },
    thumbnails(on) { withThumbnails = on; later(); },
    nearest(across, down, reach) {
      const [u, v] = toPlane(across, down);
      return dots.nearest(u, v, reach / camera.scale, (picture) => wanted[picture]);
    },
    inside: (path) => dots.inside(path.map((point) => toPlane(...point))).filter((picture) => wanted[picture]),
    legendText: (picture) => (column ? `${column.name} ${column.text(picture)}` : ""),
  };
}

/** "rgb(1, 2, 3)" as a number, its bytes red, green, blue from the lowest; and back. */
const rgb = (text) => { const [r, g, b] = text.match(/\d+/g).map(Number); return r | (g << 8) | (b << 16); };
const css = (colour) => `rgb(${colour & 255}, ${(colour >> 8) & 255}, ${(colour >> 16) & 255})`;

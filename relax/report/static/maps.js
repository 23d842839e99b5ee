// From the packed maps of an explanation to canvases.

const CODE = JSON.parse(document.querySelector("script.colours")?.textContent ?? "null");
const TABLES = Object.fromEntries(Object.entries(CODE?.tables ?? {}).map(([name, text]) => [name, bytesOf(text)]));

/** The values of a map, row by row; NaN where there is none. */
async function decoded(map, [rows, columns]) {
  const count = rows * columns, values = new Float64Array(count).fill(NaN);
  if (!map) return values;
  const planes = new Uint8Array(await inflated(map.steps));
  const steps = new Uint16Array(count);  // sums wrap around at 65,536, as the differences do
  for (let row = 0, at = 0; row < rows; row++) {
    let down = 0;
    for (let column = 0; column < columns; column++, at++) {
      down += planes[at] | (planes[count + at] << 8);
      steps[at] = down + (row ? steps[at - columns] : 0);
      if (steps[at] !== CODE.never) values[at] = map.low + (steps[at] / CODE.steps) * (map.high - map.low);
    }
  }
  return values;
}

async function photograph(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  return image;
}

const share = (value, {low, high}) => (high > low ? clamp((value - low) / (high - low), 0, 1) : 0.5);

/** A small canvas (columns, rows) from a function that gives red, green, blue and opacity of each pixel. */
function coloured(columns, rows, colour) {
  const image = new ImageData(columns, rows);
  for (let at = 0; at < rows * columns; at++) image.data.set(colour(at), 4 * at);
  return drawing(columns, rows, (ink) => ink.putImageData(image, 0, 0));
}

/** The photograph in pale grey, so that none of its colours can be mistaken for a value. */
function greyed(ink, photo, width, height) {
  ink.drawImage(photo, 0, 0, width, height);
  const image = ink.getImageData(0, 0, width, height), {data} = image;
  for (let at = 0; at < data.length; at += 4) {
    const grey = 110 + (0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2]) * (135 / 255);
    data.fill(grey, at, at + 3);
  }
  ink.putImageData(image, 0, 0);
}

/** Hatching where the small canvas is opaque: there is no value. */
function hatched(where, width, height) {
  return drawing(width, height, (ink) => {
    ink.imageSmoothingEnabled = false;
    ink.drawImage(where, 0, 0, width, height);
    ink.globalCompositeOperation = "source-atop";
    ink.fillStyle = "#e4e4e4";
    ink.fillRect(0, 0, width, height);
    ink.strokeStyle = "#a8a8a8";
    ink.lineWidth = 1.5;
    ink.beginPath();
    for (let left = -height; left < width; left += 12) {
      ink.moveTo(left, height);
      ink.lineTo(left + height, 0);
    }
    ink.stroke();
  });
}

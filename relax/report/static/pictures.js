// All pictures of the page: their names, columns, places on the maps, nearest ones, thumbnails and tags.

const NOWHERE = 65535;  // of a picture without a place, and of one without a group
const TYPES = {u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, f4: Float32Array};

function bytesOf(text) {
  const letters = atob(text), bytes = new Uint8Array(letters.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = letters.charCodeAt(at);
  return bytes;
}

async function inflated(text) {
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

const arrayOf = async ({type, data}) => new TYPES[type](await inflated(data));
const textOf = async (data) => JSON.parse(new TextDecoder().decode(await inflated(data)));

/** What the page says about its pictures; null if it has none. */
async function readPictures() {
  const source = document.querySelector("script.collection");
  if (!source) return null;
  const data = JSON.parse(source.textContent);
  const names = await textOf(data.names);
  const exhibit = new Int32Array(names.length).fill(-1);
  data.explained.forEach((picture, place) => { exhibit[picture] = place; });
  return {
    names,
    count: names.length,
    columns: await Promise.all(data.columns.map(readColumn)),
    planes: await Promise.all(data.planes.map(readPlane)),
    colourBy: data.colour_by,
    nearest: await readNeighbours(data.neighbours),
    linked: data.linked ? {nearest: await readNeighbours(data.linked), number: data.linked.number} : null,
    exhibit,
    explained: data.explained,
    captions: data.captions ? await textOf(data.captions) : [],
    order: data.order,
    stack: data.stack,
    profile: data.profile,
    alike: data.alike,
    window: data.window,
    draw: await readThumbnails(data.thumbnails, exhibit),
    tags: readTags(names),
  };
}

async function readColumn(data) {
  const values = await arrayOf(data.values);
  if (data.kind === "numbers") {
    let [low, high] = [Infinity, -Infinity];
    for (const value of values) if (!isNaN(value)) [low, high] = [Math.min(low, value), Math.max(high, value)];
    return {...data, values, low, high, text: (picture) => (isNaN(values[picture]) ? "unknown" : brief(values[picture]))};
  }
  const labels = await textOf(data.labels), sizes = new Uint32Array(labels.length);
  values.forEach((code) => { if (code !== NOWHERE) sizes[code]++; });
  return {...data, values, labels, sizes, text: (picture) => labels[values[picture]] ?? "unknown"};
}

/** Places in [0, 1], upwards and to the right; NaN without one. */
async function readPlane({name, places, known}) {
  const steps = await arrayOf(places), count = steps.length / 2;
  const axis = (offset) => Float32Array.from({length: count}, (_, at) => (steps[2 * at] === NOWHERE ? NaN : steps[2 * at + offset] / (NOWHERE - 1)));
  return {name, known, x: axis(0), y: axis(1)};
}

/** From a picture to its nearest ones in the space itself, closest first. */
async function readNeighbours(data) {
  if (!data) return () => [];
  const [pictures, similarities] = await Promise.all([arrayOf(data.pictures), arrayOf(data.similarities)]);
  return (picture) => Array.from({length: data.each}, (_, rank) => {
    const at = picture * data.each + rank;
    return {picture: pictures[at], similarity: similarities[at]};
  });
}

// ---- Thumbnails ----

const SHEETS = 6;  // decoded ones that are kept; 16 MB each

/** A function that draws the thumbnail of a picture on a canvas of its own, which it returns at once. */
async function readThumbnails(data, exhibit) {
  const entries = document.querySelectorAll(".sheet img:first-child");
  const files = document.querySelectorAll("script.sheet-file");
  const sizes = data ? await arrayOf(data.sizes) : null;
  const decoded = new Map();  // by number, the latest last

  function sheet(number) {
    const known = decoded.get(number) ?? createImageBitmap(new Blob([bytesOf(files[number].textContent)], {type: "image/webp"}));
    decoded.delete(number);
    decoded.set(number, known);
    if (decoded.size > SHEETS) decoded.delete(decoded.keys().next().value);
    return known;
  }

  /** Draw it, and return the canvas; `ready` holds once it is there. */
  return (picture) => {
    const canvas = document.createElement("canvas");
    canvas.ready = (async () => {
      if (data && sizes[2 * picture]) {
        const [width, height] = sizes.subarray(2 * picture, 2 * picture + 2), each = data.across ** 2;
        const bitmap = await sheet(Math.floor(picture / each)), at = picture % each;
        Object.assign(canvas, {width, height});
        const left = (at % data.across) * data.side, top = Math.floor(at / data.across) * data.side;
        canvas.getContext("2d").drawImage(bitmap, left, top, width, height, 0, 0, width, height);
      } else if (entries[exhibit[picture]]) {
        const image = entries[exhibit[picture]];
        await image.decode();
        Object.assign(canvas, {width: image.naturalWidth, height: image.naturalHeight});
        canvas.getContext("2d").drawImage(image, 0, 0);
      } else {
        Object.assign(canvas, {width: 4, height: 3});
      }
      return canvas;
    })();
    return canvas;
  };
}

// ---- Tags: kept in this browser where it allows that, and in any case until the page is closed ----

function readTags(names) {
  let hash = 7;
  for (const letter of names.join("\n")) hash = (hash * 31 + letter.codePointAt(0)) | 0;
  const key = `relax-tags ${document.title} ${names.length} ${hash}`;
  const tags = new Map();  // from a picture to the set of its tags
  try {
    const kept = JSON.parse(localStorage.getItem(key) ?? "[]");
    for (const [picture, ...words] of kept) if (picture in names) tags.set(picture, new Set(words.map(String)));
  } catch { /* a browser that keeps nothing for files */ }

  function keep() {
    try {
      localStorage.setItem(key, JSON.stringify([...tags].map(([picture, words]) => [picture, ...words])));
    } catch { /* as above */ }
  }

  return {
    of: (picture) => [...(tags.get(picture) ?? [])].sort(),
    has: (picture, word) => Boolean(tags.get(picture)?.has(word)),
    all: () => [...new Set([...tags.values()].flatMap((words) => [...words]))].sort(),
    add(pictures, word) {
      for (const picture of pictures) tags.set(picture, (tags.get(picture) ?? new Set()).add(word));
      keep();
    },
    remove(picture, word) {
      tags.get(picture)?.delete(word);
      if (!tags.get(picture)?.size) tags.delete(picture);
      keep();
    },
  };
}

/** The pictures as a table: name, tags, every column. */
function tableOf(pictures, chosen) {
  const value = ({kind, values, labels}, picture) => {
    if (kind === "groups") return labels[values[picture]];
    return isNaN(values[picture]) ? "" : Number(values[picture].toPrecision(7));  // as many digits as were stored
  };
  const rows = Array.from(chosen, (picture) => [
    pictures.names[picture], pictures.tags.of(picture).join("; "), ...pictures.columns.map((column) => value(column, picture))]);
  return csv([["path", "tags", ...pictures.columns.map((column) => column.name)], ...rows]);
}

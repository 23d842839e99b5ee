// Painting over the picture: what is painted is hidden, and the server says how similar the rest is to the whole.

const LONGEST = 320;  // px of the painted layer along its longer side
const TINT = "#d6246e";
const layer = document.createElement("canvas"), ink = layer.getContext("2d", {willReadFrequently: true});
const photo = new Image();
let brushAt = null;   // where the brush is, in px of the layer
let stroking = false;
let asking = false, changed = false;  // whether an answer is awaited, and whether more was painted since

/** Begin anew with the picture. */
async function easel() {
  const {width, height, shown} = pictures.image, factor = LONGEST / Math.max(width, height);
  layer.width = Math.max(1, Math.round(width * factor));
  layer.height = Math.max(1, Math.round(height * factor));
  $("easel").width = layer.width * 2;
  $("easel").height = layer.height * 2;
  $("easel").style.setProperty("--shape", width / height);
  brushAt = [layer.width / 2, layer.height / 2];
  photo.src = shown;
  $("paint").hidden = false;
  await photo.decode();
  draw();
  await painted();
}

function draw() {
  const pen = $("easel").getContext("2d"), {width, height} = $("easel");
  pen.globalAlpha = 1;
  pen.drawImage(photo, 0, 0, width, height);
  pen.globalAlpha = 0.72;
  pen.drawImage(layer, 0, 0, width, height);
  pen.globalAlpha = 1;
  if (document.activeElement !== $("easel")) return;
  for (const [colour, wide] of [["#000", 3], ["#fff", 1.5]]) {
    pen.beginPath();
    pen.arc(2 * brushAt[0], 2 * brushAt[1], 2 * radius(), 0, 7);
    Object.assign(pen, {strokeStyle: colour, lineWidth: wide});
    pen.stroke();
  }
}

const radius = () => $("brush").valueAsNumber;

/** Paint from where the brush is to a place. */
function stroke(to) {
  ink.globalCompositeOperation = $("erase").checked ? "destination-out" : "source-over";
  Object.assign(ink, {strokeStyle: TINT, lineWidth: 2 * radius(), lineCap: "round"});
  ink.beginPath();
  ink.moveTo(...brushAt);
  ink.lineTo(to[0] + 0.01, to[1]);
  ink.stroke();
  brushAt = to;
  draw();
  painted();
}

/** Ask for the similarity; while an answer is awaited, only that more was painted is noted. */
async function painted() {
  if (!pictures.image || !layer.width) return;
  changed = true;
  if (asking) return;
  asking = true;
  try {
    while (changed) {
      changed = false;
      showSimilarity(await json("POST", "painted", JSON.stringify({form: settings(), layer: hidden()})));
    }
  } catch (error) {
    $("painted").textContent = error.message;
  } finally {
    asking = false;
  }
}

/** The layer as bytes, 1 where it is painted. */
function hidden() {
  const {data} = ink.getImageData(0, 0, layer.width, layer.height);
  let text = "";
  for (let at = 3; at < data.length; at += 4) text += data[at] > 127 ? "\x01" : "\x00";
  return {rows: layer.height, columns: layer.width, hidden: btoa(text)};
}

function showSimilarity({share, scores, view}) {
  const {cosine, l2} = scores;
  const rows = [["the whole picture", "whole"]];
  if ("reference" in cosine) rows.push(["the reference", "reference"], ["(whole picture to the reference)", "reference_whole"]);
  rows.push(["(all hidden, to the whole picture)", "all"]);
  document.querySelector("#similar tbody").replaceChildren(...rows.map(([words, name]) => {
    const head = Object.assign(element("th", words), {scope: "row"});
    const row = element("tr", head, element("td", fixed(cosine[name])), element("td", fixed(-l2[name])));
    row.dataset.name = name;
    return row;
  }));
  $("painted").textContent = share ? `${fixed(100 * share, 1)} % of what the encoder sees is hidden.` : "Nothing is painted yet.";
  $("painted").dataset.share = share;
  $("view").src = view;
  $("view").hidden = false;
  $("view").alt = "What the encoder gets";
  $("view-words").textContent = "What the encoder gets";
}

function placeOf(event) {
  const box = $("easel").getBoundingClientRect();
  return [(event.clientX - box.left) / box.width * layer.width, (event.clientY - box.top) / box.height * layer.height];
}

$("easel").addEventListener("pointerdown", (event) => {
  $("easel").setPointerCapture(event.pointerId);
  stroking = true;
  brushAt = placeOf(event);
  stroke(brushAt);
});
$("easel").addEventListener("pointermove", (event) => {
  if (stroking) stroke(placeOf(event));
});
for (const kind of ["pointerup", "pointercancel"]) $("easel").addEventListener(kind, () => { stroking = false; });
for (const kind of ["focus", "blur"]) $("easel").addEventListener(kind, () => { if (brushAt) draw(); });
$("brush").addEventListener("input", () => { if (brushAt) draw(); });

const steps = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
$("easel").addEventListener("keydown", (event) => {
  const step = steps[event.key];
  if (!brushAt || event.altKey || event.ctrlKey || event.metaKey) return;
  if (step) {
    const far = event.shiftKey ? 20 : 5, ends = [layer.width, layer.height];
    brushAt = brushAt.map((value, axis) => Math.min(ends[axis], Math.max(0, value + far * step[axis])));
    draw();
  } else if (event.key === " " || event.key === "Enter") {
    stroke(brushAt);
  } else return;
  event.preventDefault();
});

$("clear").addEventListener("click", () => {
  ink.clearRect(0, 0, layer.width, layer.height);
  draw();
  painted();
});
$("all").addEventListener("click", () => {
  Object.assign(ink, {globalCompositeOperation: "source-over", fillStyle: TINT});
  ink.fillRect(0, 0, layer.width, layer.height);
  draw();
  painted();
});

// The form: pictures and settings.

const OWN = "own";  // the entry of the fills that stands for a grey or a colour
const pictures = {};  // by role: what the server said of them

function buildForm() {
  const {defaults, limits} = offered;
  options("encoder", offered.encoders.map((spec, at) => [at, spec]));
  options("method", offered.methods.map(({name, family}) => [name, `${name} (${family})`]));
  options("fill", [...Object.entries(offered.fills).map(([name, what]) => [name, `${name}: ${what.split(";")[0]}`]), [OWN, "a grey or a colour"]]);
  options("regions", Object.entries(offered.regions).map(([name, what]) => [name, `${name}: ${what}`]));
  options("similarity", Object.entries(offered.similarities));
  for (const [name, what] of Object.entries(offered.examples)) $("example").append(new Option(`${name}: ${what}`, name));
  for (const name of ["cells", "keep", "seed", "regions", "similarity", "fill"]) $(name).value = defaults[name];
  Object.assign($("masks-range"), {min: 100, step: 100, max: Math.min(10_000, limits.masks)});
  $("masks").max = $("more").max = limits.masks;
  for (const name of ["masks", "cells", "keep"]) {
    $(`${name}-range`).addEventListener("input", () => { $(name).value = $(`${name}-range`).value; });
    $(name).addEventListener("input", () => { $(`${name}-range`).value = $(name).value; });
  }
  $("method").addEventListener("change", describeMethod);
  $("fill").addEventListener("change", () => { $("colour-field").hidden = $("fill").value !== OWN; });
  for (const name of ["fill", "colour", "encoder", "seed"]) $(name).addEventListener("change", () => painted());
  describeMethod();
  for (const name of ["cells", "keep"]) $(`${name}-range`).value = $(name).value;
  document.querySelectorAll(".slot").forEach(makeSlot);
  $("example").addEventListener("change", tried(async () => {
    const name = $("example").value;
    if (name) await bring("image", json("PUT", `example/image/${encodeURIComponent(name)}`));
  }));
}

function options(id, entries) {
  $(id).replaceChildren(...entries.map(([value, text]) => new Option(text, value)));
}

const method = () => offered.methods.find(({name}) => name === $("method").value);

function describeMethod() {
  const {cost, silent, samples} = method();
  $("about-method").textContent = `Encoder passes: ${cost}. It cannot say: ${silent}.`;
  $("masks-field").hidden = $("masks").disabled = !samples;
  if (samples) $("masks").value = $("masks-range").value = Math.min(samples, offered.limits.masks);
}

/** The settings of the form, as the server takes them. */
function settings() {
  const number = (name) => ($(name).disabled || $(name).value === "" ? null : $(name).valueAsNumber);
  const {hides} = method();
  return {
    encoder: Number($("encoder").value),
    method: $("method").value,
    masks: number("masks"),
    tolerance: number("tolerance"),
    seed: number("seed"),
    fill: $("fill").value === OWN ? $("colour").value : $("fill").value,
    similarity: $("similarity").value,
    ...(hides ? {cells: number("cells"), keep: number("keep"), regions: $("regions").value} : {}),
  };
}

// ---- Pictures ----

function makeSlot(slot) {
  const {role} = slot.dataset, drop = slot.querySelector(".drop"), input = slot.querySelector("input");
  const take = tried(async (file) => {
    if (!file) return;
    if (file.size > offered.limits.upload) throw new Error(`${file.name} is larger than the ${offered.limits.upload.toLocaleString("en")} bytes that are read here.`);
    if (role === "image") $("example").value = "";
    await bring(role, json("PUT", `picture/${role}`, file, {"X-Name": encodeURIComponent(file.name)}));
  });
  input.addEventListener("change", () => { take(input.files[0]).then(() => { input.value = ""; }); });
  for (const kind of ["dragenter", "dragover"]) drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => { event.preventDefault(); take(event.dataTransfer.files[0]); });
  $(`${role}-choice`).addEventListener("change", tried(async () => {
    await bring(role, json("POST", `picture/${role}`, JSON.stringify({choice: $(`${role}-choice`).value})));
  }));
  slot.querySelector(".away")?.addEventListener("click", tried(async () => {
    await ask("DELETE", `picture/${role}`);
    delete pictures[role];
    showPicture(role);
    painted();
  }));
}

// A file dropped beside the field must not replace the page.
for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());

/** Take a picture into a role, once the server has read it. */
async function bring(role, answer) {
  pictures[role] = await answer;
  showPicture(role);
  say(`${pictures[role].name} was read`);
  if (role === "image") {
    forget();
    easel();
  } else {
    painted();
  }
}

function showPicture(role) {
  const slot = document.querySelector(`.slot[data-role="${role}"]`), picture = pictures[role];
  const small = slot.querySelector(".small"), away = slot.querySelector(".away");
  small.hidden = !picture;
  if (picture) small.src = picture.shown;
  slot.querySelector(".named").textContent = picture ? [`${picture.name}, ${picture.width} × ${picture.height} px`, picture.read].filter(Boolean).join("; ") : "";
  if (away) away.hidden = !picture;
  slot.querySelector(".choice").hidden = !picture?.choices;
  $(`${role}-choice`).value = picture?.choice ?? "";
}

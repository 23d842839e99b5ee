// An explanation while it runs, and what there is of it afterwards.

let errors = [];  // [masks, median standard error] of the looks so far
let runs = 0;     // of this page; an answer that belongs to an earlier picture is not shown

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  run(settings());
});
$("add").addEventListener("click", () => run({more: $("more").valueAsNumber}));
$("stop").addEventListener("click", tried(async () => {
  $("stop").disabled = true;
  await ask("DELETE", "explanation");
}));

const run = tried(async (form) => {
  const own = ++runs;
  busy(true);
  $("stage").scrollIntoView({block: "nearest"});
  if (!("more" in form)) errors = [];
  hideResult("more" in form);
  try {
    const answer = await ask("POST", "explanation", JSON.stringify(form));
    for await (const event of lines(answer.body)) {
      if (own === runs) await heard(event);
    }
  } finally {
    if (own === runs) busy(false);
  }
});

/** The lines of an answer as they come, each parsed. */
async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const {done, value} = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part);
  }
}

async function heard(event) {
  if (event.kind === "waiting") {
    $("count").textContent = event.ahead ? `waiting: ${event.ahead} ${event.ahead > 1 ? "are" : "is"} before you` : "starting";
  } else if (event.kind === "progress") {
    $("bar").value = event.done / event.of;
    $("count").textContent = `${event.done.toLocaleString("en")} of ${event.of.toLocaleString("en")}`;
  } else if (event.kind === "look") {
    showMap(event);
  } else if (event.kind === "done") {
    showMap(event);
    busy(false);
    await showResult(event);
  } else if (event.kind === "stopped") {
    say(event.words);
    $("count").textContent = event.words;
    trouble({message: `This run was ${event.words}.`});
  } else {
    throw new Error(event.words);
  }
}

function busy(is) {
  $("explain").disabled = $("add").disabled = is;
  $("stop").disabled = !is;
  $("running").hidden = !is;
  if (is) {
    $("bar").removeAttribute("value");
    $("count").textContent = "starting";
  }
}

/** The map over the picture, and its error. */
function showMap(look) {
  const stack = document.querySelector(".stack");
  $("map").src = look.overlay;
  $("map").alt = `Importance of ${pictures.image.name} from ${look.masks} masks, over the picture`;
  $("map").hidden = $("result").hidden = false;
  stack.dataset.looks = Number(stack.dataset.looks ?? 0) + 1;
  stack.dataset.masks = look.masks;
  const count = look.early ? `${look.masks.toLocaleString("en")} of ${look.of.toLocaleString("en")}` : look.masks.toLocaleString("en");
  $("words").textContent = `${look.masks ? `${count} masks: ` : ""}${look.words}.`;
  $("notes").replaceChildren(...[...look.doubts, ...(look.notes ?? [])].map((note) => element("li", note)));
  if (look.error) errors.push([look.masks, look.error.median]);
  drawCurve();
}

/** The error against the masks, from 0. */
function drawCurve() {
  $("curve").toggleAttribute("hidden", errors.length < 2);
  if (errors.length < 2) return;
  const most = errors.at(-1)[0], top = Math.max(...errors.map(([, error]) => error));
  const place = ([masks, error]) => `${(198 * masks / most).toFixed(1)} ${(42 - 28 * error / top).toFixed(1)}`;
  $("line").setAttribute("d", `M${errors.map(place).join("L")}`);
  $("curve-top").textContent = `median error, ${top.toPrecision(2)} to ${errors.at(-1)[1].toPrecision(2)}`;
  $("curve-end").textContent = `${most.toLocaleString("en")} masks`;
}

function hideResult(keepMap) {
  for (const id of ["figure-section", "viewer-section", "saving", "adding"]) $(id).hidden = true;
  if (!keepMap) $("map").hidden = $("result").hidden = true;
  delete document.querySelector(".stack").dataset.done;
}

/** A new picture: nothing of the one before is shown any more. */
function forget() {
  runs++;
  busy(false);
  errors = [];
  hideResult(false);
  const {image} = pictures, stack = document.querySelector(".stack");
  $("shown").src = image.shown;
  $("shown").alt = image.name;
  stack.style.setProperty("--shape", image.width / image.height);
  stack.dataset.looks = stack.dataset.masks = 0;
  stack.hidden = false;
  $("empty").hidden = true;
}

const blob = async (ending) => {
  const answer = await ask("GET", `file/${ending}`);
  return [decodeURIComponent(answer.headers.get("X-Name")), await answer.blob()];
};

/** Figure, values and what can be saved. */
async function showResult(look) {
  say(`done: ${$("words").textContent}`);
  $("adding").hidden = !look.more;
  const made = await json("GET", "lines");
  $("command").textContent = made.command;
  $("python").textContent = made.python;
  $("files").replaceChildren(...[".zip", ...offered.files].map((ending) => {
    const button = Object.assign(element("button", ending === ".zip" ? "All as ZIP" : ending), {type: "button"});
    button.addEventListener("click", tried(() => save(ending)));
    return button;
  }));
  $("saving").hidden = false;
  $("viewer").height = 1;
  $("viewer").srcdoc = await (await ask("GET", "viewer")).text();
  $("viewer-section").hidden = false;
  const [, figure] = await blob(".png");
  URL.revokeObjectURL($("figure").src);
  $("figure").src = URL.createObjectURL(figure);
  $("figure").alt = `${pictures.image.name}: the picture, the importance over it, the importance and the uncertainty. ${$("words").textContent}`;
  $("figure-section").hidden = false;
  document.querySelector(".stack").dataset.done = look.masks;
}

async function save(ending) {
  const [name, content] = await blob(ending);
  const link = Object.assign(document.createElement("a"), {href: URL.createObjectURL(content), download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// The viewer in its frame says how high it is.
addEventListener("message", (event) => {
  if (event.source && event.source === $("viewer").contentWindow) $("viewer").height = Math.min(Number(event.data) || 1, 4000);
});
$("viewer").addEventListener("load", () => $("viewer").contentWindow.postMessage("height", "*"));

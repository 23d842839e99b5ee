// Show the one picture, and tell the notebook how high the frame must be.

const tellHeight = () => {
  if ("ready" in document.documentElement.dataset) parent.postMessage(Math.ceil(document.body.getBoundingClientRect().height), "*");
};

async function start() {
  const viewer = makeViewer(await readPictures(), () => [0]);
  await viewer.show(0);
  document.documentElement.dataset.ready = "";
  tellHeight();
  new ResizeObserver(tellHeight).observe(document.body);
}

addEventListener("message", tellHeight);
start();

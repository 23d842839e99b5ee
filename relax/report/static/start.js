// Bring the page to life. Without pictures there is nothing to do; without what it takes, the page stays as it was printed.

async function start() {
  const pictures = await readPictures();
  if (!pictures) return;
  let space = null, follow = [null, true];
  const viewer = makeViewer(pictures, () => gallery.order());
  const gallery = makeGallery(pictures, (...shown) => {
    follow = shown;
    space?.follow(...shown);
    viewer.redescribe();
  }, viewer.open);
  viewer.element.addEventListener("tagged", gallery.retagged);
  if (pictures.planes.length && document.querySelector(".space")) {
    document.querySelector(".space").hidden = false;
    document.body.classList.add("live");
    space = makeSpace(pictures, gallery, viewer.open);
    space.follow(...follow);
  }
  if (!pictures.explained.length) viewer.element.classList.add("unexplained");
  if (pictures.stack) makeStack(pictures, viewer);
  if (pictures.window) makeWindow(pictures, viewer);
  $("shared").checked = Boolean(pictures.alike);
  await viewer.show(pictures.stack ? Math.floor((pictures.count - 1) / 2) : pictures.explained[0] ?? gallery.order()[0]);
  document.documentElement.dataset.ready = "";
}

start();

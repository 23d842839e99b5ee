"""One explanation below the cell of a notebook: the viewer of the reports in a frame of its own.

The frame is sandboxed: its script reaches neither notebook nor network, and the styles of two cells do not clash.
Until its script has run, and where none may, as on GitHub or in a notebook that is not trusted, the figure is there.
"""

from __future__ import annotations

import html
import io
from string import Template

import numpy as np
from PIL import Image

from relax.maps import ExplanationLike
from relax.plotting.figure import figure_file
from relax.report.content import Exhibit
from relax.report.gallery import gallery
from relax.report.maps import jpeg
from relax.report.page import part, policy
from relax.report.text import escaped, plain, without_folders
from relax.scale import doubts

STYLES = ("page.css", "viewer.css", "notebook.css")
SCRIPTS = ("page.js", "pictures.js", "maps.js", "viewer.js", "notebook.js")
FIGURE = 1080  # px of the longer side of the figure

# Browsers draw nothing in a frame without height; in one line of pixels its script can run and say how much it needs.
LOADED = """const frame = this, figure = frame.nextElementSibling;
window.addEventListener('message', (event) => {
  if (!event.source || event.source !== frame.contentWindow) return;
  frame.height = Math.min(Number(event.data) || 0, 4000);
  figure.hidden = frame.height > 1;
});
frame.contentWindow.postMessage('height', '*');"""


def notebook_html(explanation: ExplanationLike) -> str:
    """HTML for a cell of a notebook: 0.2 to 0.5 MB for a photograph, at most 2 MB, whatever the size of the picture.

    The picture has at most 640 px along its longer side, and each map 256.
    """
    title, page = escaped(plain(_title(explanation))), viewer_page(explanation)
    drawing = np.asarray(Image.open(io.BytesIO(figure_file(explanation))).convert("RGB"))
    return (
        f'<div><iframe sandbox="allow-scripts" srcdoc="{html.escape(page)}" title="{title}" height="1" '
        f'style="width: 100%; border: 0" onload="{html.escape(LOADED)}"></iframe>'
        f'<img src="{jpeg(drawing, FIGURE)}" alt="{title}"></div>'
    )


def viewer_page(explanation: ExplanationLike) -> str:
    """The viewer of one explanation as a page, for a frame that lets scripts run and nothing else.

    It posts its height in px to the page around it, at each change and whenever it gets a message.
    """
    title, (style, script) = _title(explanation), viewer_parts()
    notes = tuple(("Doubt", str(doubt)) for doubt in doubts(explanation))
    return Template(part("notebook.html")).substitute(
        policy=policy(style, script),
        title=escaped(title),
        body="".join(gallery([Exhibit(explanation, title, notes=notes)], None, part("viewer.html"))),
        style=style,
        script=script,
    )


def viewer_parts() -> tuple[str, str]:
    """The style and the script of `viewer_page`, which are the same in all of them."""
    return "\n".join(map(part, STYLES)), "\n".join(map(part, SCRIPTS))


def _title(explanation: ExplanationLike) -> str:
    return str(without_folders(explanation.provenance).get("image", "an image"))

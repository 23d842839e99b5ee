"""Whether a folder of HTML holds together: links lead to pages and places on them, nothing is loaded from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

LOADED = {
    "img",
    "script",
    "source",
    "iframe",
    "video",
    "audio",
    "embed",
}  # tags whose address a browser fetches by itself


@dataclass
class Page(HTMLParser):
    """The addresses and the anchors of one page."""

    links: set[str] = field(default_factory=set)
    loaded: set[str] = field(default_factory=set)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the address of a tag, and the anchor that it is."""
        values = {name: value for name, value in attrs if value}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        address = values.get("href") or values.get("src")
        if address is None or address.startswith("data:"):
            return
        fetched = tag in LOADED or (tag == "link" and values.get("rel") != "canonical")
        (self.loaded if fetched else self.links).add(address)


def faults(site: Path) -> list[str]:
    """What is wrong, a line each: files and anchors that are not there, and what would be loaded from elsewhere."""
    pages = {path: _read(path) for path in sorted(site.rglob("*.html"))}
    lines = []
    for path, page in pages.items():
        name = path.relative_to(site)
        lines += [f"{name} loads {address}" for address in sorted(page.loaded) if urlsplit(address).netloc]
        for address in sorted(page.loaded | page.links):
            if urlsplit(address).scheme or urlsplit(address).netloc:
                continue
            target, anchor = _target(site, path, address)
            if not target.is_file():
                lines.append(f"{name} refers to {address}, which is not there")
            elif anchor and target in pages and anchor not in pages[target].anchors:
                lines.append(f"{name} refers to {address}, a place that is not on that page")
    for style in sorted(site.rglob("*.css")):
        if "@import" in (text := style.read_text()) or "url(http" in text.replace('"', "").replace("'", ""):
            lines.append(f"{style.relative_to(site)} loads something from elsewhere")
    return lines


def _read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text())
    return page


def _target(site: Path, path: Path, address: str) -> tuple[Path, str]:
    """The file that an address on a page stands for, and the anchor in it."""
    plain, anchor = urldefrag(unquote(address))
    plain = plain.split("?")[0]
    start = site if plain.startswith("/") else path.parent
    target = (start / plain.lstrip("/")).resolve() if plain else path.resolve()
    return target / "index.html" if target.is_dir() else target, anchor

"""The page: HTML with the styles of the reports, and the policy under which it fetches nothing from elsewhere."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from relax.report.notebook import viewer_parts
from relax.report.page import hash_source, part

STYLES = ("app.css",)
SCRIPTS = ("app.js", "asking.js", "running.js", "painting.js")


@cache
def page() -> str:
    """The HTML."""
    return own("app.html")


@cache
def style() -> str:
    """The style: that of the reports, then the page's own."""
    return part("page.css") + "".join(map(own, STYLES))


@cache
def script() -> str:
    """The script."""
    return "".join(map(own, SCRIPTS))


@cache
def headers() -> dict[str, str]:
    """Headers of every answer: nothing from elsewhere, in no frame, not kept, no address told to others.

    The viewer stands in a frame without an address, to which the policy of the page applies too: hence its hashes.
    """
    style_hash, script_hash = map(hash_source, viewer_parts())
    policy = [
        "default-src 'none'",
        "connect-src 'self'",
        "img-src 'self' data: blob:",
        f"style-src 'self' {style_hash}",
        f"script-src 'self' {script_hash}",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    return {
        "Content-Security-Policy": "; ".join(policy),
        "Cache-Control": "no-store",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


def own(name: str) -> str:
    """A static file of this room."""
    return (files("relax.app") / "static" / name).read_text(encoding="utf-8")

"""`python -m docs.site`: write the pages to build/pages and the site to build/site, and check every link in it."""

import argparse
from pathlib import Path

from docs.site.build import build
from docs.site.pages import ROOT

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m docs.site", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "build", help="folder for pages/ and site/")
    site = build(parser.parse_args().out)
    print(f"{site / 'index.html'}: {len(list(site.rglob('*.html')))} pages, every link leads somewhere")  # noqa: T201

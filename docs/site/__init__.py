"""The documentation site: the pages in docs/, tables and a reference made from the code, one folder of HTML.

`python -m docs.site` (`make site`) writes build/site. Zensical turns Markdown into HTML; what it is given is plain
Markdown in build/pages, so that another builder could take its place.
"""

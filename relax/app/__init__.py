"""The app: one page in the browser in which a picture is dropped, explained, painted on and saved; `relax serve`.

HTTP is Starlette's and uvicorn's (the extra `[app]`); the page is plain HTML with scripts of its own, so that nothing
is fetched from elsewhere, pictures stay with their visitor, and look and viewer are those of the reports.
"""

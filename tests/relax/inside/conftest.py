"""A browser that opens a file without a network, in which nothing may fail."""

import pytest


@pytest.fixture(scope="module")
def visit(browser):
    """Open a file; `visit.noises` and `visit.requests` say what the pages complained of and asked for."""
    contexts = []

    def open_page(path, **options):
        contexts.append(browser.new_context(offline=True, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)  # a busy machine is not a fault
        page.on("console", lambda message: open_page.noises.append(message.text))
        page.on("pageerror", lambda error: open_page.noises.append(str(error)))
        page.on("request", lambda request: open_page.requests.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]")
        return page

    open_page.noises, open_page.requests = [], []
    yield open_page
    for context in contexts:
        context.close()

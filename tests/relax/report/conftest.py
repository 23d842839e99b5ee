"""A real browser without network, which may open a report and must have nothing to complain about."""

import pytest

from relax.report import write_report


@pytest.fixture
def visit(browser, tmp_path):
    """Open a report; at the end: nothing failed, and no network request was made."""
    noises, requests, contexts = [], [], []

    def open_page(report, **options):
        contexts.append(browser.new_context(offline=True, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)  # a busy machine is not a fault
        page.on("console", lambda message: noises.append(message.text))
        page.on("pageerror", lambda error: noises.append(str(error)))
        page.on("dialog", lambda dialog: (noises.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: requests.append(request.url))
        address = write_report(report, tmp_path / "r.html").as_uri()
        page.goto(address)
        if report.exhibits or report.collection:
            page.wait_for_selector("html[data-ready]")
        return page

    open_page.noises = noises
    yield open_page
    for context in contexts:
        context.close()
    assert noises == []
    assert {url for url in requests if not url.startswith(("data:", "blob:"))} == {(tmp_path / "r.html").as_uri()}


def wait_for_picture(page, number):
    """Wait until this picture is shown."""
    page.wait_for_selector(f".viewer[data-shown='{number}']")

"""A real browser without network, which may open a report and must have nothing to complain about."""

import pytest

from relax.report import write_report


@pytest.fixture
def visit(pages, tmp_path):
    """Open a report; at the end: nothing failed, and no network request was made."""

    def open_page(report, **options):
        page = pages.open(write_report(report, tmp_path / "r.html").as_uri(), offline=True, **options)
        if report.exhibits or report.collection:
            page.wait_for_selector("html[data-ready]")
        return page

    open_page.noises = pages.noises
    yield open_page
    pages.close()
    assert pages.noises == []
    assert pages.asked_beside("data:", "blob:") == {(tmp_path / "r.html").as_uri()}


def wait_for_picture(page, number):
    """Wait until this picture is shown."""
    page.wait_for_selector(f".viewer[data-shown='{number}']")


def wait_until(page, condition, seconds=10):
    """Wait until this JavaScript is true; playwright's own way needs `eval`, which the page's policy forbids."""
    for _ in range(10 * seconds):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    pytest.fail(f"not true after {seconds} s: {condition}")

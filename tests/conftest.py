"""For all tests: Ctrl-C counts, also where a shell started them in the background with it ignored; and a browser."""

import shutil
import signal

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(autouse=True, scope="session")
def ctrl_c_counts():
    """Processes that the tests start inherit this too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def browser():
    """A real one. While it is there, nothing else can use asyncio in this thread, hence one for each module."""
    playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if BROWSER is None:
        pytest.skip("there is no chromium, chromium-browser or google-chrome here")
    with playwright_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield running
        running.close()

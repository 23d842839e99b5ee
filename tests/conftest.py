"""For all tests: Ctrl-C counts, also where a shell started them in the background with it ignored; and a browser."""

import shutil
import signal
from dataclasses import dataclass, field

import pytest

from encoders import names

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(autouse=True, scope="session")
def ctrl_c_counts():
    """Processes that the tests start inherit this too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True, scope="session")
def names_are_remembered_for_the_tests_alone(tmp_path_factory):
    """Names of networks, otherwise in the user's cache."""
    before, names.FOLDER = names.FOLDER, tmp_path_factory.mktemp("names")
    yield
    names.FOLDER = before


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


@dataclass
class Pages:
    """Pages of a browser, each in a context of its own, with what they complained about and what they asked for."""

    browser: object
    noises: list = field(default_factory=list)
    requests: list = field(default_factory=list)
    contexts: list = field(default_factory=list)

    def open(self, address, **options):
        """A page at an address; `options` are those of a context, such as viewport."""
        self.contexts.append(self.browser.new_context(**options))
        page = self.contexts[-1].new_page()
        page.set_default_timeout(30_000)  # a busy machine is not a fault
        page.on("console", lambda message: self.noises.append(message.text))
        page.on("pageerror", lambda error: self.noises.append(str(error)))
        page.on("dialog", lambda dialog: (self.noises.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(address)
        return page

    def close(self):
        """Close all; afterwards nothing is added to noises and requests."""
        while self.contexts:
            self.contexts.pop().close()

    def asked_beside(self, *allowed):
        """The addresses that were asked for and do not begin in one of these ways."""
        return {url for url in self.requests if not url.startswith(allowed)}


@pytest.fixture
def pages(browser):
    """A `Pages` for one test."""
    opened = Pages(browser)
    yield opened
    opened.close()

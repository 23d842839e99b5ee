"""One app for the tests of a file, served on a free port of this machine, and pages of it in a real browser."""

import http.client
import json
import threading
import time
from types import SimpleNamespace
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

import relax

pytest.importorskip("uvicorn", reason="the extra [app] is not installed")

from relax.app.limits import Limits
from relax.app.listening import Stopping, address_of, bound
from relax.app.service import Service

MOST = 4000  # masks


class Blocks(nn.Module):
    """The mean colours of 4 x 4 blocks: what it embeds can be worked out by hand."""

    def forward(self, pixels):
        return F.adaptive_avg_pool2d(pixels, 4).flatten(1)


class Slow(Blocks):
    """As `Blocks`, at 1 ms a picture: a run can be watched and stopped."""

    def forward(self, pixels):
        time.sleep(0.001 * len(pixels))
        return super().forward(pixels)


@pytest.fixture(scope="module")
def app():
    """The service, its address, and its server, in a thread; it ends with the file, as it changes how warnings go."""
    encoders = [("default", relax.load_encoder("default"))]
    encoders += [(spec, relax.load_encoder(module)) for spec, module in (("blocks", Blocks()), ("slow", Slow()))]
    with Service(encoders, {"batch_size": 32}, Limits(masks=MOST)) as service:
        listener = bound("127.0.0.1", 0)
        server = Stopping(service, "127.0.0.1")
        thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
        thread.start()
        yield SimpleNamespace(service=service, address=address_of(listener, "127.0.0.1"), server=server)
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
    assert not service.folder.exists()


@pytest.fixture
def ask(app):
    """A request without a browser: (status, answer); JSON is decoded."""

    def request(method, path, body=None, secret=None, **headers):
        connection = http.client.HTTPConnection(urlsplit(app.address).netloc, timeout=30)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if secret is not None:
            headers["X-Relax-Visitor"] = secret
        body = json.dumps(body) if isinstance(body, dict) else body
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        try:
            return answer.status, json.loads(content)
        except ValueError:
            return answer.status, content

    return request


@pytest.fixture
def secret(ask):
    """Of a visitor without a browser, who leaves in the end."""
    _, welcome = ask("POST", "/visitor", secret="")
    yield welcome["visitor"]
    ask("DELETE", "/visitor", secret=welcome["visitor"])


@pytest.fixture
def visit(app, pages):
    """Open the page; at the end: nothing failed in it, and no request left this machine."""

    def open_page(**options):
        page = pages.open(app.address, accept_downloads=True, **options)
        page.wait_for_selector("html[data-ready]")
        return page

    open_page.noises = pages.noises
    yield open_page
    pages.close()
    assert [noise for noise in pages.noises if "422" not in noise and "413" not in noise] == []  # refusals are logged
    assert pages.asked_beside(app.address, f"blob:{app.address}", "data:", "about:srcdoc") == set()


@pytest.fixture
def picture(tmp_path):
    """Write a small picture with a bright square, and give its path."""

    def write(name="cat.png", seed=0, place=(10, 20)):
        pixels = np.random.default_rng(seed).integers(0, 90, (40, 60, 3), dtype=np.uint8)
        row, column = place
        pixels[row : row + 14, column : column + 14] = 240
        Image.fromarray(pixels).save(tmp_path / name)
        return tmp_path / name

    return write


def drop(page, path, role="image"):
    """Drop a file as a hand would, and wait until it was read."""
    transfer = page.evaluate_handle(
        "([bytes, name]) => { const data = new DataTransfer();"
        " data.items.add(new File([new Uint8Array(bytes)], name)); return data; }",
        [list(path.read_bytes()), path.name],
    )
    page.dispatch_event(f".slot[data-role={role}] .drop", "drop", {"dataTransfer": transfer})
    page.wait_for_selector(f".slot[data-role={role}] .named:has-text('{path.stem}')")


def explain(page, *, wait=True, **settings):
    """Fill in the form and start."""
    for name, value in settings.items():
        if name == "encoder":
            page.select_option("#encoder", label=value)
        elif name in ("method", "fill"):
            page.select_option(f"#{name}", value)
        else:
            page.fill(f"#{name}", str(value))
    page.click("#explain")
    if wait:
        page.wait_for_selector(".stack[data-done]")


def number(page, selector, attribute):
    """A number that an element carries."""
    return float(page.get_attribute(selector, attribute))


def result_of(app):
    """What the server holds for the one visitor that has a result."""
    (result,) = [visitor.result for visitor in app.service.visitors if visitor.result is not None]
    return result


@pytest.fixture(autouse=True)
def one_thread():
    """Small networks are slower in several."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)

"""Ctrl-C counts in the tests, also where a shell started them in the background with it ignored."""

import signal

import pytest


@pytest.fixture(autouse=True, scope="session")
def ctrl_c_counts():
    """Processes that the tests start inherit this too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)

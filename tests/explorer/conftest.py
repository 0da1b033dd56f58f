"""One page for all tests, of few sizes where that is enough."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from helpers.browser import chromium
from helpers.once import once

import convpolicy as cp
from convpolicy import explorer
from convpolicy.explorer import data, plans


@pytest.fixture(scope="session")
def ranges():
    """Sizes that hold every kind of plan: refused, cut, wider than the input, and without a window."""
    return plans.Ranges(kernel=(1, 5), stride=(1, 3), dilation=(1, 2), length=(1, 6), pad=(-1, 2))


@pytest.fixture(scope="session")
def collected(ranges, tmp_path_factory):
    """The data of a page of these sizes, which take seconds to compute."""
    return once("explorer", tmp_path_factory, lambda: data.collect([], ranges))


@pytest.fixture(scope="session")
def page_data(collected):
    """What the browser unpacks from a page of these sizes."""
    return data.unpacked(data.packed(collected))


@pytest.fixture(scope="session")
def write_page(collected, tmp_path_factory):
    """A function that writes a page with other first settings, and returns its address."""

    def write(**start):
        path = tmp_path_factory.mktemp("explorer") / "page.html"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(explorer, "collect", lambda _extra, _ranges: collected)
            path.write_text(explorer.page({**start, "version": cp.__version__}), encoding="utf-8")
        return path.as_uri()

    return write


@pytest.fixture(scope="session")
def open_page(write_page):
    """A function that opens a page of policy torch twice, with further settings in its address; the script must raise no error."""

    @contextmanager
    def opened(settings=""):
        faults = []
        with chromium() as browser:
            page = browser.new_page()
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.goto(write_page(a="torch", b="torch") + settings)
            page.wait_for_selector("html[data-ready]", timeout=10_000)
            yield page
        assert faults == []

    return opened

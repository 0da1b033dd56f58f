"""One page for all tests, of few sizes where that is enough."""

from __future__ import annotations

import pytest

from convpolicy.explorer import data, plans


@pytest.fixture(scope="session")
def ranges():
    """Sizes that hold every kind of plan: refused, cut, wider than the input, and without a window."""
    return plans.Ranges(kernel=(1, 5), stride=(1, 3), dilation=(1, 2), length=(1, 6), pad=(-1, 2))


@pytest.fixture(scope="session")
def page_data(ranges):
    """What the browser unpacks from a page of these sizes."""
    return data.unpacked(data.packed(data.collect([], ranges)))

"""Grids, for pytest: of a test marked ``grid(every=7)`` each seventh case runs, without ``every`` none; ``--grid`` runs them all.

``--every 2`` runs each second case of the other tests, too, but all of those marked ``grid(every=1)``, such as wrong implementations.
"""

from __future__ import annotations

from collections import defaultdict

import pytest

NOT_RUN = pytest.StashKey[int]()  # number of cases


def pytest_addoption(parser):
    """Add the options."""
    parser.addoption("--grid", action="store_true", help="run every case of the tests marked as grids; most take minutes")
    parser.addoption("--every", type=int, default=1, help="run each n-th case of the tests that are not marked as grids")


def pytest_configure(config):
    """Describe the marker."""
    config.addinivalue_line("markers", "grid(every): of many slow cases each n-th runs, none without every; all with --grid")
    config.stash[NOT_RUN] = 0


def options(config, every=1):
    """Return the options for a run within this one that takes every n-th case of its other tests, unless this one takes all."""
    return ["--grid"] if config.getoption("--grid") else ["--every", str(every)]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Keep each n-th case of the tests that are still there."""
    if not config.getoption("--grid"):
        kept = thinned(items, config.getoption("--every"))
        config.stash[NOT_RUN] = len(items) - len(kept)
        items[:] = kept


def thinned(items, usual):
    """Return the tests, of each grid every n-th case, of others each ``usual``-th."""
    seen, kept = defaultdict(int), []
    for item in items:
        mark = item.get_closest_marker("grid")
        every = mark.kwargs.get("every") if mark else usual
        case = seen[item.nodeid.partition("[")[0]]
        seen[item.nodeid.partition("[")[0]] += 1
        if every and case % every == 0:
            kept.append(item)
    return kept


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """Hear from a process of pytest-xdist how many did not run; all of them leave out the same."""
    node.config.stash[NOT_RUN] = getattr(node, "workeroutput", {}).get("grid", 0)


def pytest_sessionfinish(session):
    """Tell the process that started this one."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["grid"] = session.config.stash[NOT_RUN]


def pytest_terminal_summary(terminalreporter, config):
    """Say how many did not run."""
    if config.stash[NOT_RUN]:
        terminalreporter.write_line(f"{config.stash[NOT_RUN]} cases of grids did not run; --grid runs them")

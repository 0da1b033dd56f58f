"""Print how long loading installed plugins takes, as a multiple of what importing their modules takes.

    python benchmarks/loading.py FOLDER MODULE …

`plugins.py` runs this in fresh processes. One process times both sides in turn, in processor time: whatever else the machine does
slows both alike. Loading is timed from the moment when the installed plugins are known, so built-in parts are not in it.
"""

from __future__ import annotations

import gc
import importlib
import statistics
import sys
import time
from importlib.metadata import EntryPoint
from unittest import mock

from convpolicy.extensions import discovery, loading

TURNS = 15


def forget(modules: list[str]) -> None:
    """Let the modules be imported anew, and leave no garbage: each side pays for collecting its own."""
    for module in modules:
        sys.modules.pop(module, None)
    gc.collect()


def seconds_importing(modules: list[str]) -> float:
    """Return the processor time of importing the modules."""
    forget(modules)
    start = time.process_time()
    for module in modules:
        importlib.import_module(module)
    return time.process_time() - start


def seconds_loading(modules: list[str]) -> float:
    """Return the processor time of loading the installed plugins, which are these modules."""
    forget(modules)
    start = 0.0

    def installed(group: str) -> tuple[list[EntryPoint], list[str]]:
        nonlocal start
        entry_points = discovery.installed(group)
        start = time.process_time()
        return entry_points

    registry = loading.PluginRegistry()
    with mock.patch.object(loading, "installed", installed):
        registry.load()
        end = time.process_time()
    loaded = [report for report in registry.reports() if not report.builtin and report.parts and not report.errors]
    assert len(loaded) == len(modules), registry.reports()
    return end - start


def main(folder: str, modules: list[str]) -> None:
    """Print the median ratio."""
    sys.path.insert(0, folder)
    seconds_loading(modules), seconds_importing(modules)  # modules are compiled, and the code has run once
    print(statistics.median(seconds_loading(modules) / seconds_importing(modules) for _ in range(TURNS)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

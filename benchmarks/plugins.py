"""Measure the cost of plugins: a padding mode as an index map relative to torch's pad, and loading fifty plugins.

python benchmarks/plugins.py [--rounds 15] [--json]
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from side_by_side import Row, command

import convpolicy as cp
from convpolicy.cli import new_plugin

LARGEST_PADDING, LARGEST_LOADING = 1.3, 1.5
SIZES = ((64, 4, 2**10), (64, 4, 2**14), (16, 9, 2**17), (1, 4, 2**20), (8, 31, 2**20))  # channels, kernel_size, length
PLUGINS = 50


class Edge:
    """The replicate mode as a plugin would define it."""

    @cp.hookimpl
    def convpolicy_padding_modes(self) -> list[cp.PaddingMode]:
        """Return the padding mode."""
        return [cp.PaddingMode("edge", source=lambda positions, length: np.clip(positions, 0, length - 1))]


def padding_rows() -> Iterator[Row]:
    """Compare the index map with ``F.pad`` and a convolution."""
    cp.register(Edge(), "edge")
    for channels, kernel, length in SIZES:
        layer = cp.Conv1d(channels, channels, kernel, padding=(kernel - 1, 0), padding_mode="edge", backend="torch", seed=0)
        native = torch.nn.Conv1d(channels, channels, kernel)
        data = torch.randn(1, channels, length)

        def padded(native: torch.nn.Conv1d = native, data: torch.Tensor = data, left: int = kernel - 1) -> torch.Tensor:
            return native(torch.nn.functional.pad(data, (left, 0), mode="replicate"))

        name = f"index map, vs F.pad and conv, {channels} channels, kernel {kernel}, length {length}"
        yield Row(name, lambda layer=layer, data=data: layer(data), padded, LARGEST_PADDING)  # type: ignore[misc]


def install(folder: Path) -> None:
    """Install fifty plugins of ``convpolicy new-plugin`` into a folder."""
    for number in range(PLUGINS):
        new_plugin.write(f"many{number}", folder / "source")
        shutil.move(folder / "source" / f"convpolicy_many{number}", folder)
        shutil.rmtree(folder / "source")
        metadata = folder / f"convpolicy_many{number}-1.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: convpolicy-many{number}\nVersion: 1\n")
        (metadata / "entry_points.txt").write_text(f"[convpolicy]\nmany{number} = convpolicy_many{number}\n")


def loading(folder: str) -> Callable[[], float]:
    """Return a function that measures loading the plugins of a folder against importing their modules, in a fresh process."""
    modules = [f"convpolicy_many{number}" for number in range(PLUGINS)]
    words = [sys.executable, str(Path(__file__).with_name("loading.py")), folder, *modules]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}  # as pip installs
    environment["CONVPOLICY_LOAD_PLUGINS"] = ",".join(f"many{number}" for number in range(PLUGINS))  # and no other
    return lambda: float(subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout)


def rows() -> Iterator[Row]:
    """Yield every comparison."""
    yield from padding_rows()
    folder = tempfile.mkdtemp()
    install(Path(folder))
    yield Row("loading 50 plugins, vs importing their modules", loading(folder), None, LARGEST_LOADING)


if __name__ == "__main__":
    command(rows)()

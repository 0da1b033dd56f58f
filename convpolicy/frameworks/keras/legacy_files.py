"""Whole models and weights in HDF5 as Keras 2 wrote them, and as ``model.save("NAME.h5")`` writes them today; only read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from convpolicy.conversion.faults import reading
from convpolicy.conversion.tensors import Entry, Piece
from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.keras.files import LEGACY, H5Reader

GROUP = "model_weights"  # of a whole model; a file of weights has the layers at its root
ORDER = "layer_names"
OPTIMIZER = "optimizer_weights"


class LegacyReader(H5Reader):
    """Reads one ``.h5`` file; an entry is named by layer and weight, e.g. ``"conv1d/kernel"``, in the order of the layers.

    This is the order in which the model computes, and not the one in which the layers were made.
    """

    has_paths = False

    def __init__(self, path: Path) -> None:
        self._paths: dict[str, str] = {}
        super().__init__(path)
        with reading(path, self.title, Exception):
            root = self.file.get(GROUP, self.file)
            layers = {name: at for at, name in enumerate(_layers(root))}
            own = [row for row in self.entries if not row.name.startswith(f"{OPTIMIZER}/")]
            own.sort(key=lambda row: layers.get(row.name.removeprefix(f"{GROUP}/").partition("/")[0], len(layers)))
            names = [_name(row.name.removeprefix(f"{GROUP}/")) for row in own]
            if len(set(names)) < len(names):
                names = [row.name.removeprefix(f"{GROUP}/") for row in own]
            self._paths = {name: row.name for name, row in zip(names, own)}
            self.entries = tuple(Entry(name, row.shape, row.dtype, row.size) for name, row in zip(names, own))

    def check_kind(self) -> None:
        """Refuse a file of Keras 3's weights, which has another format."""
        if not LEGACY.intersection((*self.file.attrs, *self.file)):
            self.file.close()
            raise InvalidValueError(
                f"{self.path.name!r} is not a whole model and has no weights of Keras 2; if model.save_weights of Keras 3 wrote it, rename it to "
                ".weights.h5."
            )

    def pieces(self, entry: Entry) -> Iterator[Piece]:
        """Yield the bytes of a dataset."""
        yield from super().pieces(Entry(self._paths[entry.name], entry.shape, entry.dtype, entry.size))


def _layers(root: h5py.Group) -> list[str]:
    """Return the names of the layers in the order of the model; Keras splits long lists into several attributes."""
    parts: list[Any] = [root.attrs[ORDER]] if ORDER in root.attrs else []
    while f"{ORDER}{len(parts)}" in root.attrs:
        parts.append(root.attrs[f"{ORDER}{len(parts)}"])
    return [name.decode() if isinstance(name, bytes) else str(name) for part in parts for name in part]


def _name(path: str) -> str:
    """Return a name without ``:0``, and without what stands between two occurrences of the layer's name."""
    layer, *parts = path.split("/")
    *inner, weight = parts or [layer]
    last = max((at for at, part in enumerate(inner) if part == layer), default=-1)
    return "/".join([layer, *inner[last + 1 :], weight.partition(":")[0]])

"""Which files are read and written, by suffix; what a format needs is imported when a file of it is opened."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import attrs

from convpolicy.errors import InvalidValueError, MissingFrameworkError


@attrs.frozen
class Format:
    """One kind of file.

    Attributes:
        suffix: how its name ends.
        module, reader, writer: where its `Reader` and `Writer` stand.
        package, extra: what must be installed, and the extra of convpolicy that brings it.
        grouped: True when a name is a path of groups, with parameters numbered under ``vars``, as Keras writes them.
    """

    suffix: str
    module: str
    reader: str
    writer: str
    package: str = "safetensors"
    extra: str = ""
    grouped: bool = False

    def load(self, path: Path, name: str) -> Any:
        """Return the reader or writer class.

        Raises:
            MissingFrameworkError: its package is not installed; holds the command.
        """
        if importlib.util.find_spec(self.package) is None:
            raise MissingFrameworkError(
                f"{path.name!r} needs {self.package}, which is not installed; run: pip install 'convpolicy[{self.extra}]'."
            )
        return getattr(importlib.import_module(f"convpolicy.conversion.{self.module}"), name)


_TORCH = ("torch_files", "TorchReader", "TorchWriter", "torch", "torch")
FORMATS = (
    Format(".safetensors", "safetensors_files", "SafetensorsReader", "SafetensorsWriter"),
    Format(".safetensors.index.json", "sharded_files", "ShardedReader", "ShardedWriter"),
    Format(".npz", "npz_files", "NpzReader", "NpzWriter"),
    *(Format(suffix, *_TORCH) for suffix in (".pt", ".pth", ".bin")),
    Format(".ckpt", "mindspore_files", "MindSporeReader", "MindSporeWriter", "mindspore", "mindspore"),
    Format(".weights.h5", "h5_files", "H5Reader", "H5Writer", "h5py", "h5", grouped=True),
    Format(".keras", "h5_files", "KerasReader", "KerasWriter", "h5py", "h5", grouped=True),
)


def format_of(argument: str, path: Path) -> Format:
    """Return the format of a file by its suffix.

    Raises:
        InvalidValueError: none has it; holds the argument and every suffix.
    """
    found = [known for known in FORMATS if path.name.endswith(known.suffix) and path.name != known.suffix]
    if not found:
        suffixes = ", ".join(known.suffix for known in FORMATS)
        raise InvalidValueError(f"{argument} must end in one of {suffixes}, got {path.name!r}; rename it.")
    return max(found, key=lambda known: len(known.suffix))

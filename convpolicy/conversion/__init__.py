"""Convert checkpoint files between frameworks, and add file formats.

`convert` rewrites a checkpoint file so that its convolution weights have another framework's axes and names. A plugin can add support
for another kind of checkpoint file. It registers a `FileFormat`, which has two parts:

- a `Reader` lists the tensors of a file as `Entry` objects and returns the bytes of each tensor in pieces;
- a `Writer` receives a `Job`, the description of the output, and writes the tensors.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convpolicy.conversion.converting import Prepared, convert
    from convpolicy.conversion.faults import reading, writing
    from convpolicy.conversion.files.npz import NpzReader, NpzWriter
    from convpolicy.conversion.formats import FileFormat, ParameterNames
    from convpolicy.conversion.results import Conversion, Converted, Loading
    from convpolicy.conversion.tensors import Entry, Job, Piece, Reader, Writer, entry, in_pieces, joined

__all__ = [
    "Conversion",
    "Converted",
    "Entry",
    "FileFormat",
    "Job",
    "Loading",
    "NpzReader",
    "NpzWriter",
    "ParameterNames",
    "Piece",
    "Prepared",
    "Reader",
    "Writer",
    "convert",
    "entry",
    "in_pieces",
    "joined",
    "reading",
    "writing",
]

_HOMES = {  # imported on first use: registering a format does not need the code that converts
    name: f"convpolicy.conversion.{module}"
    for module, names in {
        "converting": "Prepared convert",
        "formats": "FileFormat ParameterNames",
        "results": "Conversion Converted Loading",
        "faults": "reading writing",
        "files.npz": "NpzReader NpzWriter",
        "tensors": "Entry Job Piece Reader Writer entry in_pieces joined",
    }.items()
    for name in names.split()
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'convpolicy.conversion' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value

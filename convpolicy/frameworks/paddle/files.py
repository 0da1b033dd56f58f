"""Files of ``paddle.save``: pickles, from which only dicts of NumPy arrays are read, so that no code of the file runs."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convpolicy.conversion.faults import reading, writing
from convpolicy.conversion.limits import check_array
from convpolicy.conversion.tensors import NAMES, Entry, Job, Piece, Reader, Writer, entry, holder, in_pieces, joined, numpys_own
from convpolicy.errors import InvalidValueError

STRUCTURE = "StructuredToParameterName@@"  # key of a table of names, which is no tensor


class _Array:
    """Stands for ``numpy.ndarray`` in the file; it cannot be called."""


def _new_array(_kind: Any, _shape: Any, _dtype: Any) -> NDArray[Any]:
    """Return an empty array; the file sets shape and numbers afterwards, and then the number of bytes must agree."""
    return np.empty(0, np.uint8)


def _dtype(name: Any, *_more: Any) -> np.dtype[Any]:
    """Return a dtype of numbers."""
    dtype = np.dtype(name)
    if dtype.kind not in "biufc":
        raise pickle.UnpicklingError(f"a dtype {name!r}")
    return dtype


def _encoded(text: str, encoding: str) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("a text in an unknown encoding")
    return text.encode("latin1")


# everything that a file may name, and what stands for it
GLOBALS: dict[tuple[str, str], Callable[..., Any] | type] = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _new_array for core in ("core", "_core")},
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _encoded,
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "tuple"): tuple,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in GLOBALS:
            raise InvalidValueError(
                f"the file contains more than arrays ({module}.{name}), and unpickling it could run code, so it was not loaded; save only "
                "layer.state_dict()."
            )
        return GLOBALS[module, name]


class PaddleReader(Reader):
    """Reads one ``.pdparams`` file, as a whole."""

    title = "Paddle"
    ordered = True

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with reading(path, self.title, Exception), path.open("rb") as file:
            whole = _Unpickler(file).load()
            if file.read(1):
                raise InvalidValueError(
                    f"{path} has more than one pickle, as paddle.save writes for large models; save a .safetensors file."
                )
        if not isinstance(whole, dict):
            raise InvalidValueError(
                f"{path} must contain a dict of tensors, got a {type(whole).__name__}; save layer.state_dict()."
            )
        whole = {name: value[1] if _is_named(value) else value for name, value in whole.items()}
        self._arrays = {name: value for name, value in whole.items() if isinstance(value, np.ndarray) and isinstance(name, str)}
        self.others = tuple(str(name) for name in whole if name not in self._arrays and name != STRUCTURE)
        self.entries = tuple(_entry(name, value) for name, value in self._arrays.items())

    def pieces(self, entry: Entry) -> Iterator[Piece]:
        """Yield the bytes of a tensor."""
        array = self._arrays[entry.name]
        yield from in_pieces(array.astype(array.dtype.newbyteorder("<"), copy=False))


def _is_named(value: Any) -> bool:
    """Return whether a value is a tensor with its name."""
    return isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], np.ndarray)


def _entry(name: str, array: NDArray[Any]) -> Entry:
    little = array.dtype.newbyteorder("<")
    return entry(name, array.shape, NAMES.get(little, little.str))


class PaddleWriter(Writer):
    """Writes one ``.pdparams`` file, which ``paddle.load`` reads; the tensors are kept in memory until `finish`."""

    title = "Paddle"

    def __init__(self, job: Job) -> None:
        for row in job.entries:
            numpys_own(row, ".pdparams")
            check_array(row, "a .pdparams file")
        self._path = job.path
        self._arrays: dict[str, NDArray[Any]] = {}

    def write(self, entry: Entry, pieces: Iterable[Piece]) -> None:
        """Keep a tensor until `finish`."""
        self._arrays[entry.name] = joined(entry, pieces).view(holder(entry.dtype)).reshape(entry.shape)

    def finish(self) -> None:
        """Write the file."""
        buffer = io.BytesIO()
        pickle.dump(self._arrays, buffer, protocol=4)
        with writing(self._path), self._path.open("xb") as file:
            file.write(buffer.getbuffer())

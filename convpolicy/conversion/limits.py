"""What a file may claim before it is believed: shapes that an array can have, and sizes in proportion to the file."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from convpolicy.conversion.tensors import Entry, has_holder, holder
from convpolicy.errors import InvalidValueError

MAX_AXES = 32  # of an array in NumPy before 2.0, and of a dataset in HDF5
MAX_BYTES = 2**63 - 1  # of an array, axes of length 0 left out; NumPy multiplies so
EXPANSION = 100  # how many times larger than the file its tensors may be; weights that were trained hardly compress at all
SMALL = 1 << 26  # bytes that tensors may always have: 64 MiB, e.g. zeros that compress a thousandfold


def check_claims(path: Path, entries: Iterable[Entry], files: Iterable[Path]) -> None:
    """Refuse lengths that are no lengths, and tensors far larger than the files that contain them.

    Args:
        path: of the file; named in the message.
        entries: every tensor.
        files: that are read.

    Raises:
        InvalidValueError: names the file and the tensor.
    """
    total = 0
    for row in entries:
        if any(not 0 <= length < 2**63 for length in row.shape):
            raise InvalidValueError(
                f"{path} is not whole: {row.name!r} has the shape {row.shape}, and lengths are from 0 to 2**63 - 1; save it anew."
            )
        total += row.size
    check_expansion(path, total, sum(file.stat().st_size for file in files if file.is_file()))


def check_expansion(path: Path, claimed: int, present: int) -> None:
    """Refuse content that is far larger than the bytes it comes from.

    Args:
        path: of the file; named in the message.
        claimed: bytes of the content.
        present: bytes of the file.

    Raises:
        InvalidValueError: more than ``SMALL`` bytes, and more than ``EXPANSION`` times those that are there.
    """
    if claimed > max(SMALL, EXPANSION * present):
        raise InvalidValueError(
            f"{path} has {present} bytes and claims {claimed} bytes of content, more than {EXPANSION} times as many; save it without "
            "compression and without expanded tensors."
        )


def fits_array(row: Entry) -> bool:
    """Whether an array in memory can have the shape and dtype of a tensor."""
    width = holder(row.dtype).itemsize if has_holder(row.dtype) else 1
    return len(row.shape) <= MAX_AXES and math.prod(length for length in row.shape if length) * max(1, width) <= MAX_BYTES


def check_array(row: Entry, place: str) -> None:
    """Refuse a tensor whose shape no array can have.

    Args:
        row: the tensor.
        place: what is written, e.g. ``"an .npz file"``.

    Raises:
        InvalidValueError: names the tensor.
    """
    if not fits_array(row):
        raise InvalidValueError(
            f"{place} has no tensor of shape {_short(row.shape)}, which {row.name!r} has: at most {MAX_AXES} axes and 2**63 - 1 bytes; "
            "choose another kind of file."
        )


def _short(shape: tuple[int, ...]) -> str:
    return str(shape) if len(shape) <= MAX_AXES else f"{len(shape)} axes"

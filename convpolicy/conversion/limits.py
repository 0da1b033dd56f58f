"""Limits on what a file claims to contain: shapes that an array can have, and sizes in proportion to the file."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from convpolicy.conversion.tensors import Entry, has_holder, holder
from convpolicy.errors import InvalidValueError

MAX_AXES = 32  # of an array in NumPy before 2.0, and of a dataset in HDF5
MAX_BYTES = 2**63 - 1  # of an array; NumPy leaves axes of length 0 out of the product
EXPANSION = 100  # how many times larger than the file its tensors may be; trained weights hardly compress
SMALL = 1 << 26  # bytes that are always allowed, 64 MiB: zeros compress a thousandfold


def check_claims(path: Path, entries: Iterable[Entry], files: Iterable[Path]) -> None:
    """Refuse invalid lengths, and tensors that are far larger than the files that contain them.

    Args:
        path: path of the file, used in the message.
        entries: every tensor of the file.
        files: paths of the files that contain the tensors.

    Raises:
        InvalidValueError: the message names the file and the tensor.
    """
    total = 0
    for row in entries:
        if any(not 0 <= length < 2**63 for length in row.shape):
            raise InvalidValueError(
                f"{path} is damaged: {row.name!r} has shape {row.shape}, and a length is from 0 to 2**63 - 1; save the file again."
            )
        total += row.size
    check_expansion(path, total, sum(file.stat().st_size for file in files if file.is_file()))


def check_expansion(path: Path, claimed: int, present: int) -> None:
    """Refuse content that is far larger than its file.

    Args:
        path: path of the file, used in the message.
        claimed: size of the content in bytes.
        present: size of the file in bytes.

    Raises:
        InvalidValueError: the content has more than ``SMALL`` bytes, and more than ``EXPANSION`` times the bytes of the file.
    """
    if claimed > max(SMALL, EXPANSION * present):
        raise InvalidValueError(
            f"{path} has {present} bytes and claims to contain {claimed} bytes, more than {EXPANSION} times as many; save it "
            "without compression and without expanded tensors."
        )


def fits_array(row: Entry) -> bool:
    """Return whether an array in memory can have the shape and dtype of a tensor."""
    width = holder(row.dtype).itemsize if has_holder(row.dtype) else 1
    return len(row.shape) <= MAX_AXES and math.prod(length for length in row.shape if length) * max(1, width) <= MAX_BYTES


def check_array(row: Entry, container: str) -> None:
    """Refuse a tensor whose shape an array cannot have.

    Args:
        row: the tensor.
        container: the file to write, such as ``"an .npz file"``, used in the message.

    Raises:
        InvalidValueError: the message names the tensor.
    """
    if not fits_array(row):
        raise InvalidValueError(
            f"{container} cannot store {row.name!r} of shape {_short(row.shape)}: at most {MAX_AXES} axes and 2**63 - 1 bytes; choose "
            "another file format."
        )


def _short(shape: tuple[int, ...]) -> str:
    return str(shape) if len(shape) <= MAX_AXES else f"{len(shape)} axes"

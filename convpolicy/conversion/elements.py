"""The bytes of a tensor in another dtype, piece by piece."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from convpolicy.conversion.tensors import Piece, cast, holder, in_pieces
from convpolicy.errors import InvalidValueError


def in_dtype(pieces: Iterable[Piece], name: str, old: str, new: str) -> Iterator[Piece]:
    """Yield the bytes of a tensor in another dtype.

    Args:
        pieces: bytes of the tensor, cut at any byte.
        name: name of the tensor, used in the message.
        old, new: dtypes.

    Raises:
        InvalidValueError: finite numbers become infinite.
    """
    if old == new:
        yield from pieces
        return
    for piece in _whole_elements(pieces, holder(old).itemsize):
        try:
            values = cast(np.frombuffer(piece, np.uint8).view(holder(old)), old, new)
        except InvalidValueError as error:
            raise InvalidValueError(f"{name!r}: {error}") from error
        yield from in_pieces(values)


def _whole_elements(pieces: Iterable[Piece], width: int) -> Iterator[Piece]:
    """Yield the same bytes in pieces that contain whole elements only.

    Args:
        pieces: bytes of a tensor, cut at any byte.
        width: size of an element in bytes.
    """
    rest = b""
    for piece in pieces:
        size = memoryview(piece).nbytes
        if not rest and size % width == 0:
            yield piece
            continue
        data = rest + bytes(piece)
        end = len(data) - len(data) % width
        rest = data[end:]
        if end:
            yield data[:end]

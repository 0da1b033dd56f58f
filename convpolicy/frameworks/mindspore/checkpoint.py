"""List the entries of a MindSpore checkpoint, a protobuf message ``Checkpoint``, without reading the tensors.

Source: mindspore/train/checkpoint_pb2.py and mindspore/train/serialization.py, _parse_ckpt_proto.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator

import attrs

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types
WIDTHS = {FIXED64: 8, FIXED32: 4}
CHECKSUM, CHECKSUM_BYTES = b"crc_num", 17  # crc_check= appends this after the message
MAX_NAME = 1 << 20  # in bytes, of a tag or a type


@attrs.frozen
class Value:
    """One entry of a checkpoint: a tensor, a part of a tensor, or a text.

    Attributes:
        tag: name of the entry.
        kind: MindSpore's name of the type, e.g. ``"Float32"``, ``"str"``.
        lengths: the shape.
        start, end: position of the data in the file, in bytes.
    """

    tag: str
    kind: str
    lengths: tuple[int, ...]
    start: int
    end: int


def values(data: mmap.mmap) -> Iterator[Value]:
    """Yield the entries of a checkpoint in file order.

    Raises:
        ValueError: the file is damaged; the message contains the position.
    """
    end = len(data)
    if data[-CHECKSUM_BYTES:-10] == CHECKSUM:
        end -= CHECKSUM_BYTES
    for number, start, stop in _fields(data, 0, end):
        if number == 1:
            yield _value(data, start, stop)


def _value(data: mmap.mmap, start: int, end: int) -> Value:
    tag, tensor = None, None
    for number, first, last in _fields(data, start, end):
        if number == 1:
            tag = _text(data, first, last)
        elif number == 2 and tensor is None:
            tensor = (first, last)
        elif number in (2, 3):
            raise ValueError(f"the entry at byte {start} is not a single tensor")
    if tag is None or tensor is None:
        raise ValueError(f"the entry at byte {start} has no name or no tensor")
    kind, lengths, span = "", list[int](), None
    for number, first, last in _fields(data, *tensor):
        if number == 1 and last < 0:
            lengths.append(_signed(first))
        elif number == 1:
            at = first
            while at < last:
                length, at = _varint(data, at, last)
                lengths.append(_signed(length))
        elif number == 2:
            kind = _text(data, first, last)
        elif number == 3 and span is None:
            span = (first, last)
        elif number == 3:
            raise ValueError(f"{tag!r} has its data twice")
    if not kind or span is None:
        raise ValueError(f"{tag!r} has no type or no data")
    return Value(tag, kind, tuple(lengths), *span)


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield ``(number, start, end)`` for every field of a message, or ``(number, value, -1)`` for an integer."""
    while at < end:
        begin = at
        key, at = _varint(data, at, end)
        number, wire = key >> 3, key & 7
        if not number:  # protobuf has no field 0; a truncated file may end in zeros
            raise ValueError(f"no field begins at byte {begin}")
        if wire == VARINT:
            value, at = _varint(data, at, end)
            yield number, value, -1
            continue
        if wire == BYTES:
            length, at = _varint(data, at, end)
        elif wire in WIDTHS:
            length = WIDTHS[wire]
        else:
            raise ValueError(f"no field begins at byte {begin}")
        if length > end - at:
            raise ValueError(f"the field at byte {begin} needs {length} bytes, but {end - at} are left")
        yield number, at, at + length
        at += length


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise ValueError(f"the file ends inside an integer at byte {at}")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), at
    raise ValueError(f"the integer before byte {at} is too long")


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _text(data: mmap.mmap, start: int, end: int) -> str:
    if not 0 <= end - start <= MAX_NAME:
        raise ValueError(f"the name at byte {start} is too long")
    return data[start:end].decode()

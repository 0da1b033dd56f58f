"""Tensors of a file that are second names of others, as for a head whose weight is that of an embedding."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from numpy.typing import NDArray

from convpolicy.conversion.models.groups import split
from convpolicy.conversion.tensors import Entry, Reader, in_pieces


class Copies:
    """Compares tensors of a file.

    Args:
        entries: the tensors by name.
        reader: reader of the file.
    """

    def __init__(self, entries: Mapping[str, Entry], reader: Reader) -> None:
        self._entries, self._reader = entries, reader
        self._digests: dict[tuple[str, bool], bytes] = {}

    def among(self, left: Iterable[str], used: Iterable[str]) -> list[str]:
        """Return those of ``left`` that are equal to one of ``used``, also matrices that are equal when transposed."""
        rivals: dict[tuple[Any, ...], list[str]] = {}
        for name in used:
            if name in self._entries:
                rivals.setdefault((self._entries[name].shape, self._entries[name].dtype), []).append(name)
        equal = []
        for name in left:
            old = self._entries.get(name)
            if old is None:
                continue
            forms = {False: old.shape} | ({True: old.shape[::-1]} if len(old.shape) == 2 else {})
            if any(
                self._digest(name, turned=turned) == self._digest(other, turned=False)
                for turned, shape in forms.items()
                for other in rivals.get((shape, old.dtype), ())
            ):
                equal.append(name)
        # equal constants prove nothing, unless they are beside a copy
        sure = {stem(name) for name in equal if not constant(self._reader.array(self._entries[name]))}
        return [name for name in equal if stem(name) in sure]

    def _digest(self, name: str, *, turned: bool) -> bytes:
        if (name, turned) not in self._digests:
            entry, made = self._entries[name], hashlib.sha256()
            for piece in in_pieces(self._reader.array(entry).T) if turned else self._reader.pieces(entry):
                made.update(piece)
            self._digests[name, turned] = made.digest()
        return self._digests[name, turned]


def stem(name: str) -> tuple[str, ...]:
    """Return the parts of a name without the last one."""
    return tuple(split(name)[:-1])


def constant(array: NDArray[Any]) -> bool:
    """Return whether all elements are equal."""
    return array.size == 0 or bool((array == array.flat[0]).all())

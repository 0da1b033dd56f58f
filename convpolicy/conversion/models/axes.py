"""`Axes`: how a framework stores a tensor, as letters, and the moves between two such forms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

SPATIAL = "xyz"
ORDER = f"TSGOIHD{SPATIAL}"  # axes of a tensor between two forms; an axis that a form does not have has length 1
ANY = "*"  # the axes of a tensor that every framework stores in the same form


@attrs.frozen
class Axes:
    """The axes of a stored tensor.

    The text has one word for each axis. A word contains letters; several letters are one axis with several factors, the first one
    varies slowest:

    - ``O`` outputs and ``I`` inputs, of one group if the tensor has groups
    - ``G`` groups
    - ``K`` all kernel axes; ``-K`` the same, reversed
    - ``S`` and ``T`` the number of a piece, e.g. of a gate; ``T`` varies slower
    - ``H`` heads and ``D`` features of a head, of attention
    - ``1`` an axis of length 1

    Args:
        text: the words, separated by spaces, e.g. ``"K I GO"``; ``"*"`` for a tensor of any shape that all frameworks store alike.
    """

    text: str

    @property
    def flip(self) -> bool:
        """True if the kernel axes are reversed."""
        return "-" in self.text

    def words(self, ndim: int) -> list[str] | None:
        """Return one word for each axis, with kernel axes as ``x``, ``y``, ``z``; None if a tensor cannot have ``ndim`` axes."""
        words = self.text.replace("-", "").split()
        if "K" not in words:
            return words if len(words) == ndim else None
        at, count = words.index("K"), ndim - len(words) + 1
        return [*words[:at], *SPATIAL[:count], *words[at + 1 :]] if 1 <= count <= len(SPATIAL) else None

    def lengths(self, shape: Sequence[int], known: Mapping[str, int]) -> dict[str, int] | None:
        """Return the length of each letter.

        Args:
            shape: shape of the stored tensor.
            known: lengths of letters that share an axis with others.

        Returns:
            A mapping that has the letters longer than 1, or None if a tensor of this form cannot have the shape.
        """
        words = self.words(len(shape))
        if words is None:
            return None
        lengths: dict[str, int] = {}
        for word, length in zip(words, shape):
            if len(word) == 1:
                lengths[word] = int(length)
        for word, length in zip(words, shape):
            rest = int(length)
            free = [letter for letter in word if letter not in lengths and letter not in known]
            for letter in word if len(word) > 1 else "":
                if letter in free[:1]:
                    continue
                factor = lengths.get(letter, known.get(letter, 1))
                lengths[letter] = factor
                if factor < 1 or rest % factor:
                    return None
                rest //= factor
            if len(word) > 1 and free:
                lengths[free[0]] = rest
            elif len(word) > 1 and rest != 1:
                return None
        if lengths.pop("1", 1) != 1:
            return None
        return {letter: length for letter, length in lengths.items() if length != 1}

    def letters(self, ndim: int) -> str:
        """Return all letters in the order in which they are stored."""
        return "".join(self.words(ndim) or ()).replace("1", "")

    def restored(self, array: NDArray[np.generic], lengths: Mapping[str, int]) -> NDArray[np.generic]:
        """Return a stored tensor with the axes of ``ORDER``, as a view where possible."""
        letters = self.letters(array.ndim)
        array = array.reshape([lengths.get(letter, 1) for letter in letters])
        inner = [letter for letter in ORDER if letter in letters]
        array = array.transpose([letters.index(letter) for letter in inner])
        return self._reversed(array.reshape([lengths.get(letter, 1) if letter in letters else 1 for letter in ORDER]))

    def stored(self, array: NDArray[np.generic], ndim: int) -> NDArray[np.generic]:
        """Return a tensor with the axes of ``ORDER`` with the axes of this form, one axis for each letter, as a view."""
        letters = self.letters(ndim)
        array = self._reversed(array)
        axes = [ORDER.index(letter) for letter in letters]
        others = [at for at in range(len(ORDER)) if at not in axes]
        return array.transpose([*others, *axes]).reshape([array.shape[at] for at in axes])

    def _reversed(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        if not self.flip:
            return array
        return np.flip(array, [ORDER.index(letter) for letter in SPATIAL])


def same_order(old: Axes, old_ndim: int, new: Axes, new_ndim: int, lengths: Mapping[str, int]) -> bool:
    """Return whether the elements of a tensor have the same order in two forms."""
    if old.flip != new.flip and math.prod(lengths.get(letter, 1) for letter in SPATIAL) > 1:
        return False
    rows = [
        [sign for sign in form.letters(ndim) if lengths.get(sign, 1) > 1] for form, ndim in ((old, old_ndim), (new, new_ndim))
    ]
    return rows[0] == rows[1]

"""Philox4x32-10, a counter-based generator (Salmon et al., 2011)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Words: TypeAlias = "NDArray[np.uint32]"

ROUNDS = 10
MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))  # for words 0 and 2
SCALAR_ROUNDS = 2  # first rounds, in which some words of the counter may still be scalars
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
WORD = 0xFFFFFFFF
_LOW = np.uint64(WORD)
_HALF = np.uint64(32)


def words(key: tuple[int, int], first: int, count: int, high: tuple[int, int]) -> Words:
    """Return the 32-bit words of consecutive counters.

    Args:
        key: the two words of the key.
        first: lower 64 bits of the first counter; each counter produces a block of four words.
        count: number of words to draw.
        high: the two upper words of every counter.

    Returns:
        uint32 array (count,).
    """
    blocks = np.empty((-(-count // 4), 4), np.uint32)
    write_blocks(key, np.arange(first, first + len(blocks), dtype=np.uint64), high, blocks)
    return blocks.reshape(-1)[:count]


def write_blocks(key: tuple[int, int], numbers: NDArray[np.uint64], high: tuple[int, int], out: Words) -> None:
    """Write the words of ascending counters, whose lower 64 bits are ``numbers``, into ``out`` (count, 4)."""
    upper = numbers >> _HALF if int(numbers[-1]) > WORD else np.uint64(0)  # a scalar makes the first rounds cheaper
    _encrypt(key, (numbers & _LOW, upper, np.uint64(high[0]), np.uint64(high[1])), out)


def block(key: tuple[int, int], counter: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Return the block of four words that one counter produces."""
    out = np.empty((1, 4), np.uint32)
    _encrypt(key, [np.array([word], np.uint64) for word in counter], out)
    first, second, third, fourth = out[0].tolist()
    return first, second, third, fourth


def _encrypt(key: tuple[int, int], counter: Sequence[Any], out: Words) -> None:
    """Write the output words of counters into ``out`` (count, 4); each word of a counter is stored in 64 bits.

    A round multiplies words 0 and 2 and exclusive-ors words 1 and 3. In the first rounds words may be scalars. After those, each
    pair is one array (2, count) that is updated in place. Only factors are cut to 32 bits: the upper bits of the other words do
    not reach the result.
    """
    keys = [[np.uint64((word + index * step) & WORD) for word, step in zip(key, KEY_STEPS)] for index in range(ROUNDS)]
    c0, c1, c2, c3 = counter
    for k0, k1 in keys[:SCALAR_ROUNDS]:
        left, right = (c0 & _LOW) * MULTIPLIERS[0], (c2 & _LOW) * MULTIPLIERS[1]
        c0, c1, c2, c3 = (right >> _HALF) ^ (c1 ^ k0), right, (left >> _HALF) ^ (c3 ^ k1), left
    factors, others, spare = (np.empty((2, len(out)), np.uint64) for _ in range(3))
    factors[0], factors[1], others[0], others[1] = c0, c2, c1, c3
    multipliers = np.array(MULTIPLIERS)[:, None]
    for pair in keys[SCALAR_ROUNDS:]:
        factors &= _LOW
        factors *= multipliers
        products = factors[::-1]
        others ^= np.array(pair)[:, None]
        np.right_shift(products, _HALF, out=spare)
        spare ^= others
        factors, others, spare = spare, products, others
    out[:, 0], out[:, 2] = factors
    out[:, 1], out[:, 3] = others

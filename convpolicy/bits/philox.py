"""Philox4x32-10, a counter-based generator (Salmon et al., 2011)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convpolicy.bits.pieces import chunks

Words: TypeAlias = "NDArray[np.uint32]"

ROUNDS = 10
MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))  # of words 0 and 2
APART = 2  # rounds after which no word is a lone number
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
WORD = 0xFFFFFFFF
CHUNK = 1 << 14  # blocks worked on at a time, to stay in the cache
_LOW = np.uint64(WORD)
_HALF = np.uint64(32)


def words(key: tuple[int, int], first: int, count: int, high: tuple[int, int]) -> Words:
    """Return the words of consecutive counters.

    Args:
        key: two words.
        first: number of the first block of four words; the lower 64 bits of the counter.
        count: words to draw.
        high: the two upper words of the counter.

    Returns:
        uint32 array (count,).
    """
    blocks = np.empty((-(-count // 4), 4), np.uint32)
    for part in chunks(len(blocks), CHUNK):
        write_blocks(key, np.arange(first + part.start, first + part.stop, dtype=np.uint64), high, blocks[part])
    return blocks.reshape(-1)[:count]


def write_blocks(key: tuple[int, int], numbers: NDArray[np.uint64], high: tuple[int, int], out: Words) -> None:
    """Write the words of ascending counters, the numbers of their blocks, into ``out`` (count, 4)."""
    upper = numbers >> _HALF if int(numbers[-1]) > WORD else np.uint64(0)  # lone numbers make two rounds cheaper
    _encrypt(key, (numbers & _LOW, upper, np.uint64(high[0]), np.uint64(high[1])), out)


def block(key: tuple[int, int], counter: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Return the four words of one counter of four words."""
    out = np.empty((1, 4), np.uint32)
    _encrypt(key, [np.array([word], np.uint64) for word in counter], out)
    first, second, third, fourth = out[0].tolist()
    return first, second, third, fourth


def _encrypt(key: tuple[int, int], counter: Sequence[Any], out: Words) -> None:
    """Write the output words of counters, each word held in 64 bits, into ``out`` (count, 4).

    Words 0 and 2 are multiplied, words 1 and 3 exclusive-ored. While some of them are lone numbers they stay so; then each pair is
    one array (2, count), worked on in place. Only what is multiplied is cut to 32 bits; a word that is merely exclusive-ored may
    keep what stands above it.
    """
    keys = [[np.uint64((word + turn * step) & WORD) for word, step in zip(key, KEY_STEPS)] for turn in range(ROUNDS)]
    c0, c1, c2, c3 = counter
    for k0, k1 in keys[:APART]:
        left, right = (c0 & _LOW) * MULTIPLIERS[0], (c2 & _LOW) * MULTIPLIERS[1]
        c0, c1, c2, c3 = (right >> _HALF) ^ (c1 ^ k0), right, (left >> _HALF) ^ (c3 ^ k1), left
    multiplied, others, spare = (np.empty((2, len(out)), np.uint64) for _ in range(3))
    multiplied[0], multiplied[1], others[0], others[1] = c0, c2, c1, c3
    factors = np.array(MULTIPLIERS)[:, None]
    for pair in keys[APART:]:
        multiplied &= _LOW
        multiplied *= factors
        products = multiplied[::-1]
        others ^= np.array(pair)[:, None]
        np.right_shift(products, _HALF, out=spare)
        spare ^= others
        multiplied, others, spare = spare, products, others
    out[:, 0], out[:, 2] = multiplied
    out[:, 1], out[:, 3] = others

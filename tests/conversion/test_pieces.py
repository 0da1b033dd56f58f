"""Readers may cut a tensor anywhere."""

from __future__ import annotations

import attrs
import numpy as np
from helpers.plain_files import PLAIN, PlainReader

import convpolicy as cp


class SevenBytes(PlainReader):
    """Yields seven bytes at a time: no whole number of elements."""

    def pieces(self, entry):
        """Yield the bytes of a tensor."""
        data = b"".join(super().pieces(entry))
        for at in range(0, len(data), 7):
            yield data[at : at + 7]


def test_pieces_that_end_inside_an_element_are_cast(register, tmp_path):
    """Every number arrives, in the dtype that is asked for."""
    register(attrs.evolve(PLAIN, reader=SevenBytes))
    weight = np.random.default_rng(0).standard_normal((6, 3, 4)).astype("float32")
    np.savez(tmp_path / "a.npz", **{"conv.weight": weight})
    cp.convert(tmp_path / "a.npz", tmp_path / "b.plain", source="torch", target="torch", guess=True)
    cp.convert(tmp_path / "b.plain", tmp_path / "c.npz", source="torch", target="torch", guess=True, dtype="float64")
    with np.load(tmp_path / "c.npz") as arrays:
        assert np.array_equal(arrays["conv.weight"], weight.astype("float64"))

"""MLX's ``.npz`` files, which store bfloat16 as ``|V2``, since NumPy has no such dtype."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from convpolicy.conversion import NpzReader, NpzWriter

DTYPES = {"|V2": "bfloat16"}


class MlxNpzReader(NpzReader):
    """One ``.npz`` file that ``mlx.core.savez`` wrote."""

    dtypes: ClassVar[Mapping[str, str]] = DTYPES


class MlxNpzWriter(NpzWriter):
    """One ``.npz`` file that ``mlx.core.load`` reads."""

    dtypes: ClassVar[Mapping[str, str]] = DTYPES

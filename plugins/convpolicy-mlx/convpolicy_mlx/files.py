"""MLX's ``.npz`` files: NumPy has no bfloat16, so MLX stores its two bytes as ``|V2``, and reads them so."""

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

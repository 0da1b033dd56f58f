"""Drawn weights as a file, in the framework's own names and axes, and as statistics."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convpolicy import whole_files
from convpolicy.errors import InvalidValueError
from convpolicy.policy import Policy

SUFFIX = ".safetensors"


def save(
    path: str | os.PathLike[str],
    policy: Policy,
    drawn: Mapping[str, NDArray[Any] | None],
    groups: int = 1,
    seed: int = 0,
    dtype: str = "float32",
) -> None:
    """Write weights under the policy's parameter names and in its axes; the file is written beside and then renamed.

    Args:
        path: ends in ``.safetensors``.
        policy: kept as JSON in the file's metadata under ``policy``, beside ``seed`` and ``groups``.
        drawn: what `Policy.initial` returned.
        groups, seed, dtype: they were drawn with.

    Raises:
        InvalidValueError: another suffix, or bfloat16, which NumPy has not; nothing else is stored in its place.
        OSError: the file cannot be written.
    """
    from safetensors.numpy import save as serialised

    target = Path(path)
    if target.suffix != SUFFIX:
        raise InvalidValueError(f"output must end in {SUFFIX}, got {target.name!r}; rename it.")
    if any(array is not None and array.dtype != dtype for array in drawn.values()):
        raise InvalidValueError(
            f"dtype must be one that NumPy has for a file, got {dtype!r}; draw float32, or build a layer with seed= and save that."
        )
    packed = policy.part("layout")[0].pack(drawn, groups)
    metadata = {"policy": json.dumps(policy.to_dict()), "seed": str(seed), "groups": str(groups)}
    arrays = {name: np.ascontiguousarray(array) for name, array in packed.items()}
    whole_files.write(target, serialised(arrays, metadata))


def statistics(drawn: Mapping[str, NDArray[Any] | None]) -> list[dict[str, Any]]:
    """Return name, shape, count, mean, standard deviation, least and greatest of every parameter, in float64."""
    rows = []
    for name, array in drawn.items():
        if array is not None:
            wide = array.astype(np.float64)
            rows.append(
                {
                    "parameter": name,
                    "shape": list(array.shape),
                    "count": array.size,
                    "mean": float(wide.mean()),
                    "std": float(wide.std()),
                    "min": float(wide.min()),
                    "max": float(wide.max()),
                }
            )
    return rows

"""Drawn weights as a file, in the framework's own names and axes, and as statistics."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convpolicy.errors import InvalidValueError
from convpolicy.files import Staged
from convpolicy.policy import Policy

SUFFIX = ".safetensors"


def save(
    path: str | os.PathLike[str], policy: Policy, drawn: Mapping[str, NDArray[Any] | None], groups: int = 1, seed: int = 0
) -> None:
    """Write weights under the policy's parameter names and in its axes; the file is written beside and then renamed.

    Args:
        path: ends in ``.safetensors``.
        policy: kept as JSON in the file's metadata under ``policy``, beside ``seed`` and ``groups``.
        drawn: what `Policy.initial` returned.
        groups, seed: they were drawn with.

    Raises:
        InvalidValueError: another suffix.
        OSError: the file cannot be written.
    """
    from safetensors.numpy import save as serialised

    target = Path(path)
    if target.suffix != SUFFIX:
        raise InvalidValueError(f"output must end in {SUFFIX}, got {target.name!r}; rename it.")
    packed = policy.part("layout")[0].pack(drawn, groups)
    metadata = {"policy": json.dumps(policy.to_dict()), "seed": str(seed), "groups": str(groups)}
    data = serialised({name: np.ascontiguousarray(array) for name, array in packed.items()}, metadata)
    with Staged(force=True) as staged, staged.beside(target).open("xb") as file:
        file.write(data)


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

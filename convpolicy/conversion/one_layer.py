"""Drawn weights as a file, in the framework's own names and axes, and as statistics."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convpolicy.bits.float32 import from_bfloat16
from convpolicy.conversion.files.safetensors import WORDS, SafetensorsReader
from convpolicy.conversion.tensors import FLOATS, Entry
from convpolicy.core.policy import Policy
from convpolicy.errors import InvalidValueError
from convpolicy.files import whole

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
    whole.write(target, serialised(arrays, metadata))


def load(path: str, policy: Policy) -> tuple[dict[str, Any], str]:
    """Read the weights of one layer.

    Args:
        path: a ``.safetensors`` file, or ``file.safetensors:prefix`` for the tensors whose names begin with ``prefix.``.
        policy: names and axes are those of its layout, unless the file says its own policy, as `save` writes it.

    Returns:
        ``{"weight": (out, in/groups, kernel), "bias": (out,) or None}``, and the name of their dtype; bfloat16 comes as the
        float32 numbers it holds.

    Raises:
        InvalidValueError: no such file format, a tensor that is missing or of other axes, or a dtype that is no real number.
        OSError: the file cannot be read.
    """
    file, colon, prefix = path.rpartition(f"{SUFFIX}:")
    file, dot = (file + SUFFIX, f"{prefix}.") if colon else (path, "")
    if not Path(file).is_file():
        raise InvalidValueError(f"weights must stand in a {SUFFIX} file, got {file!r}, which is no file; correct the path.")
    try:
        reader = SafetensorsReader(Path(file))
        try:
            said = reader.metadata.get("policy")
            layout = (policy if said is None else Policy.from_dict(json.loads(said))).part("layout")[0]
            entries = {entry.name: entry for entry in reader.entries}
            tensors = {name: entries[dot + name] for name in (layout.weight, layout.bias) if dot + name in entries}
            arrays = {name: _numbers(reader, entry) for name, entry in tensors.items() if entry.dtype in FLOATS}
        finally:
            reader.close()
    except (InvalidValueError, json.JSONDecodeError, RecursionError) as error:
        raise InvalidValueError(
            f"{file!r} must be a {SUFFIX} file, got one that cannot be read: {error.__cause__ or error}; write it anew."
        ) from error
    if layout.weight not in tensors:
        raise InvalidValueError(
            f"{file!r} must hold the tensor {dot + layout.weight!r}, it holds {', '.join(sorted(entries)) or 'none'}; name the layer as "
            f"{file}:prefix."
        )
    dtypes = {entry.dtype for entry in tensors.values()}
    if len(dtypes) > 1 or len(arrays) < len(tensors):
        words = ", ".join(WORDS[name] for name in FLOATS)
        raise InvalidValueError(f"weight and bias in {file!r} must both be of one of {words}; convert them.")
    return layout.unpack(arrays), dtypes.pop()


def _numbers(reader: SafetensorsReader, entry: Entry) -> NDArray[Any]:
    """Return a tensor; one of bfloat16 as float32 numbers."""
    array = reader.array(entry)
    return from_bfloat16(array) if entry.dtype == "bfloat16" else array


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

"""Save and load the weights of one layer, and compute their statistics."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convpolicy.bits.float32 import from_bfloat16
from convpolicy.conversion.files.safetensors import DTYPE_NAMES, SafetensorsReader
from convpolicy.conversion.tensors import FLOATS, Entry
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.named import from_data
from convpolicy.errors import InvalidValueError
from convpolicy.files import whole

SUFFIX = ".safetensors"
KINDS = ("Conv1d", "ConvTranspose1d")


def save(
    path: str | os.PathLike[str],
    policy: LayerPolicy,
    drawn: Mapping[str, NDArray[Any] | None],
    groups: int = 1,
    seed: int = 0,
    dtype: str = "float32",
) -> None:
    """Write weights to a file, under the policy's parameter names and in its weight layout.

    The file is written under a temporary name and renamed when complete. Its metadata contains ``policy`` as JSON, ``seed`` and
    ``groups``, and ``transposed`` if the policy is a `TransposedPolicy`.

    Args:
        path: path of the file; it ends in ``.safetensors``.
        policy: policy that the weights were drawn with.
        drawn: the weights, as returned by ``policy.initial``.
        groups: number of groups of the layer.
        seed: seed that the weights were drawn with.
        dtype: dtype that the weights were drawn in.

    Raises:
        InvalidValueError: the path has another suffix, or the dtype is bfloat16, which NumPy does not have.
        OSError: the file cannot be written.
    """
    from safetensors.numpy import save as serialised

    target = Path(path)
    if target.suffix != SUFFIX:
        raise InvalidValueError(f"output must end in {SUFFIX}, got {target.name!r}; rename it.")
    if any(array is not None and array.dtype != dtype for array in drawn.values()):
        raise InvalidValueError(
            f"dtype must be a NumPy dtype for a file, got {dtype!r}; draw float32, or build a layer with seed= and save that."
        )
    packed = policy.part("layout")[0].pack(drawn, groups)
    metadata = {"policy": json.dumps(policy.to_dict()), "seed": str(seed), "groups": str(groups)}
    arrays = {name: np.ascontiguousarray(array) for name, array in packed.items()}
    whole.write(target, serialised(arrays, metadata))


def load(path: str, policy: LayerPolicy) -> tuple[dict[str, Any], str]:
    """Read the weights of one layer.

    Args:
        path: path of a ``.safetensors`` file, or ``file.safetensors:prefix`` for the tensors whose names begin with ``prefix.``.
        policy: policy whose layout has the names and axes of the tensors. If the metadata contains a policy, as in a file written by
            `save`, that one is used instead.

    Returns:
        ``{"weight": array (out, in/groups, kernel), "bias": array (out,) or None}``, and the name of their dtype. The weight of a
        transposed convolution is (in, out/groups, kernel). Tensors of bfloat16 are returned as float32 arrays.

    Raises:
        InvalidValueError: the file is of another format, the weight is missing or has another number of axes, its dtype is not
            a floating-point one, or it is the weight of the other kind of convolution.
        OSError: the file cannot be read.
    """
    file, colon, prefix = path.rpartition(f"{SUFFIX}:")
    file, dot = (file + SUFFIX, f"{prefix}.") if colon else (path, "")
    if not Path(file).is_file():
        raise InvalidValueError(f"weights must be in a {SUFFIX} file, got {file!r}, which does not exist; correct the path.")
    try:
        reader = SafetensorsReader(Path(file))
        try:
            text = reader.metadata.get("policy")
            stored = policy if text is None else from_data(json.loads(text))
            layout = stored.part("layout")[0]
            entries = {entry.name: entry for entry in reader.entries}
            tensors = {name: entries[dot + name] for name in (layout.weight, layout.bias) if dot + name in entries}
            arrays = {name: _numbers(reader, entry) for name, entry in tensors.items() if entry.dtype in FLOATS}
        finally:
            reader.close()
    except (InvalidValueError, json.JSONDecodeError, RecursionError) as error:
        raise InvalidValueError(
            f"{file!r} must be a {SUFFIX} file, got one that cannot be read: {error.__cause__ or error}; write it again."
        ) from error
    if stored.is_transposed != policy.is_transposed:
        raise InvalidValueError(
            f"{file!r} must contain the weights of a {KINDS[policy.is_transposed]}, which policy {policy.name!r} describes, got those of a "
            f"{KINDS[stored.is_transposed]}; pass another file or policy."
        )
    if layout.weight not in tensors:
        raise InvalidValueError(
            f"{file!r} must contain the tensor {dot + layout.weight!r}, got {', '.join(sorted(entries)) or 'none'}; name the layer as "
            f"{file}:prefix."
        )
    dtypes = {entry.dtype for entry in tensors.values()}
    if len(dtypes) > 1 or len(arrays) < len(tensors):
        dtype_names = ", ".join(DTYPE_NAMES[name] for name in FLOATS)
        raise InvalidValueError(f"weight and bias in {file!r} must both have one dtype of {dtype_names}; cast them.")
    return layout.unpack(arrays), dtypes.pop()


def _numbers(reader: SafetensorsReader, entry: Entry) -> NDArray[Any]:
    """Return a tensor as an array; bfloat16 becomes float32."""
    array = reader.array(entry)
    return from_bfloat16(array) if entry.dtype == "bfloat16" else array


def statistics(drawn: Mapping[str, NDArray[Any] | None]) -> list[dict[str, Any]]:
    """Return one dictionary of statistics per parameter, computed in float64.

    Args:
        drawn: the weights, as returned by `Policy.initial`.

    Returns:
        Dictionaries with ``parameter``, ``shape``, ``count``, ``mean``, ``std``, ``min`` and ``max``.
    """
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

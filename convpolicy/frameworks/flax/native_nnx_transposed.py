"""Runs the real ``flax.nnx.ConvTranspose`` with one ``nnx.Rngs(seed)``, for ``convpolicy verify``.

A number in Flax is a pad of the dilated input, and a number in a policy is a cut. The crop rule ``lax_pads`` has Flax's numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flax import nnx

from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.flax.native_nnx import _rngs, give, parameters, run, seed, version

PADDINGS = tuple({"name": "lax_pads", "left": left, "right": right} for left, right in ((0, 0), (2, 2), (2, 1), (-1, 3)))
__all__ = ["PADDINGS", "build", "give", "parameters", "run", "seed", "version"]


def flax_arguments(spec: ConvSpec, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sizes and the arguments under Flax's names, with the pads of `PADDINGS` as a list of pairs."""
    renamed = {"use_bias" if name == "bias" else name: value for name, value in arguments.items()}
    if isinstance(padding := renamed.get("padding"), Mapping):
        renamed["padding"] = [(padding["left"], padding["right"])]
    return {"kernel_size": (spec.kernel_size,), "strides": (spec.stride,), "kernel_dilation": (spec.dilation,), **renamed}


def require_no_groups(spec: ConvSpec) -> None:
    """Refuse groups, which Flax's ``ConvTranspose`` does not have."""
    if spec.groups > 1:
        raise ValueError(f"groups must be 1, got {spec.groups}")


def build(spec: ConvSpec, arguments: Mapping[str, Any]) -> Any:
    return build_with(spec, arguments, transpose_kernel=False)


def build_with(spec: ConvSpec, arguments: Mapping[str, Any], *, transpose_kernel: bool) -> Any:
    """Build a layer with a value of ``transpose_kernel``."""
    require_no_groups(spec)
    return nnx.ConvTranspose(
        spec.in_channels,
        spec.out_channels,
        transpose_kernel=transpose_kernel,
        rngs=_rngs[0],
        **flax_arguments(spec, arguments),
    )

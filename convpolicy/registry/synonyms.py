"""Names of parts in other libraries, for the suggestion in an error message."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

_FRAMEWORKS = {
    "tf": "tensorflow",
    "tf.keras": "tensorflow",
    "pytorch": "torch",
    "pt": "torch",
    "ms": "mindspore",
    "jax": "flax",
    "nnx": "flax",
    "linen": "flax-linen",
    "paddlepaddle": "paddle",
    "onnxruntime": "onnx",
}
# kind of part -> name in another library, in lower case -> name in convpolicy
SYNONYMS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "policy": _FRAMEWORKS,
        "backend": {**_FRAMEWORKS, "tf": "keras", "tf.keras": "keras", "tensorflow": "keras", "np": "numpy"},
        "random stream": _FRAMEWORKS,
        "padding rule": {
            "same": "same_upper",
            "none": "valid",
            "no": "valid",
            "pad": "explicit",
            "notset": "explicit",
            "left": "causal",
            "right": "reverse_causal",
        },
        "crop rule": {
            "same": "same_upper",
            "valid": "explicit",
            "none": "explicit",
            "no": "explicit",
            "full": "explicit",
            "crop": "explicit",
            "pad": "explicit",
            "notset": "explicit",
            "half": "symmetric",
            "right": "causal",
        },
        "padding mode": {
            "edge": "replicate",
            "nearest": "replicate",
            "replication": "replicate",
            "border": "replicate",
            "clamp": "replicate",
            "mirror": "reflect",
            "mirrored": "reflect",
            "reflection": "reflect",
            "reflect101": "reflect",
            "wrap": "circular",
            "periodic": "circular",
            "cyclic": "circular",
            "zero": "zeros",
            "constant0": "zeros",
            "antisymmetric": "odd",
        },
        "initializer": {
            "gaussian": "normal",
            "random_normal": "normal",
            "random_uniform": "uniform",
            "trunc_normal": "truncated_normal",
            "xavier": "xavier_uniform",
            "glorot": "glorot_uniform",
            "kaiming": "kaiming_uniform",
            "he": "he_uniform",
            "lecun": "lecun_normal",
            "identity": "dirac",
        },
    }
)


def synonym(kind: str, name: object, known: Collection[str]) -> str | None:
    """Return the known name for another spelling or for a name of another library, or None.

    Args:
        kind: kind of part, e.g. ``"padding mode"``.
        name: the unknown name; case does not matter.
        known: the names that may be returned.
    """
    if not isinstance(name, str):
        return None
    lower = name.lower()
    same_letters = (candidate for candidate in sorted(known) if candidate.lower() == lower and candidate != name)
    other = SYNONYMS.get(kind, {}).get(lower)
    return next(same_letters, other if other in known else None)

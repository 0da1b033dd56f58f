"""The NumPy plugin: the default backend, and a random stream that belongs to no framework."""

from __future__ import annotations

from convpolicy.layers.backend import Backend
from convpolicy.parts.stream import RandomStream
from convpolicy.registry.deferred import lazy
from convpolicy.registry.marks import hookimpl

ROOM = "convpolicy.frameworks.numpy"


@hookimpl
def convpolicy_random_streams() -> list[RandomStream]:
    """Return the random stream ``numpy``."""
    return [
        RandomStream(
            "numpy",
            lazy(f"{ROOM}.stream", "NumpyStream"),
            description="PCG64 in float64: the same numbers on every machine; belongs to no framework.",
        )
    ]


@hookimpl
def convpolicy_backends() -> list[Backend]:
    """Return the backend ``numpy``."""
    return [
        Backend(
            "numpy",
            lazy(f"{ROOM}.layer", "build"),
            build_transposed=lazy(f"{ROOM}.transposed", "build"),
            capture=lazy(f"{ROOM}.layer", "capture"),
            arrays=lazy(f"{ROOM}.arrays", "NumpyArrays"),
            description="NumPy arrays and BLAS; needs no framework.",
        )
    ]

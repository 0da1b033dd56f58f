"""The Flax plugin, for nnx and linen: policies, random streams, backends and native layers.

Importing it imports neither flax nor jax.
"""

from __future__ import annotations

from convpolicy.conversion.formats import FileFormat
from convpolicy.core.policy import Policy
from convpolicy.frameworks.shared_words import SAME_OR_VALID, backend
from convpolicy.layers.backend import Backend
from convpolicy.parts.choice import Choice
from convpolicy.parts.part import Param
from convpolicy.parts.stream import RandomStream
from convpolicy.registry.deferred import Deferred, lazy
from convpolicy.registry.marks import hookimpl
from convpolicy.verification.native import Native

ROOM = "convpolicy.frameworks.flax"
MESSAGES = (
    "parameters that Flax serialized; load them with flax.serialization.msgpack_restore, and save "
    "flax.traverse_util.flatten_dict(parameters, sep='.') with safetensors.flax.save_file as .safetensors"
)
PADDINGS = (
    ("SAME", "same_upper"),
    ("SAME_LOWER", "same_lower"),
    ("VALID", "valid"),
    ("CAUSAL", "causal"),
    ("CIRCULAR", "same_static"),
    ("REFLECT", "same_static"),
    *SAME_OR_VALID,
)
MODES = tuple((mode.upper(), Choice(mode, overflow="periodic")) for mode in ("circular", "reflect"))


def _policy(name: str, source: str, description: str) -> Policy:
    return Policy(
        name,
        padding="same_upper",
        weight_init="lecun_truncated_normal",
        bias_init="zeros",
        layout="WIO",
        data_layout="NWC",
        random_stream=name,
        padding_names=PADDINGS,
        mode_names=MODES,
        framework="flax",
        versions=">=0.12,<0.13",
        measured="0.12.0",
        source=source,
        description=f"Pads 'SAME' with the extra sample on the right; bias of zeros; LeCun truncated normal kernel, {description}.",
    )


@hookimpl
def convpolicy_policies() -> list[Policy]:
    """Return the policies ``flax`` (nnx) and ``flax-linen``."""
    return [
        _policy("flax", "flax/nnx/nn/linear.py, class Conv", "drawn from one nnx.Rngs"),
        _policy("flax-linen", "flax/linen/linear.py, class Conv", "drawn from a key that depends on the module's path"),
    ]


@hookimpl
def convpolicy_random_streams() -> list[RandomStream]:
    """Return the random streams ``flax`` (nnx) and ``flax-linen``."""
    return [
        RandomStream(
            "flax",
            lazy(f"{ROOM}.stream", "NnxStream"),
            description="The numbers of nnx.Rngs(seed): one threefry key per tensor, by a counter.",
        ),
        RandomStream(
            "flax-linen",
            lazy(f"{ROOM}.stream", "LinenStream"),
            params={"path": Param("", kind="name")},  # path of the Conv in its parent, such as "Block_0/Conv_1"
            description="The numbers of module.init(jax.random.key(seed)): one threefry key per tensor, by the module's path.",
        ),
    ]


def _backend(name: str, api: str, description: str) -> Backend:
    return backend(
        name,
        f"{ROOM}.{api}_layer",
        capture=lazy(f"{ROOM}.capture", f"capture_{api}"),
        convolutions=lazy(f"{ROOM}.models", f"{api}_convolutions"),
        dtypes=("float32", "float64", "float16", "bfloat16"),
        framework="flax",
        install="convpolicy[flax]",
        layout="WIO",
        learns=True,
        description=description,
    )


@hookimpl
def convpolicy_backends() -> list[Backend]:
    """Return the backends ``flax`` (nnx) and ``flax-linen``."""
    return [
        _backend(
            "flax", "nnx", "A plain flax.nnx.Conv where it can express the policy, otherwise a subclass that pads by a plan."
        ),
        _backend("flax-linen", "linen", "A flax.linen.Conv, or a subclass that pads by a plan, together with its variables."),
    ]


@hookimpl
def convpolicy_natives() -> list[Native]:
    """Return Flax's own layers, for ``verify``."""
    return [
        Native("flax", f"{ROOM}.native_nnx", description="flax.nnx.Conv."),
        Native("flax-linen", f"{ROOM}.native_linen", description="flax.linen.Conv."),
    ]


@hookimpl
def convpolicy_dialects() -> list[Deferred]:
    """Return the dialect ``flax``."""
    return [Deferred("dialect", "flax", lazy(f"{ROOM}.dialect", "dialect"))]


@hookimpl
def convpolicy_file_formats() -> list[FileFormat]:
    """Return a format that refuses Flax's own files and names the alternative."""
    return [FileFormat(".msgpack", instead=MESSAGES, description="A file of Flax that cannot be read.")]

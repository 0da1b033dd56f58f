"""The Flax plugin, for nnx and linen: policies, crop rules, layouts, random streams, backends and native layers.

Importing it imports neither flax nor jax.
"""

from __future__ import annotations

from typing import Any

from convpolicy.conversion.formats import FileFormat, ParameterNames
from convpolicy.core.policy import Policy
from convpolicy.core.transposed_policy import TransposedPolicy
from convpolicy.frameworks.flax.crop_rules import RULES
from convpolicy.frameworks.shared_words import SAME_OR_VALID, backend
from convpolicy.layers.backend import Backend
from convpolicy.parts.choice import Choice
from convpolicy.parts.crop import CropRule
from convpolicy.parts.layout import Layout
from convpolicy.parts.part import Param
from convpolicy.parts.stream import RandomStream
from convpolicy.registry.deferred import Deferred, lazy
from convpolicy.registry.marks import hookimpl
from convpolicy.verification.native import Native

ROOM = "convpolicy.frameworks.flax"
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


# names for the padding of ConvTranspose; those in small letters and SAME_LOWER mean something else in jax.lax, which receives them
CROPS = (
    ("SAME", "same_upper"),
    ("VALID", "at_least_stride"),
    ("SAME_LOWER", "lax_same_lower"),
    ("same", "lax_same"),
    ("same_lower", "lax_same_lower"),
    ("valid", "lax_valid"),
)
CIRCULAR = "CIRCULAR"
# transpose_kernel -> layout of the kernel, and the crop rule of CIRCULAR
TRANSPOSED = {False: ("WIO-flipped", "same_upper"), True: ("WOI", "same_lower")}
TRANSPOSE_KERNEL = "-transpose-kernel"  # end of the names of the policies with transpose_kernel=True
DRAWN = {"nnx": "drawn from one nnx.Rngs", "linen": "drawn from a key that depends on the module's path"}
NAMES = {"nnx": "flax", "linen": "flax-linen"}


def _policy(api: str, *, transpose_kernel: bool) -> Policy:
    name = NAMES[api] + (TRANSPOSE_KERNEL if transpose_kernel else "")
    layout, circular = TRANSPOSED[transpose_kernel]
    fields = {
        "padding": "same_upper",
        "weight_init": "lecun_truncated_normal",
        "bias_init": "zeros",
        "data_layout": "NWC",
        "random_stream": NAMES[api],
        "framework": "flax",
        "versions": ">=0.12,<0.13",
        "measured": "0.12.0",
    }
    kernel = "as stored" if transpose_kernel else "in reverse"
    half = TransposedPolicy(
        name,
        layout=layout,
        padding_names=(*CROPS, (CIRCULAR, circular)),
        mode_names=((CIRCULAR, Choice("circular")),),
        source=f"flax/{api}/{'nn/' if api == 'nnx' else ''}linear.py, class ConvTranspose, transpose_kernel={transpose_kernel}",
        description=f"Cuts 'SAME' with the extra sample on the right; applies the kernel {kernel}; bias of zeros; LeCun truncated "
        f"normal kernel, {DRAWN[api]}.",
        **fields,
    )
    return Policy(
        name,
        layout="WIO",
        padding_names=PADDINGS,
        mode_names=MODES,
        source=f"flax/{api}/{'nn/' if api == 'nnx' else ''}linear.py, class Conv",
        description=f"Pads 'SAME' with the extra sample on the right; bias of zeros; LeCun truncated normal kernel, {DRAWN[api]}."
        + (" Its transposed convolution has transpose_kernel=True." if transpose_kernel else ""),
        transposed=half,
        **fields,
    )


@hookimpl
def convpolicy_policies() -> list[Policy]:
    """Return the policies ``flax`` (nnx) and ``flax-linen``, and both for ``transpose_kernel=True``."""
    return [_policy(api, transpose_kernel=transpose_kernel) for transpose_kernel in TRANSPOSED for api in NAMES]


@hookimpl
def convpolicy_crop_rules() -> list[CropRule]:
    """Return Flax's own crop rules."""
    return RULES


@hookimpl
def convpolicy_layouts() -> list[Layout]:
    """Return the layout of a transposed kernel in Flax."""
    return [
        Layout(
            "WIO-flipped",
            "WIO",
            weight="kernel",
            transposed=True,
            flip=True,
            description="Kernel (kernel, in, out/groups) of a transposed convolution, in reverse: Flax.",
        )
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
            params={"path": Param("", kind="name")},  # path of the module in its parent, such as "Block_0/Conv_1"
            description="The numbers of module.init(jax.random.key(seed)): one threefry key per tensor, by the module's path.",
        ),
    ]


def _backend(api: str, description: str, **fields: Any) -> Backend:
    return backend(
        NAMES[api],
        f"{ROOM}.{api}_layer",
        build_transposed=lazy(f"{ROOM}.{api}_transposed", "build"),
        capture=lazy(f"{ROOM}.capture", f"capture_{api}"),
        arrays=lazy(f"{ROOM}.arrays", "FlaxArrays"),
        sharded=lazy(f"{ROOM}.shards.layer", "sharded"),
        convolutions=lazy(f"{ROOM}.models", f"{api}_convolutions"),
        tensors=lazy(f"{ROOM}.tensors", "tensors") if api == "nnx" else None,
        schemes=lazy(f"{ROOM}.tensor_names", "schemes"),
        dtypes=("float32", "float64", "float16", "bfloat16"),
        framework="flax",
        install="convpolicy[flax]",
        layout="WIO",
        transposed_layout=TRANSPOSED[False][0],
        learns=True,
        declares=("no-empty-batch",),  # CIRCULAR of Flax's own ConvTranspose divides by the size of the batch
        description=description,
        **fields,
    )


@hookimpl
def convpolicy_backends() -> list[Backend]:
    """Return the backends ``flax`` (nnx) and ``flax-linen``."""
    return [
        _backend(
            "nnx",
            "A plain flax.nnx.Conv or ConvTranspose where it can express the policy, otherwise a subclass that follows a plan.",
            reader=lazy(f"{ROOM}.reader", "reader"),
        ),
        _backend("linen", "A flax.linen.Conv or ConvTranspose, or a subclass that follows a plan, together with its variables."),
    ]


def _native(api: str, *, transpose_kernel: bool) -> Native:
    return Native(
        NAMES[api] + (TRANSPOSE_KERNEL if transpose_kernel else ""),
        f"{ROOM}.native_{api}",
        transposed=f"{ROOM}.native_{api}_{'transpose_kernel' if transpose_kernel else 'transposed'}",
        description=f"flax.{api}.Conv and flax.{api}.ConvTranspose with transpose_kernel={transpose_kernel}.",
    )


@hookimpl
def convpolicy_natives() -> list[Native]:
    """Return Flax's own layers, for ``verify``."""
    return [_native(api, transpose_kernel=transpose_kernel) for transpose_kernel in TRANSPOSED for api in NAMES]


@hookimpl
def convpolicy_dialects() -> list[Deferred]:
    """Return the dialect ``flax``."""
    return [Deferred("dialect", "flax", lazy(f"{ROOM}.dialect", "dialect"))]


@hookimpl
def convpolicy_file_formats() -> list[FileFormat]:
    """Return the format of ``flax.serialization``."""
    return [
        FileFormat(
            ".msgpack",
            lazy(f"{ROOM}.messages", "MessagesReader"),
            lazy(f"{ROOM}.messages", "MessagesWriter"),
            names=ParameterNames(separator="/", groups=True),
            keeps_metadata=False,
            description="Parameters that flax.serialization wrote, read and written tensor by tensor, without metadata.",
        )
    ]

"""The MindSpore plugin: policies, padding rule, random stream, backend and native layer. Importing it does not import mindspore."""

from __future__ import annotations

from typing import Any

from convpolicy.conversion.formats import FileFormat
from convpolicy.core.policy import Policy
from convpolicy.core.transposed_policy import TransposedPolicy
from convpolicy.frameworks.shared_words import SAME_OR_VALID, backend
from convpolicy.layers.backend import Backend
from convpolicy.library.padding_rules import SAME_UPPER
from convpolicy.parts.choice import Choice
from convpolicy.parts.initializer import FAN_IN_UNIFORM
from convpolicy.parts.layout import Layout
from convpolicy.parts.padding import PaddingRule
from convpolicy.parts.stream import RandomStream
from convpolicy.registry.deferred import Deferred, lazy
from convpolicy.registry.marks import hookimpl
from convpolicy.verification.native import Native

ROOM = "convpolicy.frameworks.mindspore"
PAGE = "https://www.mindspore.cn/docs/en/r2.0/note/api_mapping/pytorch_diff/Conv1d.html"
CROP_NAMES = (("same", "same_upper"), ("valid", "at_least_stride"))


def _policy(
    name: str, versions: str, measured: tuple[str, str], weight_init: Choice, bias_init: str, descriptions: tuple[str, str]
) -> Policy:
    """Return a policy; ``measured`` and ``descriptions`` are of Conv1d and of Conv1dTranspose."""
    common: dict[str, Any] = {
        "padding": "same_upper",
        "bias": False,
        "weight_init": weight_init,
        "bias_init": bias_init,
        "random_stream": "mindspore",
        "framework": "mindspore",
        "versions": versions,
    }
    return Policy(
        name,
        layout="OI1W",
        padding_names=SAME_OR_VALID,
        measured=measured[0],
        source=f"mindspore/nn/layer/conv.py, class Conv1d; its page {PAGE}",
        description=descriptions[0],
        transposed=TransposedPolicy(
            name,
            layout="IO1W",
            padding_names=CROP_NAMES,
            measured=measured[1],
            source="mindspore/nn/layer/conv.py, class Conv1dTranspose",
            description=descriptions[1],
            **common,
        ),
        **common,
    )


@hookimpl
def convpolicy_policies() -> list[Policy]:
    """Return the policies of MindSpore's versions."""
    return [
        _policy(
            "mindspore",
            ">=2.1,<2.11",
            ("2.7.0, 2.8.0, 2.9.0, 2.10.0", "2.10.0"),
            FAN_IN_UNIFORM,
            "uniform",
            (
                (
                    "Pads 'same' with the extra sample on the right; no bias; weight uniform ±√(1/fan_in). "
                    "Documented from 2.1 on, measured from 2.7 on."
                ),
                (
                    "Keeps length · stride samples, and cuts the extra sample on the right; no bias; weight uniform ±√(1/fan_in), where "
                    "fan_in is out_channels // groups * kernel_size."
                ),
            ),
        ),
        _policy(
            "mindspore@2.0",
            "==2.0.*",
            ("2.0.0", "2.0.0"),
            Choice("normal", std=0.01),
            "zeros",
            (
                "Pads 'same' with the extra sample on the right; no bias; weight N(0, 0.01²), where MindSpore's page says N(0, 1).",
                "Keeps length · stride samples, and cuts the extra sample on the right; no bias; weight N(0, 0.01²).",
            ),
        ),
    ]


@hookimpl
def convpolicy_padding_rules() -> list[PaddingRule]:
    """Return ``mindspore-right``, an alias of ``same_upper``."""
    return [SAME_UPPER.alias("mindspore-right", "MindSpore's pad_mode='same'; the pads depend on the stride, as measured.")]


@hookimpl
def convpolicy_layouts() -> list[Layout]:
    """Return the layout of the weights of ``mindspore.nn.Conv1dTranspose``."""
    return [
        Layout(
            "IO1W",
            "IO1W",
            transposed=True,
            fan_in="O",
            description="Weight (in, out/groups, 1, kernel): mindspore.nn.Conv1dTranspose, which uses a Conv2d.",
        )
    ]


@hookimpl
def convpolicy_random_streams() -> list[RandomStream]:
    """Return the random stream ``mindspore``."""
    return [
        RandomStream(
            "mindspore",
            lazy(f"{ROOM}.stream", "MindsporeStream"),
            description="The numbers after mindspore.set_seed(seed): one Philox seed per tensor.",
        )
    ]


@hookimpl
def convpolicy_backends() -> list[Backend]:
    """Return the backend ``mindspore``."""
    return [
        backend(
            "mindspore",
            f"{ROOM}.layer",
            capture=lazy(f"{ROOM}.capture", "capture"),
            arrays=lazy(f"{ROOM}.arrays", "MindSporeArrays"),
            convolutions=lazy(f"{ROOM}.models", "convolutions"),
            reader=lazy(f"{ROOM}.reader", "reader"),
            tensors=lazy(f"{ROOM}.tensors", "tensors"),
            schemes=lazy(f"{ROOM}.tensor_names", "schemes"),
            build_transposed=lazy(f"{ROOM}.transposed", "build"),
            layout="OI1W",
            transposed_layout="IO1W",
            dtypes=("float32", "float64", "float16"),
            learns=True,
            description="A subclass of mindspore.nn.Conv1d or mindspore.nn.Conv1dTranspose, for PyNative and graph mode.",
        )
    ]


@hookimpl
def convpolicy_file_formats() -> list[FileFormat]:
    """Return the file format of MindSpore checkpoints."""
    return [
        FileFormat(
            ".ckpt",
            lazy(f"{ROOM}.files", "MindSporeReader"),
            lazy(f"{ROOM}.files", "MindSporeWriter"),
            package="mindspore",
            install="convpolicy[mindspore]",
            description="MindSpore checkpoints; MindSpore's own functions write them.",
        )
    ]


@hookimpl
def convpolicy_natives() -> list[Native]:
    """Return MindSpore's own layers, for ``verify``."""
    return [
        Native(
            name,
            f"{ROOM}.native",
            transposed=f"{ROOM}.native_transposed",
            description="mindspore.nn.Conv1d and mindspore.nn.Conv1dTranspose.",
        )
        for name in ("mindspore", "mindspore@2.0")
    ]


@hookimpl
def convpolicy_dialects() -> list[Deferred]:
    """Return the dialect ``mindspore``."""
    return [Deferred("dialect", "mindspore", lazy(f"{ROOM}.dialect", "dialect"))]

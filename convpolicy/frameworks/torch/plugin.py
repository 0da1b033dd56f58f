"""The PyTorch plugin: policy, padding rules, random stream, backend and native layer. Importing it does not import torch."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

from convpolicy.arithmetic import SIDES, split, static_total
from convpolicy.chunks.form import StreamingForm
from convpolicy.conversion.formats import FileFormat
from convpolicy.core.policy import Policy
from convpolicy.core.transposed_policy import TransposedPolicy
from convpolicy.frameworks.shared_words import backend
from convpolicy.frameworks.torch.wrappers import WRAPPERS
from convpolicy.layers.backend import Backend
from convpolicy.layers.wrapper import Wrapper
from convpolicy.parts.choice import Choice
from convpolicy.parts.initializer import FAN_IN_UNIFORM
from convpolicy.parts.padding import PaddingRule
from convpolicy.parts.part import Param
from convpolicy.parts.stream import RandomStream
from convpolicy.registry.deferred import Deferred, lazy
from convpolicy.registry.marks import hookimpl
from convpolicy.verification.native import Native

ROOM = "convpolicy.frameworks.torch"


def torch_same(kernel: int, stride: int, dilation: int, length: int | None, *, odd_side: str) -> tuple[int, int]:
    """torch's padding='same': total e - 1, extra sample right, stride 1 only.

    Source: torch/nn/modules/conv.py, _ConvNd.__init__; measured on torch 1.9.0 and 2.13.0.
    """
    if stride != 1:
        raise ValueError(f"stride must be 1, got {stride}, as in torch; use 'same_upper' or 'same_static' with a stride.")
    return split(static_total(kernel, dilation), odd_side)


TORCH_SAME = PaddingRule(
    "torch_same", torch_same, declares={"length-preserving"}, params={"odd_side": Param("right", kind="name", allowed=SIDES)}
)


@hookimpl
def convpolicy_padding_rules() -> list[PaddingRule]:
    """Return torch's own 'same', and the rule that MindSpore's documentation describes instead."""
    return [
        TORCH_SAME,
        TORCH_SAME.alias(
            "torch-left",
            "the extra sample is on the left, as MindSpore's page describes torch. Torch itself puts it on the right, as measured on 1.9.0 and 2.13.0.",
            odd_side="left",
        ),
    ]


@hookimpl
def convpolicy_policies() -> list[Policy]:
    """Return the policy ``torch``."""
    return [
        Policy(
            "torch",
            weight_init=FAN_IN_UNIFORM,
            random_stream="torch",
            padding_names=(("same", "torch_same"), ("valid", "valid")),
            framework="torch",
            versions=">=1.9,<2.14",
            measured="1.9.0, 2.13.0",
            source="torch/nn/modules/conv.py, class Conv1d",
            description="No padding; bias; weight and bias uniform ±√(1/fan_in). Its own 'same' puts the extra sample on the right.",
            transposed=TransposedPolicy(
                "torch",
                weight_init=FAN_IN_UNIFORM,
                random_stream="torch",
                framework="torch",
                versions=">=1.9,<2.14",
                measured="2.13.0",
                source="torch/nn/modules/conv.py, class ConvTranspose1d",
                description="Cuts nothing; bias; weight and bias uniform ±√(1/fan_in), where fan_in is out_channels // groups * kernel_size.",
            ),
        )
    ]


@hookimpl
def convpolicy_random_streams() -> list[RandomStream]:
    """Return the random stream ``torch``."""
    return [
        RandomStream(
            "torch",
            lazy(f"{ROOM}.stream", "TorchStream"),
            constructed={"weight": FAN_IN_UNIFORM, "bias": Choice("uniform")},
            description="The numbers after torch.manual_seed(seed) on the CPU: one mt19937 generator for all tensors.",
        )
    ]


def default_dtype() -> str:
    """Return the default dtype of torch; float32 while torch is not imported, since nobody can have changed it."""
    torch = sys.modules.get("torch")
    return "float32" if torch is None else _name_of(torch.get_default_dtype())


@lru_cache
def _name_of(dtype: Any) -> str:
    return str(dtype).rpartition(".")[2]


@hookimpl
def convpolicy_backends() -> list[Backend]:
    """Return the backend ``torch``."""
    return [
        backend(
            "torch",
            f"{ROOM}.layer",
            build_transposed=lazy(f"{ROOM}.layer", "build_transposed"),
            capture=lazy(f"{ROOM}.capture", "capture"),
            convolutions=lazy(f"{ROOM}.models", "convolutions"),
            tensors=lazy(f"{ROOM}.tensors", "tensors"),
            schemes=lazy(f"{ROOM}.tensor_names", "schemes"),
            patched=lazy(f"{ROOM}.models", "patched"),
            reader=lazy(f"{ROOM}.reader", "reader"),
            tune=lazy(f"{ROOM}.execution.tuning", "tune"),
            untune=lazy(f"{ROOM}.execution.tuning", "untune"),
            arrays=lazy(f"{ROOM}.chunks.arrays", "TorchArrays"),
            sharded=lazy(f"{ROOM}.shards.module", "sharded"),
            streamed_model=lazy(f"{ROOM}.chunks.model", "streamed_model"),
            dtypes=("float32", "float64", "float16", "bfloat16"),
            # in this order: DataParallel, torch.compile, FSDP, activation checkpointing
            wrappers=("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"),
            default_dtype=default_dtype,
            learns=True,
            description="A plain torch.nn.Conv1d or torch.nn.ConvTranspose1d where it can express the policy, otherwise a subclass of it.",
        )
    ]


@hookimpl
def convpolicy_wrappers() -> list[Wrapper]:
    """Return the wrappers of public packages."""
    return WRAPPERS


@hookimpl
def convpolicy_streaming_forms() -> list[StreamingForm]:
    """Return the streaming forms of torch's recurrent layers."""
    return [
        StreamingForm(
            f"torch.nn.modules.rnn.{name}",
            lazy(f"{ROOM}.chunks.recurrent", "Recurrent"),
            description=f"torch.nn.{name}, if it is unidirectional.",
        )
        for name in ("LSTM", "GRU", "RNN")
    ]


@hookimpl
def convpolicy_file_formats() -> list[FileFormat]:
    """Return the file format of ``torch.save``, once for each suffix."""
    reader, writer = lazy(f"{ROOM}.files", "TorchReader"), lazy(f"{ROOM}.files", "TorchWriter")
    return [
        FileFormat(
            suffix,
            reader,
            writer,
            package="torch",
            install="convpolicy[torch]",
            keeps_metadata=False,
            description="A state dict of torch.save; only tensors are unpickled, and the file cannot store metadata.",
        )
        for suffix in (".pt", ".pth", ".bin")
    ]


@hookimpl
def convpolicy_natives() -> list[Native]:
    """Return torch's own layer, for ``verify``."""
    return [
        Native(
            "torch",
            f"{ROOM}.native",
            transposed=f"{ROOM}.native_transposed",
            description="torch.nn.Conv1d and torch.nn.ConvTranspose1d.",
        )
    ]


@hookimpl
def convpolicy_dialects() -> list[Deferred]:
    """Return the dialect ``torch``."""
    return [Deferred("dialect", "torch", lazy(f"{ROOM}.dialect", "dialect"))]

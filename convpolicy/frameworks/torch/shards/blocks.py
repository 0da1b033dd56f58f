"""Modules that compute each output from one block of samples, such as a pooling with learned weights. A test confirms it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from convpolicy.frameworks.torch.chunks.probing import FAR
from convpolicy.frameworks.torch.chunks.values import BATCH, TIME, Misfit, Stream

PROBED = 3  # blocks of random data with which a module is tested


def add_blocks(build: Any, node: fx.Node, module: nn.Module, stream: Stream, samples: int) -> None:
    """Add a module that returns one output for each block of samples.

    Args:
        build: the builder.
        node: the node.
        module: the module.
        stream: its input.
        samples: length of a block.

    Raises:
        InvalidValueError: an output depends on more than its block, or a rank or a document owns a part of a block.
    """
    if len(stream.axes) != 3 or stream.time != 2:
        raise Misfit("its input must have shape (batch, channels, length)")
    data = stream.probe(2, PROBED * samples, build.device)
    with torch.no_grad():
        whole = _called(module, data)
        parts = [_called(module, block) for block in data.split(samples, -1)]  # type: ignore[no-untyped-call]
    expected = torch.cat(parts, -1)
    if whole.dim() != 3 or whole.shape[-1] != PROBED or whole.shape != expected.shape or not _alike(whole, expected):
        raise build.refuse(
            node, f"its outputs do not depend on blocks of {samples} samples, one output for each", "correct blocks"
        )
    cuts, documents = build.cuts[stream.clock]
    wrong = next((border for border in (*cuts.borders, *(documents or ())) if border % samples), None)
    if wrong is not None:
        raise build.refuse(
            node,
            f"its blocks of {samples} samples are cut at sample {wrong}",
            "pass parts with borders at multiples of all strides",
        )
    build.scale(node, stream, lambda border: border // samples, (BATCH, whole.shape[1], TIME), whole.dtype)


def _called(module: nn.Module, data: Tensor) -> Tensor:
    try:
        result = module(data)
    except Exception as error:
        raise Misfit(f"{type(error).__name__}: {error}") from error
    if not isinstance(result, Tensor):
        raise Misfit("it returns no tensor")
    return result


def _alike(whole: Tensor, expected: Tensor) -> bool:
    scale = float(expected.abs().max())
    return torch.allclose(whole, expected, rtol=0.0, atol=FAR * scale + 1e-30)

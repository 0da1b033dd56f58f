"""Cases for `speed.py`: the torch layers of 113 models, and padding code that people write by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from interleaved import Result, compare
from torch import Tensor, nn

import convpolicy as cp

LAYERS = json.loads((Path(__file__).parent.parent / "tests" / "data" / "conv1d-layers.json").read_text(encoding="utf-8"))
LENGTHS = (100, 600, 3000)
SIZES = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias", "padding_mode")
DEPTHWISE, GROUPED = "padded depthwise kernel ≥ 15", "grouped kernel 128"


def describe(layer: dict[str, Any]) -> str:
    """Return the sizes of a layer as a short text."""
    layer = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "padding_mode": "zeros"} | layer
    text = f"{layer['in_channels']}→{layer['out_channels']} k{layer['kernel_size']}"
    for letter, name, usual in (("s", "stride", 1), ("p", "padding", 0), ("d", "dilation", 1), ("g", "groups", 1)):
        text += f" {letter}{layer[name]}" if layer[name] != usual else ""
    return text + (f" {layer['padding_mode']}" if layer["padding_mode"] != "zeros" else "")


def lowering(layer: nn.Module) -> str:
    """Return the name of the implementation that a layer uses for the last new input shape."""
    ways = list(getattr(layer, "_ways", {}).values())
    return ways[-1][0].__name__ if ways else "native"


def built(arguments: dict[str, Any], source: nn.Conv1d, execution: str, **policy: Any) -> nn.Conv1d:
    """Return a convpolicy layer that shares its parameters with another, since copies at other addresses differ in speed."""
    layer: nn.Conv1d = cp.Conv1d(**arguments, backend="torch", execution=execution, **policy)
    layer.weight, layer.bias = source.weight, source.bias
    return layer.eval()


def kind(layer: dict[str, Any]) -> str:
    """Return the group of layers with a separate target that a layer belongs to, or an empty text."""
    if layer["groups"] == layer["in_channels"] > 1 and layer["kernel_size"] >= 15 and layer["padding"]:
        return DEPTHWISE
    return GROUPED if layer["kernel_size"] == 128 else ""


def mix(rounds: int, every: int = 1) -> Iterator[Result]:
    """Compare native, exact and fast layers for each n-th layer and every length, with batches of 1."""
    for length in LENGTHS:
        for layer in LAYERS[::every]:
            yield _layer("layers", layer, 1, length, rounds if length < LENGTHS[-1] else max(rounds // 3, 3))


def batches(rounds: int, every: int = 1) -> Iterator[Result]:
    """Compare native, exact and fast layers with batches of 8."""
    for layer in LAYERS[::every]:
        yield _layer("batches of 8", layer, 8, LENGTHS[0], rounds)


def training(rounds: int, every: int = 1) -> Iterator[Result]:
    """Compare forward and backward pass of native and fast layers, for layers that use another implementation with gradients."""
    for layer in LAYERS[::every]:
        native, _, fast, data = _built(layer, 4, LENGTHS[1])
        output = fast(data)
        if lowering(fast) in ("native", "same"):
            continue
        inputs = [data.requires_grad_(), *native.parameters()]
        upstream = torch.randn_like(output)
        ways = {
            name: lambda way=way, i=inputs, x=data, u=upstream: torch.autograd.grad(way(x), i, u)
            for name, way in (("native", native), ("fast", fast))
        }
        name = f"{describe(layer)}, 4 items of length {LENGTHS[1]}"
        yield compare("forward and backward", name, ways, rounds, lowering=lowering(fast))


def _built(layer: dict[str, Any], batch: int, length: int) -> tuple[nn.Conv1d, nn.Conv1d, nn.Conv1d, Tensor]:
    """Return a native, an exact and a fast layer with the same parameters, and an input."""
    arguments = {name: layer[name] for name in SIZES}
    shortest = (layer["kernel_size"] - 1) * layer["dilation"] + 1
    native = nn.Conv1d(**arguments).eval()
    exact, fast = (built(arguments, native, execution) for execution in ("exact", "fast"))
    return native, exact, fast, torch.randn(batch, layer["in_channels"], max(length, shortest))


def _layer(section: str, layer: dict[str, Any], batch: int, length: int, rounds: int) -> Result:
    native, exact, fast, data = _built(layer, batch, length)
    with torch.inference_mode():
        same_bits = torch.equal(exact(data), native(data))
        fast(data)
        ways = {"native": lambda: native(data), "exact": lambda: exact(data), "fast": lambda: fast(data)}
        facts = {"length": length, "lowering": lowering(fast), "exact_bits": same_bits, "kind": kind(layer)}
        return compare(section, f"{describe(layer)}, length {length}", ways, rounds, **facts)


class SamePadded(nn.Conv1d):
    """TensorFlow's SAME as image libraries write it by hand: the padding is computed from the length in every call."""

    def forward(self, x: Tensor) -> Tensor:
        """Pad, then convolve."""
        (kernel,), (stride,), (dilation,) = self.kernel_size, self.stride, self.dilation
        total = max((-(-x.size(-1) // stride) - 1) * stride + (kernel - 1) * dilation + 1 - x.size(-1), 0)
        if total:
            x = F.pad(x, (total // 2, total - total // 2))
        return F.conv1d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class ModePadded(nn.Conv1d):
    """A padding mode as people write it by hand: ``F.pad``, then a convolution without padding."""

    def __init__(self, *arguments: Any, pads: tuple[int, int], mode: str, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.pads, self.mode = pads, mode

    def forward(self, x: Tensor) -> Tensor:
        """Pad, then convolve."""
        return super().forward(F.pad(x, self.pads, self.mode))


SAME = [  # in, out, kernel, stride, groups, length
    (8, 8, 3, 2, 1, 64), (64, 128, 4, 2, 1, 600), (64, 64, 3, 2, 1, 600), (256, 256, 3, 2, 1, 600), (512, 512, 3, 2, 1, 3000),
    (80, 512, 3, 2, 1, 3000), (32, 64, 4, 2, 1, 24000), (512, 512, 5, 2, 512, 600), (1, 32, 7, 2, 1, 64000), (32, 64, 5, 4, 1, 6000),
    (64, 128, 8, 4, 1, 6000), (128, 256, 8, 4, 1, 600), (512, 512, 5, 4, 512, 3000), (1, 64, 10, 4, 1, 16000),
]  # fmt: skip
MODES = [  # in, out, kernel, stride, dilation, groups, pad, length
    (8, 8, 3, 1, 1, 1, 1, 64), (32, 32, 7, 1, 1, 1, 3, 600), (32, 1, 7, 1, 1, 1, 3, 24000), (64, 32, 7, 1, 1, 1, 3, 24000),
    (32, 32, 3, 1, 9, 1, 9, 24000), (1, 32, 7, 1, 1, 1, 3, 24000), (256, 256, 3, 1, 1, 1, 1, 3000), (512, 512, 3, 1, 1, 512, 1, 3000),
    (512, 512, 5, 1, 1, 512, 2, 600), (64, 128, 4, 2, 1, 1, 1, 12000), (64, 64, 3, 1, 1, 1, 1, 64000),
]  # fmt: skip


def paddings(rounds: int) -> Iterator[Result]:
    """Compare padding by hand with exact and fast layers, for paddings that torch's layer lacks or implements by copying."""
    for inner, outer, kernel, stride, groups, length in SAME:
        by_hand: nn.Conv1d = SamePadded(inner, outer, kernel, stride, groups=groups).eval()
        arguments = {"in_channels": inner, "out_channels": outer, "kernel_size": kernel, "stride": stride, "groups": groups}
        name = f"same_upper {inner}→{outer} k{kernel} s{stride}" + (f" g{groups}" if groups > 1 else "") + f", length {length}"
        yield _padding(name, by_hand, arguments | {"padding": "same_upper"}, torch.randn(1, inner, length), rounds)
    for mode in ("reflect", "replicate", "circular"):
        for inner, outer, kernel, stride, dilation, groups, pad, length in MODES:
            sizes = (inner, outer, kernel, stride)
            by_hand = ModePadded(*sizes, dilation=dilation, groups=groups, pads=(pad, pad), mode=mode).eval()
            arguments = dict(zip(SIZES, sizes)) | {"dilation": dilation, "groups": groups, "padding": pad, "padding_mode": mode}
            name = f"{mode} {pad} {inner}→{outer} k{kernel} s{stride} d{dilation} g{groups}, length {length}"
            yield _padding(name, by_hand, arguments, torch.randn(1, inner, length), rounds)


def _padding(name: str, by_hand: nn.Conv1d, arguments: dict[str, Any], data: Tensor, rounds: int) -> Result:
    exact, fast = (built(arguments, by_hand, execution) for execution in ("exact", "fast"))
    with torch.inference_mode():
        facts = {"exact_bits": torch.equal(exact(data), by_hand(data))}
        fast(data)
        ways = {"by hand": lambda: by_hand(data), "exact": lambda: exact(data), "fast": lambda: fast(data)}
        return compare("paddings", name, ways, rounds, **facts, lowering=lowering(fast))


def overhead(rounds: int) -> Iterator[Result]:
    """Compare the overhead of one call and of construction with the native layer, for layers with little to compute."""
    data = torch.randn(1, 8, 64)
    for options in ({}, {"padding": 1}, {"padding": 3, "kernel_size": 7, "groups": 8}):
        arguments = {"in_channels": 8, "out_channels": 8, "kernel_size": 3} | options
        native = nn.Conv1d(**arguments).eval()
        exact, fast = (built(arguments, native, execution) for execution in ("exact", "fast"))
        with torch.inference_mode():
            ways = {"native": lambda n=native: n(data), "exact": lambda e=exact: e(data), "fast": lambda f=fast: f(data)}
            yield compare("overhead", f"forward 1×8×64, {describe(arguments)}", ways, rounds)
    for sizes in ((8, 8, 3), (64, 64, 7)):
        ways = {
            "native": lambda s=sizes: [nn.Conv1d(*s) for _ in range(100)],
            "exact": lambda s=sizes: [cp.Conv1d(*s, backend="torch") for _ in range(100)],
            "fast": lambda s=sizes: [cp.Conv1d(*s, backend="torch", execution="fast") for _ in range(100)],
        }
        yield compare("overhead", f"construction of 100 layers {sizes}", ways, rounds)

"""Cases for `speed.py`: the transposed convolutions of 18 audio decoders, on inputs of three lengths.

The layers are in tests/data/conv-transpose1d-layers.json. ``padding`` is the argument of ``torch.nn.ConvTranspose1d``, or what the
model's code cuts from the full result, left and right. ``frame`` is the number of input samples of the layer for each latent frame of
the model. As a result, every layer gets inputs as long as in its model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from interleaved import Result, compare
from mix import lowering
from torch import Tensor, nn

import convpolicy as cp

LAYERS = json.loads(
    (Path(__file__).parent.parent / "tests" / "data" / "conv-transpose1d-layers.json").read_text(encoding="utf-8")
)
FRAMES = (10, 50, 200)  # latent frames
SIZES = ("in_channels", "out_channels", "kernel_size", "stride", "groups", "bias")


class Cut(nn.ConvTranspose1d):
    """A transposed convolution whose full result is cut, as the code of decoders does it by hand."""

    def __init__(self, *, cuts: tuple[int, int], **arguments: Any) -> None:
        super().__init__(**arguments)
        self.cuts = cuts

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """Compute the full result, and cut it."""
        full = super().forward(x)
        return full[..., self.cuts[0] : full.shape[-1] - self.cuts[1]]


def describe(layer: dict[str, Any]) -> str:
    """Return the sizes of a layer as a short text."""
    cut = layer["padding"]
    text = f"{layer['in_channels']}→{layer['out_channels']} k{layer['kernel_size']} s{layer['stride']}"
    text += f" cut {cut[0]}/{cut[1]}" if isinstance(cut, list) else f" p{cut}"
    text += f" op{layer['output_padding']}" if layer["output_padding"] else ""
    return text + (f" g{layer['groups']}" if layer["groups"] > 1 else "")


def built(layer: dict[str, Any]) -> tuple[nn.ConvTranspose1d, ...]:
    """Return the layer of the model's code, an exact, a fast and an auto layer, which share their parameters."""
    sizes, cut = {name: layer[name] for name in SIZES}, layer["padding"]
    if isinstance(cut, list) and cut[0] < cut[1]:  # torch's layer cannot cut more on the right
        native: nn.ConvTranspose1d = Cut(cuts=(cut[0], cut[1]), **sizes)
    else:
        left, more = (cut[0], cut[0] - cut[1]) if isinstance(cut, list) else (cut, layer["output_padding"])
        native = nn.ConvTranspose1d(padding=left, output_padding=more, **sizes)
    options = {"padding": tuple(cut)} if isinstance(cut, list) else {"padding": cut, "output_padding": layer["output_padding"]}
    ours = []
    for execution in ("exact", "fast", "auto"):
        own = cp.ConvTranspose1d(**sizes, **options, backend="torch", execution=execution)
        own.weight, own.bias = native.weight, native.bias
        ours.append(own.eval())
    return native.eval(), *ours


def layers(rounds: int, every: int = 1) -> Iterator[Result]:
    """Compare native, exact, fast and auto layers for each n-th layer and every length, with batches of 1."""
    for frames in FRAMES:
        for layer in LAYERS[::every]:
            yield _layer("transposed", layer, 1, frames, rounds)


def batches(rounds: int, every: int = 1) -> Iterator[Result]:
    """Compare native, exact, fast and auto layers with batches of 8 on short inputs."""
    for layer in LAYERS[::every]:
        yield _layer("transposed, batches of 8", layer, 8, FRAMES[0], rounds)


def _layer(section: str, layer: dict[str, Any], batch: int, frames: int, rounds: int) -> Result:
    native, exact, fast, auto = built(layer)
    data = torch.randn(batch, layer["in_channels"], frames * layer["frame"])
    with torch.inference_mode():
        same_bits = torch.equal(exact(data), native(data))
        fast(data)
        auto(data)  # measures, and may pack the weight
        ways = {
            "native": lambda: native(data),
            "exact": lambda: exact(data),
            "fast": lambda: fast(data),
            "auto": lambda: auto(data),
        }
        facts = {"length": data.shape[-1], "frames": frames, "lowering": lowering(fast), "measured": lowering(auto)}
        facts["exact_bits"] = same_bits
        return compare(section, f"{describe(layer)}, length {data.shape[-1]}", ways, rounds, **facts)

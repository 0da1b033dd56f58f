"""Eager quantisation and ``fuse_modules`` for subclasses of ``torch.nn.Conv1d``.

Torch looks the class of a layer up in tables. `enter` adds a class to them. Torch's tools then process a plain ``torch.nn.Conv1d``
with the same parameters, behind a module that pads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.ao.nn import quantized
from torch.ao.quantization import fuser_method_mappings, quantization_mappings

NATIVE: Any = quantized.Conv1d
FUSED = ((nn.BatchNorm1d,), (nn.BatchNorm1d, nn.ReLU), (nn.ReLU,))  # the layers after a Conv1d that torch fuses with it


class Quantized:
    """Converts a float layer to a quantised one; torch calls `from_float`."""

    @classmethod
    def from_float(cls, layer: Any, use_precomputed_fake_quant: bool = False) -> nn.Module:
        """Return torch's own quantised layer, behind a module that pads if the layer has a ``padder``."""
        plain = layer.convolution
        for name in ("qconfig", "activation_post_process"):
            if hasattr(layer, name):
                setattr(plain, name, getattr(layer, name))
        return _padded(layer, NATIVE.from_float(plain, use_precomputed_fake_quant))


def enter(layer_class: type[nn.Module]) -> None:
    """Add a layer class to torch's tables of quantisable and fusable layers.

    Args:
        layer_class: a class whose layers have ``convolution``, a ``torch.nn.Conv1d``, and ``padder``, a module or None.

    In quantisation-aware training, torch only quantises a Conv1d that is fused with a normalisation.
    """
    quantization_mappings.DEFAULT_STATIC_QUANT_MODULE_MAPPINGS[layer_class] = Quantized
    fusers: dict[Any, Any] = fuser_method_mappings._DEFAULT_OP_LIST_TO_FUSER_METHOD
    for others in FUSED:
        fusers[(layer_class, *others)] = _fuser(fusers[(nn.Conv1d, *others)])


def _fuser(native: Callable[..., Any]) -> Callable[..., nn.Module]:
    def fuse(is_qat: bool, layer: Any, *others: nn.Module) -> nn.Module:
        return _padded(layer, native(is_qat, layer.convolution, *others))

    return fuse


def _padded(layer: Any, native: Any) -> nn.Module:
    padder: nn.Module | None = layer.padder
    module: nn.Module = native if padder is None else nn.Sequential(padder, native)
    return module.train(layer.training)

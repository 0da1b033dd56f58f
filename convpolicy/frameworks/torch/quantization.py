"""Eager quantisation and ``fuse_modules`` for subclasses of torch's convolutions.

Torch looks the class of a layer up in tables. `enter` adds a class to them. Torch's tools then process a layer of torch's own class
with the same parameters, inside a module that pads or cuts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.ao.nn import quantized
from torch.ao.quantization import fuser_method_mappings, quantization_mappings

NATIVE: dict[Any, Any] = {nn.Conv1d: quantized.Conv1d, nn.ConvTranspose1d: quantized.ConvTranspose1d}
FUSED: dict[Any, tuple[tuple[type[nn.Module], ...], ...]] = {  # the layers that torch fuses with a convolution before them
    nn.Conv1d: ((nn.BatchNorm1d,), (nn.BatchNorm1d, nn.ReLU), (nn.ReLU,)),
    nn.ConvTranspose1d: ((nn.BatchNorm1d,),),
}


class Quantized:
    """Converts a float layer to a quantised one; torch calls `from_float`."""

    @classmethod
    def from_float(cls, layer: Any, use_precomputed_fake_quant: bool = False) -> nn.Module:
        """Return torch's own quantised layer, inside the modules that pad and cut for the layer."""
        plain = layer.convolution
        for name in ("qconfig", "activation_post_process"):
            if hasattr(layer, name):
                setattr(plain, name, getattr(layer, name))
        return _around(layer, NATIVE[layer.native].from_float(plain, use_precomputed_fake_quant))


def enter(layer_class: Any) -> None:
    """Add a layer class to torch's tables of quantisable and fusable layers.

    Args:
        layer_class: a subclass of `convpolicy.frameworks.torch.execution.ruled.Ruled`.

    In quantisation-aware training, torch only quantises a Conv1d that is fused with a normalisation.
    """
    quantization_mappings.DEFAULT_STATIC_QUANT_MODULE_MAPPINGS[layer_class] = Quantized
    fusers: dict[Any, Any] = fuser_method_mappings._DEFAULT_OP_LIST_TO_FUSER_METHOD
    for others in FUSED[layer_class.native]:
        fusers[(layer_class, *others)] = _fuser(fusers[(layer_class.native, *others)])


def _fuser(native: Callable[..., Any]) -> Callable[..., nn.Module]:
    def fuse(is_qat: bool, layer: Any, *others: nn.Module) -> nn.Module:
        return _around(layer, native(is_qat, layer._fusable, *others))

    return fuse


def _around(layer: Any, native: nn.Module) -> nn.Module:
    module: nn.Module = layer._around(native)
    return module

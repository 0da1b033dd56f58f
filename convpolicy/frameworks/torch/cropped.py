"""`CroppedConvTranspose1d`: a ``torch.nn.ConvTranspose1d`` that cuts the full result by a plan."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn
from torch.fx import Proxy

from convpolicy.frameworks.torch import quantization
from convpolicy.frameworks.torch.crops import Crop, Cropped, Crops, Lengthen, crops_of
from convpolicy.frameworks.torch.execution.ruled import Planned, call_module
from convpolicy.frameworks.torch.execution.ruled_transposed import RuledConvTranspose1d
from convpolicy.layers.backend import LayerRequest
from convpolicy.parts.stream import Stream


class CroppedConvTranspose1d(Planned, RuledConvTranspose1d):
    """A ``torch.nn.ConvTranspose1d`` with cuts that torch's own layer cannot express.

    Attributes:
        padding: ``(left, right)``, what is cut, or the name of the crop rule when it depends on the length.
        padding_mode: name of the padding mode.
    """

    bound = (*RuledConvTranspose1d.bound, "_crops")  # a plugin's rule may be a lambda, which cannot be pickled
    unlike = "that cut as torch's own"
    _crops: Crops

    def __init__(self, request: LayerRequest, arguments: dict[str, Any], stream: Stream | None, device: Any) -> None:
        super().__init__(request, arguments, stream, device)
        policy = request.policy
        self.__dict__.update(padding=self._crops.static or str(policy.padding), padding_mode=policy.padding_mode.name)

    def _bind(self) -> None:
        super()._bind()
        self.__dict__.update(_crops=crops_of(self._request))

    @property
    def convolution(self) -> nn.ConvTranspose1d:
        """A new ``torch.nn.ConvTranspose1d`` with the same parameters that computes the full result.

        It has no bias if what is cut is added to the other end, since the bias is added after that.
        """
        plain: nn.ConvTranspose1d = self._plain()
        return _without_bias(plain) if self._crops.full.wraps else plain

    @property
    def padder(self) -> nn.Module | None:
        """A new module that adds zeros to the input of `convolution`, or None when nothing is added."""
        return Lengthen(self._request) if self._crops.lengthens else None

    @property
    def cropper(self) -> Crop:
        """A new module that gets the output of `convolution` and the input of this layer, and returns the output of this layer."""
        return Crop(self._request, self.bias if self._crops.full.wraps else None)

    @property
    def _fusable(self) -> nn.ConvTranspose1d:
        plain: nn.ConvTranspose1d = self._plain()
        return plain

    def _around(self, native: Any) -> nn.Module:
        cropper = self.cropper
        if self._crops.full.wraps and isinstance(native, nn.ConvTranspose1d) and native.bias is not None:  # fused
            cropper = Crop(self._request, native.bias)
            native = _without_bias(native)
        return Cropped(self.padder, native, cropper).train(self.training)

    def _symbolic(self, data: Proxy) -> Any:
        static, full = self._crops.static, self._crops.full
        padded = call_module(data, self, "padder", data) if self._crops.lengthens else data
        if static is not None and self._crops.lengthens:
            steps = full.steps(1, static)
            padded = F.pad(data, (steps.before, steps.after))  # type: ignore[arg-type]
        result = call_module(data, self, "convolution", padded)
        if static is None or full.wraps:
            return call_module(data, self, "cropper", result, data)
        steps = full.steps(1, static)
        longer = (steps.before + steps.after) * full.stride + full.kernel
        return result[..., steps.first : steps.first + steps.length_out - longer or None]

    def _resized(self, data: Tensor, weight: Tensor, bias: Tensor | None, size: Any) -> Tensor:
        request, length = self._request, data.shape[-1]
        if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
            cuts = self._crops.resized(length, size)
        else:
            self._checked(data)
            spec = request.spec
            policy: Any = request.policy
            plan = policy.plan(spec.kernel_size, spec.stride, spec.dilation, length=length, output_size=size)
            cuts = plan.left, plan.right
        return self._crops.full.run(data, weight, bias, cuts, varies=True)

    def _own(self, data: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        crops = self._crops
        cuts = crops.counts(data.shape[-1])
        if torch.compiler.is_compiling():
            torch._check(crops.full.steps(data.shape[-1], cuts).length_out > 0)  # type: ignore[no-untyped-call]
        return crops.full.run(data, weight, bias, cuts, crops.static is None)


def _without_bias(layer: nn.ConvTranspose1d) -> nn.ConvTranspose1d:
    layer.register_parameter("bias", None)
    return layer


quantization.enter(CroppedConvTranspose1d)

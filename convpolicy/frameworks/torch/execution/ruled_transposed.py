"""`RuledConvTranspose1d`: a ``torch.nn.ConvTranspose1d`` that selects its implementation by the rules for its ``execution``."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn
from torch.fx import Proxy

from convpolicy.errors import InvalidTypeError, InvalidValueError
from convpolicy.frameworks.torch import quantization
from convpolicy.frameworks.torch.execution.lowering import PLAIN
from convpolicy.frameworks.torch.execution.ruled import Ruled, call_module


class RuledConvTranspose1d(Ruled, nn.ConvTranspose1d):
    """A ``torch.nn.ConvTranspose1d`` that selects an implementation once for every input shape."""

    __jit_ignored_attributes__ = (*Ruled.__jit_ignored_attributes__, "cropper")
    native = nn.ConvTranspose1d

    @property
    def convolution(self) -> nn.ConvTranspose1d:
        """A new ``torch.nn.ConvTranspose1d`` with the same parameters, for tools that support only that class.

        It equals this layer except for what `padder` adds and `cropper` cuts.
        """
        plain: nn.ConvTranspose1d = self._plain(padding=self.padding, output_padding=self.output_padding)
        return plain

    @property
    def cropper(self) -> nn.Module | None:
        """A new module that cuts the output of `convolution`, or None when `convolution` cuts it."""
        return None

    def _symbolic(self, data: Proxy) -> Any:
        """Add this layer to a torch.fx graph as a call of a ``torch.nn.ConvTranspose1d``."""
        return call_module(data, self, "convolution", data)

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        """Compute the transposed convolution.

        Args:
            input: (batch, in_channels, length) or (in_channels, length).
            output_size: the wanted output length, as in a call of ``torch.nn.ConvTranspose1d``: an int, or a sequence that ends with
                it. None uses the layer's ``output_padding``.

        Returns:
            (batch, out_channels, length_out) or (out_channels, length_out).

        Raises:
            InvalidTypeError, InvalidValueError: the shape of the input or ``output_size`` is not allowed.
        """
        parameters = self._parameters  # avoids nn.Module.__getattr__, which is as slow as the rest of this lookup
        weight = parameters.get("weight")
        if weight is not None and "bias" in parameters:
            bias = parameters["bias"]
        else:
            weight, bias = self.weight, self.bias
        if output_size is None:
            return self._conv_forward(input, weight, bias)
        if isinstance(input, Proxy):
            raise InvalidTypeError(
                "output_size must be left out under torch.fx, which traces the layer for every length, got one; set the layer's "
                "output_padding instead."
            )
        return self._resized(input, weight, bias, _last(output_size, input.dim()))

    def _resized(self, data: Tensor, weight: Tensor, bias: Tensor | None, size: Any) -> Tensor:
        """Compute an output of ``size`` samples."""
        sizes: Any = self.stride, self.padding, self.kernel_size
        more = self._output_padding(data, [size], *sizes, 1, self.dilation)  # type: ignore[arg-type]
        return F.conv_transpose1d(data, weight, bias, self.stride, self.padding, more, self.groups, self.dilation)  # type: ignore[arg-type]

    def _conv_forward(self, input: Any, weight: Tensor, bias: Tensor | None) -> Tensor:
        if isinstance(input, Proxy):
            node: Tensor = self._symbolic(input)
            return node
        if type(weight) not in PLAIN or torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
            return self._traced(input, weight, bias)
        gradients = torch.is_grad_enabled() and (weight.requires_grad or input.requires_grad)
        key = (input.shape, input.dtype, gradients, input.is_cpu, torch.is_autocast_enabled("cpu"))
        way = self._ways.get(key)
        if way is None:
            self._checked(input)
            way = self._remember(key, self._request.plan(input.shape[-1]), input.dim() == 3 and input.numel() > 0)
        return way[0](input, weight, bias, way[1])

    def _traced(self, data: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Compute where the length may be symbolic, under torch.compile or a trace, or with weights of another tensor class."""
        way = self._way_of_traces(data, weight)
        if way is None:
            return self._own(data, weight, bias)
        return way[0](data, weight, bias, way[1])

    def _own(self, data: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Compute as torch's own layer does."""
        return F.conv_transpose1d(
            data,
            weight,
            bias,
            self.stride,
            self.padding,
            self.output_padding,
            self.groups,
            self.dilation,  # type: ignore[arg-type]
        )


def _last(output_size: Any, dimensions: int) -> Any:
    """Return the output length of ``output_size`` for an input of so many dimensions."""
    if not isinstance(output_size, (tuple, list)):  # torch.Size is a tuple
        return output_size
    if len(output_size) not in (1, dimensions):
        raise InvalidValueError(
            f"output_size must have 1 or {dimensions} elements for an input of {dimensions} dimensions, got {len(output_size)}; pass "
            f"the output length."
        )
    return output_size[-1]


quantization.enter(RuledConvTranspose1d)

"""`RuledConvTranspose1d`: a ``torch.nn.ConvTranspose1d`` that selects its implementation by the rules for its ``execution``."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn
from torch.fx import Proxy

from convpolicy.errors import InvalidTypeError, InvalidValueError
from convpolicy.frameworks.torch import quantization
from convpolicy.frameworks.torch.execution.ruled import Ruled


class RuledConvTranspose1d(Ruled, nn.ConvTranspose1d):
    """A ``torch.nn.ConvTranspose1d`` that selects an implementation once for every input shape."""

    __jit_ignored_attributes__: tuple[str, ...] = (*Ruled.__jit_ignored_attributes__, "cropper")
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

    def forward(self, input: Any, output_size: Any = None) -> Tensor:
        """Compute the transposed convolution.

        Args:
            input: (batch, in_channels, length) or (in_channels, length).
            output_size: the output length, as in a call of ``torch.nn.ConvTranspose1d``: an int, or a sequence that ends with
                it. None uses the layer's ``output_padding``.

        Returns:
            (batch, out_channels, length_out) or (out_channels, length_out).

        Raises:
            InvalidTypeError, InvalidValueError: the shape of the input or ``output_size`` is not allowed.
        """
        parameters = self._parameters  # avoids nn.Module.__getattr__, which is as slow as the rest of this lookup
        weight = parameters.get("weight")
        if weight is not None and "bias" in parameters:
            bias: Any = parameters["bias"]
        else:
            weight, bias = self.weight, self.bias  # type: ignore[assignment]  # any tensors, if they are parametrized
        assert weight is not None
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
        sizes: Any = self.stride, self.padding, self.kernel_size, 1, self.dilation
        return self._run(data, weight, bias, self._output_padding(data, [size], *sizes))

    def _own(self, data: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return self._run(data, weight, bias, self.output_padding)

    def _run(self, data: Tensor, weight: Tensor, bias: Tensor | None, output_padding: Any) -> Tensor:
        sizes: Any = self.stride, self.padding, output_padding, self.groups, self.dilation
        return F.conv_transpose1d(data, weight, bias, *sizes)

    def _pad_by(self, data: Tensor, left: int, right: int) -> Tensor:
        return F.pad(data, (left, right))


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

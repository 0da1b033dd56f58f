"""`Layout`: the axis order and the parameter names of weights, or the axis order of data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.arithmetic import integer
from convpolicy.errors import InvalidTypeError, InvalidValueError, PluginError
from convpolicy.parts.choice import require_unmasked
from convpolicy.parts.part import Part

DATA_AXES = frozenset("NCW")


def axes_words(source: Layout, target: Layout) -> str:
    """Return how a weight changes between two layouts, e.g. ``"OIW -> WIO"`` or ``"IOW -> WIO, reversed"``."""
    return f"{source.axes} -> {target.axes}" + (", reversed" if source.flip != target.flip else "")


@attrs.frozen(eq=False)
class Layout(Part):
    """The axis order of a weight or of data. A layout converts weights to and from ``OIW``, and data to and from ``NCW``.

    Each axis is one letter or digit:

    - weights: ``O`` output channels, ``I`` input channels per group, ``W`` kernel, ``1`` an extra axis of length 1
    - depthwise weights: ``I`` input channels, ``M`` outputs per input channel (O = I * M), ``W`` kernel
    - weights of a transposed convolution: ``I`` input channels, ``O`` output channels per group, ``W`` kernel, ``1``
    - data: ``N`` batch, ``C`` channels, ``W`` length

    Args:
        name: unique name, usually the same as ``axes``.
        axes: the letters in storage order, e.g. ``"WIO"``.
        weight, bias: names of the parameters in the framework. Empty for a layout of data.
        transposed: True for a layout of the weights of transposed convolutions. It converts to and from ``IOW``.
        flip: True if the framework stores the kernel in reverse. Only for transposed convolutions.
        fan_in: the axis that the framework counts as fan-in, ``"I"`` or ``"O"``. ``"O"`` is possible only for transposed
            convolutions; it means ``out_channels // groups * kernel_size``.
    """

    kind: ClassVar[str] = "layout"
    axes: str = attrs.field()
    weight: str = attrs.field(default="weight", kw_only=True)
    bias: str = attrs.field(default="bias", kw_only=True)
    transposed: bool = attrs.field(default=False, kw_only=True)
    flip: bool = attrs.field(default=False, kw_only=True)
    fan_in: str = attrs.field(default="I", kw_only=True)

    def __attrs_post_init__(self) -> None:
        letters = self.axes.replace("1", "")
        if sorted(letters) not in (sorted("OIW"), sorted("WIM"), sorted("NCW")):
            raise PluginError(f"layout {self.name!r}: axes must be made of O, I, W or W, I, M or N, C, W, got {self.axes!r}.")
        if self.transposed and sorted(letters) != sorted("OIW"):
            raise PluginError(f"layout {self.name!r}: axes of transposed weights must be made of O, I, W, got {self.axes!r}.")
        if self.fan_in not in ("I", "O") or ((self.flip or self.fan_in == "O") and not self.transposed):
            raise PluginError(
                f"layout {self.name!r}: only a layout with transposed=True may have flip=True or fan_in='O', got flip={self.flip} "
                f"and fan_in={self.fan_in!r}."
            )

    @property
    def holds_data(self) -> bool:
        """True for a layout of data, False for a layout of weights."""
        return set(self.axes) == DATA_AXES

    @property
    def canonical(self) -> str:
        """The axes to and from which the layout converts: ``OIW``, for depthwise weights ``IMW``, for transposed ones ``IOW``."""
        if self.transposed:
            return "IOW"
        return "IMW" if "M" in self.axes else "OIW"

    def from_oiw(self, weight: Any, groups: int = 1) -> NDArray[Any]:
        """Convert a weight (out, in/groups, kernel) to this layout; see `stored`.

        Raises:
            InvalidTypeError: the layout is of transposed weights.
        """
        self._refuse_transposed()
        return self.stored(weight, groups)

    def to_oiw(self, weight: Any) -> NDArray[Any]:
        """Convert a weight of this layout to (out, in/groups, kernel); see `restored`.

        Raises:
            InvalidTypeError: the layout is of transposed weights.
        """
        self._refuse_transposed()
        return self.restored(weight)

    def _refuse_transposed(self) -> None:
        if self.transposed:
            raise InvalidTypeError(f"layout {self.name!r} is of transposed weights (axes IOW); call stored and restored.")

    def stored(self, weight: Any, groups: int = 1) -> NDArray[Any]:
        """Convert a weight with the axes of the NumPy layer to this layout.

        Args:
            weight: array (out, in/groups, kernel), for a transposed layout (in, out/groups, kernel), of any dtype.
            groups: groups of the convolution. A depthwise layout requires ``groups == in_channels``.

        Returns:
            A view or a copy with the axes of this layout.

        Raises:
            InvalidValueError: the weight does not have three axes, or a depthwise layout receives another kind of weight.
        """
        array = self._check(weight, "IOW" if self.transposed else "OIW", data=False)
        if "M" in self.axes:
            groups = integer("groups", groups, 1)
            if array.shape[1] != 1 or array.shape[0] % groups:
                raise InvalidValueError(
                    f"layout {self.name!r} is depthwise: the weight must be (groups * multiplier, 1, kernel), got shape "
                    f"{array.shape} with groups={groups}; pass groups=in_channels."
                )
            array = array.reshape(groups, array.shape[0] // groups, array.shape[2])  # I, M, W
        if self.flip:
            array = array[..., ::-1]
        stored = array.transpose([self.canonical.index(a) for a in self.axes if a != "1"])
        return np.expand_dims(stored, tuple(i for i, a in enumerate(self.axes) if a == "1"))

    def restored(self, weight: Any) -> NDArray[Any]:
        """Convert a weight of this layout to the axes of the NumPy layer. This is the inverse of `stored`.

        Returns:
            An array (out, in/groups, kernel), for a transposed layout (in, out/groups, kernel).

        Raises:
            InvalidValueError: the weight has another number of axes, or an axis ``1`` is longer than 1.
        """
        array = self._check(weight, self.axes, data=False)
        ones = tuple(i for i, a in enumerate(self.axes) if a == "1")
        if any(array.shape[i] != 1 for i in ones):
            raise InvalidValueError(f"layout {self.name!r} needs length 1 on its axis '1', got shape {array.shape}.")
        letters = self.axes.replace("1", "")
        array = array.squeeze(ones).transpose([letters.index(a) for a in self.canonical])
        if self.flip:
            array = array[..., ::-1]
        return array.reshape(array.shape[0] * array.shape[1], 1, array.shape[2]) if "M" in letters else array

    def pack(self, parameters: Mapping[str, Any], groups: int = 1) -> dict[str, Any]:
        """Convert ``{"weight": …, "bias": …}`` from the axes of the NumPy layer to the framework's names and axes. A bias of None is left out."""
        packed = {self.weight: self.stored(parameters["weight"], groups)}
        if parameters.get("bias") is not None:
            packed[self.bias] = np.asarray(parameters["bias"])
        return packed

    def unpack(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Convert the framework's names and axes to ``{"weight": …, "bias": …}`` with the axes of the NumPy layer. This is the inverse of `pack`."""
        if self.weight not in parameters:
            raise InvalidValueError(f"layout {self.name!r} needs the parameter {self.weight!r}, got {sorted(parameters)}.")
        bias = parameters.get(self.bias)
        return {"weight": self.restored(parameters[self.weight]), "bias": None if bias is None else np.asarray(bias)}

    def from_ncw(self, data: Any) -> NDArray[Any]:
        """Convert data (batch, channels, length) to this layout."""
        return self._check(data, "NCW", data=True).transpose(["NCW".index(a) for a in self.axes])

    def to_ncw(self, data: Any) -> NDArray[Any]:
        """Convert data of this layout to (batch, channels, length)."""
        return self._check(data, self.axes, data=True).transpose([self.axes.index(a) for a in "NCW"])

    def _check(self, array: Any, axes: str, *, data: bool) -> NDArray[Any]:
        if self.holds_data != data:
            raise InvalidTypeError(f"layout {self.name!r} is of {'data' if self.holds_data else 'weights'}; pick the other kind.")
        require_unmasked("array", array)
        values: NDArray[Any] = np.asarray(array)
        if values.ndim != len(axes):
            raise InvalidValueError(f"axes {axes} need an array of {len(axes)} axes, got shape {values.shape}.")
        return values

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


@attrs.frozen(eq=False)
class Layout(Part):
    """The axis order of a weight or of data. A layout converts weights to and from ``OIW``, and data to and from ``NCW``.

    Each axis is one letter or digit:

    - weights: ``O`` output channels, ``I`` input channels per group, ``W`` kernel, ``1`` an extra axis of length 1
    - depthwise weights: ``I`` input channels, ``M`` outputs per input channel (O = I * M), ``W`` kernel
    - data: ``N`` batch, ``C`` channels, ``W`` length

    Args:
        name: unique name, usually the same as ``axes``.
        axes: the letters in storage order, e.g. ``"WIO"``.
        weight, bias: names of the parameters in the framework. Empty for a layout of data.
    """

    kind: ClassVar[str] = "layout"
    axes: str = attrs.field()
    weight: str = attrs.field(default="weight", kw_only=True)
    bias: str = attrs.field(default="bias", kw_only=True)

    def __attrs_post_init__(self) -> None:
        letters = self.axes.replace("1", "")
        if sorted(letters) not in (sorted("OIW"), sorted("WIM"), sorted("NCW")):
            raise PluginError(f"layout {self.name!r}: axes must be made of O, I, W or W, I, M or N, C, W, got {self.axes!r}.")

    @property
    def holds_data(self) -> bool:
        """True for a layout of data, False for a layout of weights."""
        return set(self.axes) == DATA_AXES

    def from_oiw(self, weight: Any, groups: int = 1) -> NDArray[Any]:
        """Convert a weight (out, in/groups, kernel) to this layout.

        Args:
            weight: array with the axes OIW and any dtype.
            groups: groups of the convolution. A depthwise layout requires ``groups == in_channels``.

        Returns:
            A view or a copy with the axes of this layout.

        Raises:
            InvalidValueError: the weight does not have three axes, or a depthwise layout receives another kind of weight.
        """
        array = self._check(weight, "OIW", data=False)
        if "M" in self.axes:
            groups = integer("groups", groups, 1)
            if array.shape[1] != 1 or array.shape[0] % groups:
                raise InvalidValueError(
                    f"layout {self.name!r} is depthwise: the weight must be (groups * multiplier, 1, kernel), got shape "
                    f"{array.shape} with groups={groups}; pass groups=in_channels."
                )
            array = array.reshape(groups, array.shape[0] // groups, array.shape[2])  # I, M, W
        source = "IMW" if "M" in self.axes else "OIW"
        stored = array.transpose([source.index(a) for a in self.axes if a != "1"])
        return np.expand_dims(stored, tuple(i for i, a in enumerate(self.axes) if a == "1"))

    def to_oiw(self, weight: Any) -> NDArray[Any]:
        """Convert a weight of this layout to (out, in/groups, kernel). This is the inverse of `from_oiw`.

        Raises:
            InvalidValueError: the weight has another number of axes, or an axis ``1`` is longer than 1.
        """
        array = self._check(weight, self.axes, data=False)
        ones = tuple(i for i, a in enumerate(self.axes) if a == "1")
        if any(array.shape[i] != 1 for i in ones):
            raise InvalidValueError(f"layout {self.name!r} needs length 1 on its axis '1', got shape {array.shape}.")
        letters = self.axes.replace("1", "")
        target = "IMW" if "M" in letters else "OIW"
        array = array.squeeze(ones).transpose([letters.index(a) for a in target])
        return array.reshape(array.shape[0] * array.shape[1], 1, array.shape[2]) if "M" in letters else array

    def pack(self, parameters: Mapping[str, Any], groups: int = 1) -> dict[str, Any]:
        """Convert ``{"weight": …, "bias": …}`` from OIW to the framework's names and axes. A bias of None is left out."""
        packed = {self.weight: self.from_oiw(parameters["weight"], groups)}
        if parameters.get("bias") is not None:
            packed[self.bias] = np.asarray(parameters["bias"])
        return packed

    def unpack(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Convert the framework's names and axes to ``{"weight": …, "bias": …}`` in OIW. This is the inverse of `pack`."""
        if self.weight not in parameters:
            raise InvalidValueError(f"layout {self.name!r} needs the parameter {self.weight!r}, got {sorted(parameters)}.")
        bias = parameters.get(self.bias)
        return {"weight": self.to_oiw(parameters[self.weight]), "bias": None if bias is None else np.asarray(bias)}

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

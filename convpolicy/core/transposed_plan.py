"""`TransposedPlan`: what a transposed convolution cuts from its full result for one input length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy import arithmetic
from convpolicy.arithmetic import integer
from convpolicy.errors import InvalidValueError
from convpolicy.parts.side import CONSTANT

if TYPE_CHECKING:
    from convpolicy.pictures.views import TransposedView

CIRCULAR = "circular"
MODES = ("zeros", CIRCULAR)  # the padding modes of transposed convolutions


@attrs.frozen(cache_hash=True)
class TransposedPlan:
    """What a transposed convolution cuts from its full result, for one input length. Print a plan to see the numbers.

    Input sample ``i`` adds its product with kernel tap ``t`` to position ``i * stride + t * dilation`` of the full result. The layer
    then removes ``left`` samples from the start and ``right`` samples from the end. A negative number appends zeros instead. The
    bias is added last, also to appended samples. With mode ``"circular"``, removed samples are added to the other end.

    Lengths are in samples. ``length_out`` is the output length.
    """

    length: int
    kernel_size: int
    stride: int
    dilation: int
    left: int
    right: int
    mode: str
    length_out: int

    @property
    def value(self) -> float:
        """The value of appended samples before the bias is added, 0."""
        return 0.0

    @property
    def effective_kernel(self) -> int:
        """The number of output samples that one input sample spans."""
        return arithmetic.effective_kernel(self.kernel_size, self.dilation)

    @property
    def full_length(self) -> int:
        """The length of the full result, ``(length - 1) * stride + e``."""
        return arithmetic.full_length(self.length, self.kernel_size, self.stride, self.dilation)

    @property
    def cut(self) -> tuple[int, int]:
        """The number of samples removed on the left and on the right. A side that appends zeros has 0."""
        return max(self.left, 0), max(self.right, 0)

    @property
    def appended(self) -> tuple[int, int]:
        """The number of zeros appended on the left and on the right. A side that removes samples has 0."""
        return max(-self.left, 0), max(-self.right, 0)

    def position(self, sample: Any, tap: Any) -> Any:
        """Return the output that an input sample reaches by a kernel tap. ``sample`` and ``tap`` are indices or arrays of indices.

        Positions below 0 and from ``length_out`` on are cut.
        """
        return arithmetic.tap_position(sample, tap, self.stride, self.dilation, self.left)

    def spans(self, first: int, last: int) -> tuple[int, int]:
        """Return the first and the last input position that a range of outputs spans; see `arithmetic.transposed_interval`."""
        return arithmetic.transposed_interval(first, last, self.kernel_size, self.stride, self.dilation, self.left)

    def receptive_interval(self, output: int) -> tuple[int, int]:
        """Return the first and the last input position that one output spans; see `arithmetic.transposed_interval`.

        Raises:
            InvalidValueError: the plan has no such output.
        """
        if integer("output", output, 0) >= self.length_out:
            raise InvalidValueError(f"output must be below length_out={self.length_out}, got {output}; pass 0 or more.")
        return self.spans(output, output)

    def reads(self, output: int) -> tuple[int, ...]:
        """Return the input positions that one output depends on, sorted.

        Raises:
            InvalidValueError: the plan has no such output.
        """
        self.receptive_interval(output)
        read = {
            int(source)
            for coefficients, sources in self.window_terms(np.array([output]))
            for coefficient, source in zip(coefficients[0], sources[0])
            if coefficient
        }
        return tuple(sorted(read))

    def window_terms(self, outputs: NDArray[np.int64]) -> list[tuple[NDArray[np.float64], NDArray[np.int64]]]:
        """Return what the selected outputs read by each kernel tap, as a list of terms. An output is the sum of its terms.

        A term is a pair of arrays of shape (outputs, kernel): the coefficients and the input positions. The coefficient is 1, or 0
        if no sample reaches the output by this tap; the position is then -1. There is one term, and with mode ``"circular"`` one for
        each sample of the full result that is added to an output.
        """
        terms = []
        for turn in self.turns():
            full = outputs + self.left + turn * self.length_out
            numerator = full[:, None] - np.arange(self.kernel_size) * self.dilation
            sources = numerator // self.stride
            reached = (numerator % self.stride == 0) & (sources >= 0) & (sources < self.length)
            terms.append((reached.astype(np.float64), np.where(reached, sources, CONSTANT)))
        return terms

    def turns(self) -> range:
        """Return the multiples of ``length_out`` by which a position of the full result can differ from an output."""
        if self.mode != CIRCULAR or not self.length_out:
            return range(1)
        first = -((self.left + self.length_out - 1) // self.length_out)
        return range(first, (self.full_length - 1 - self.left) // self.length_out + 1)

    def taken(self) -> NDArray[np.int64]:
        """Return the positions of the full result that each output sums, an array (turns, length_out); -1 is no position.

        There is one turn, and with mode ``"circular"`` one for each sample that an output may sum.
        """
        positions = np.arange(self.length_out) + self.left + np.array(self.turns())[:, None] * self.length_out
        return np.where((positions >= 0) & (positions < self.full_length), positions, CONSTANT)

    def indices(self) -> NDArray[np.int64]:
        """Return `taken` for a full result with one zero after its last sample: ``full_length`` in place of -1."""
        taken = self.taken()
        return np.where(taken == CONSTANT, self.full_length, taken)

    def cropped(self, full: NDArray[Any]) -> NDArray[Any]:
        """Return the output without bias: cut the full result, append zeros, and with mode ``"circular"`` add what is cut.

        Args:
            full: array (…, full_length).

        Returns:
            An array (…, length_out) of the same dtype, a view if nothing is appended or added.
        """
        if self.mode != CIRCULAR and not any(self.appended):
            return full[..., self.left : self.left + self.length_out]
        out = np.zeros((*full.shape[:-1], self.length_out), full.dtype)
        for turn in self.turns():
            start = self.left + turn * self.length_out
            first, last = max(start, 0), min(start + self.length_out, full.shape[-1])
            if first < last:
                out[..., first - start : last - start] += full[..., first:last]
        return out

    def shortage(self) -> str:
        """Return the sentence that refuses an input for which the plan has no output."""
        return (
            f"input of length {self.length} is too short: {self.left} and {self.right} samples are cut from a full result of "
            f"{self.full_length}, which leaves no output; pass a longer input or cut less."
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TransposedPlan:
        """Build a plan from a dictionary that `to_dict` returned."""
        return cls(**{name: value for name, value in data.items() if name != "transposed"})

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON: the sizes, the cuts and ``"transposed": True``."""
        return {**attrs.asdict(self), "transposed": True}

    def view(self) -> TransposedView:
        """Return what a picture shows of the plan."""
        from convpolicy.pictures.views import TransposedView

        return TransposedView(self)

    def to_svg(self) -> str:
        """Return an SVG picture of the full result, what is cut, and the outputs that each input sample reaches."""
        from convpolicy.pictures.windows import picture  # imported late: only pictures need it

        return picture({"": self})

    def _repr_html_(self) -> str:
        return self.to_svg()

    def __str__(self) -> str:
        mode = "" if self.mode == MODES[0] else f", {self.mode}"
        return (
            f"length {self.length}, kernel_size {self.kernel_size}, stride {self.stride}, dilation {self.dilation}, transposed: "
            f"full length {self.full_length}, cut left {self.left}, right {self.right}{mode} -> length {self.length_out}"
        )

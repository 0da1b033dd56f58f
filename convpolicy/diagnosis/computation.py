"""`Computation`: the outputs of a captured layer for one input, computed in float64, and their rounding bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.core.plan import Plan, require_a_window
from convpolicy.core.transposed_plan import TransposedPlan
from convpolicy.diagnosis.activations import Activation
from convpolicy.diagnosis.kernels import Doubles, Positions, kernels_of, readable
from convpolicy.layers.capture import Capture
from convpolicy.reference import UNDERFLOW_STEP, UNIT_ROUNDOFF, tolerance

# Sums of these dtypes are computed in float32. Some frameworks round once, others before and after adding the bias.
SUMMED_IN_FLOAT32 = ("float16", "bfloat16")
MOST_ROUNDED = {dtype: int(1 / UNIT_ROUNDOFF[dtype]) - 2 for dtype in SUMMED_IN_FLOAT32}  # terms up to which there is a bound
ACTIVATION_ROUNDOFFS = 16  # rounding errors of an activation, in unit roundoffs, exp, tanh and erf included
BLOCK = 1 << 22  # numbers gathered at a time


@attrs.frozen(eq=False)
class Grid:
    """A selection of outputs: every combination of these batch items, channels and positions."""

    items: Positions
    channels: Positions
    positions: Positions

    def of(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return the selected outputs of an array (batch, out, length_out)."""
        chosen: NDArray[Any] = outputs[np.ix_(self.items, self.channels, self.positions)]
        return chosen


@attrs.frozen(eq=False)
class Values:
    """Outputs at a `Grid`, float64, with the sums of magnitudes from which their rounding bound is computed.

    ``overlaps`` is the largest number of taps of a transposed convolution that reach one output, and 0 for a convolution.
    """

    summed: Doubles
    magnitude: Doubles
    bias: Doubles
    terms: int
    activation: Activation | None = None
    overlaps: int = 0

    @property
    def output(self) -> Doubles:
        """The outputs, after the activation."""
        return self.summed if self.activation is None else self.activation.function(self.summed)

    def bound(self, dtype: str) -> Doubles:
        """Return the largest rounding error of a layer of this dtype, for any order of summation."""
        before = self._bound_of_sums(dtype)
        if self.activation is None:
            return before
        sums = np.abs(self.summed)
        scale = sums + np.abs(self.output) + min(1.0, float(sums.max(initial=0.0)))
        after: Doubles = self.activation.slope * before + ACTIVATION_ROUNDOFFS * UNIT_ROUNDOFF[dtype] * scale
        return after

    def _bound_of_sums(self, dtype: str) -> Doubles:
        if dtype not in SUMMED_IN_FLOAT32:
            bounded: Doubles = tolerance(dtype, self.terms, self.magnitude)
            return bounded
        summed: Doubles = tolerance("float32", self.terms, self.magnitude)
        if self.overlaps:  # some frameworks round the sum of each tap, and add these one by one
            narrow: Doubles = tolerance(dtype, min(self.overlaps + 1, MOST_ROUNDED[dtype]), self.magnitude + summed)
            return summed + narrow
        largest = np.abs(self.summed) + np.abs(self.bias)[:, None] + summed
        rounded: Doubles = summed + 2 * (UNIT_ROUNDOFF[dtype] * largest + UNDERFLOW_STEP[dtype])
        return rounded


@attrs.frozen(eq=False)
class Computation:
    """A captured layer and its input.

    Args:
        capture: sizes, policy and weights.
        data: the input, float64 (batch, channels, length), after ``prepare``.
        prepare: functions that were applied to the input, in order.
        activation: function that is applied to the output.
    """

    capture: Capture
    data: Doubles
    prepare: tuple[Callable[[Doubles], Doubles], ...] = ()
    activation: Activation | None = None

    @cached_property
    def plan(self) -> Plan | TransposedPlan:
        """The plan for the length of the input.

        Raises:
            ConvPolicyError: the padding rule refuses these sizes, the padding mode cannot fill the padding, or the input is shorter
                than one window.
        """
        spec = self.capture.spec
        plan: Plan | TransposedPlan = self.capture.policy.plan(
            spec.kernel_size, spec.stride, spec.dilation, length=self.data.shape[2]
        )
        return require_a_window(plan)

    @cached_property
    def kernels(self) -> NDArray[Any]:
        """The weight as kernels (out, in/groups, kernel)."""
        return kernels_of(self.capture.weight, self.capture.spec)

    def evolve(self, **changes: Any) -> Computation:
        """Return a copy with other fields of the capture or of its spec."""
        sizes = {name: changes.pop(name) for name in ("kernel_size", "stride", "dilation", "groups") if name in changes}
        spec = attrs.evolve(self.capture.spec, **sizes)
        return attrs.evolve(self, capture=attrs.evolve(self.capture, spec=spec, **changes))

    def prepared(self, step: Callable[[Doubles], Doubles]) -> Computation:
        """Return a copy with one more function applied to the input."""
        return attrs.evolve(self, data=step(self.data), prepare=(*self.prepare, step))

    def with_input(self, data: Doubles) -> Computation:
        """Return a copy for another input, prepared by the same functions."""
        for step in self.prepare:
            data = step(data)
        return attrs.evolve(self, data=data)

    def everywhere(self) -> Grid:
        """Return the grid of all outputs."""
        return Grid(*(np.arange(size) for size in (len(self.data), self.capture.spec.out_channels, self.plan.length_out)))

    def at(self, grid: Grid) -> Values:
        """Compute the outputs of a grid."""
        capture, spec, plan = self.capture, self.capture.spec, self.plan
        data, index, constant = readable(plan, self.data[grid.items], grid.positions)
        each, per = spec.out_channels // spec.groups, spec.in_channels // spec.groups
        shape = (len(grid.items), len(grid.channels), len(grid.positions))
        output, magnitude = np.empty(shape), np.empty(shape)
        for group in np.unique(grid.channels // each):
            mine = np.flatnonzero(grid.channels // each == group)
            kernels = np.tile(self.kernels[grid.channels[mine]].astype(np.float64), index.shape[1] // plan.kernel_size)
            rows = data[:, group * per : (group + 1) * per][:, :, index]  # (items, in/groups, positions, kernel)
            rows = np.where(index < 0, constant, rows)
            for total, x, w in ((output, rows, kernels), (magnitude, np.abs(rows), np.abs(kernels))):
                total[:, mine] = np.tensordot(x, w, ((1, 3), (1, 2))).transpose(0, 2, 1)
        bias = np.zeros(spec.out_channels) if capture.bias is None else capture.bias.astype(np.float64)
        bias = bias[grid.channels]
        overlaps = int((index >= 0).sum(1).max(initial=1)) if isinstance(plan, TransposedPlan) else 0
        terms = per * (overlaps or plan.kernel_size) + 1
        return Values(output + bias[:, None], magnitude + np.abs(bias)[:, None], bias, terms, self.activation, overlaps)

    def full(self) -> Values:
        """Compute every output, block by block."""
        grid = self.everywhere()
        output = np.empty((len(grid.items), len(grid.channels), len(grid.positions)))
        magnitude = np.empty_like(output)
        values, terms, overlaps = None, 0, 0
        for part in self.blocks(grid):
            values = self.at(part)
            terms, overlaps = max(terms, values.terms), max(overlaps, values.overlaps)
            place = np.ix_(part.items, part.channels, part.positions)
            output[place], magnitude[place] = values.summed, values.magnitude
        assert values is not None
        return attrs.evolve(values, summed=output, magnitude=magnitude, terms=terms, overlaps=overlaps)

    def blocks(self, grid: Grid) -> Iterator[Grid]:
        """Split a grid into blocks of limited memory."""
        size = self.capture.spec.in_channels * self.capture.spec.kernel_size
        step = max(BLOCK // size, 1)
        for item in grid.items:
            for start in range(0, len(grid.positions), step):
                yield Grid(np.array([item]), grid.channels, grid.positions[start : start + step])


@attrs.frozen(eq=False)
class Target:
    """The outputs to reproduce.

    Args:
        output: float64 (batch, out, length_out).
        dtypes: dtype of the layer that computed them, and of the layer that is changed to reproduce them.
        probes: grids of growing size that are compared before everything else.
    """

    output: Doubles
    dtypes: tuple[str, ...]
    probes: tuple[Grid, ...]

    def residual(self, tried: Computation, grid: Grid) -> Doubles:
        """Return target minus computed outputs at a grid."""
        missing: Doubles = grid.of(self.output) - tried.at(grid).output
        return missing

    def bound(self, values: Values) -> Doubles:
        """Return the largest difference that rounding in both layers explains."""
        both: Doubles = np.sum([values.bound(dtype) for dtype in self.dtypes], axis=0)
        return both

    def met_by(self, tried: Computation) -> bool:
        """Return True when a computation reproduces these outputs within rounding."""
        batch, channels, length_out = self.output.shape
        if (len(tried.data), tried.capture.spec.out_channels, tried.plan.length_out) != (batch, channels, length_out):
            return False
        return all(self._met(tried, grid) for grid in self.probes) and all(
            self._met(tried, part) for part in tried.blocks(tried.everywhere())
        )

    def _met(self, tried: Computation, grid: Grid) -> bool:
        values = tried.at(grid)
        return bool((np.abs(values.output - grid.of(self.output)) <= self.bound(values)).all())

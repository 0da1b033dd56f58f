"""`Computation`: what a capture computes of one input, in float64, at any of its outputs; and how far rounding may carry it off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.core.plan import Plan, require_a_window
from convpolicy.diagnosis.activations import Activation
from convpolicy.layers.capture import Capture
from convpolicy.reference import UNDERFLOW_STEP, UNIT_ROUNDOFF, tolerance

Doubles: TypeAlias = "NDArray[np.float64]"
Positions: TypeAlias = "NDArray[np.int64]"
SUMMED_IN_FLOAT32 = (
    "float16",
    "bfloat16",
)  # the sum is kept in float32; some frameworks round it once, others before and after the bias
ACTIVATION_ROUNDOFFS = 16  # of a framework's exp, tanh or erf and what it makes of them
BLOCK = 1 << 22  # numbers gathered at a time


@attrs.frozen(eq=False)
class Grid:
    """Some outputs: every combination of these items of the batch, channels and positions."""

    items: Positions
    channels: Positions
    positions: Positions

    def of(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return these of (batch, out, length_out)."""
        chosen: NDArray[Any] = outputs[np.ix_(self.items, self.channels, self.positions)]
        return chosen


@attrs.frozen(eq=False)
class Values:
    """Sums at a `Grid`, float64, with the sums of magnitudes that a rounding bound needs, and what is applied to them."""

    summed: Doubles
    magnitude: Doubles
    bias: Doubles
    terms: int
    activation: Activation | None = None

    @property
    def output(self) -> Doubles:
        """The outputs."""
        return self.summed if self.activation is None else self.activation.function(self.summed)

    def bound(self, dtype: str) -> Doubles:
        """Return how far a layer of a dtype may be off, whatever the order in which it sums."""
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
        summed = tolerance("float32", self.terms, self.magnitude)
        largest = np.abs(self.summed) + np.abs(self.bias)[:, None] + summed
        rounded: Doubles = summed + 2 * (UNIT_ROUNDOFF[dtype] * largest + UNDERFLOW_STEP[dtype])
        return rounded


@attrs.frozen(eq=False)
class Computation:
    """A capture and the input that it is given.

    Args:
        capture: sizes, policy and weights.
        data: float64 (batch, channels, length), as ``prepare`` left it.
        prepare: what was done to the input, in order.
        activation: what is applied to the output.
    """

    capture: Capture
    data: Doubles
    prepare: tuple[Callable[[Doubles], Doubles], ...] = ()
    activation: Activation | None = None

    @cached_property
    def plan(self) -> Plan:
        """What is done to an input of this length; a search asks for it again and again.

        Raises:
            ConvPolicyError: a rule that refuses these sizes, a mode that does not reach, or an input that holds no window.
        """
        spec = self.capture.spec
        return require_a_window(self.capture.policy.plan(spec.kernel_size, spec.stride, spec.dilation, length=self.data.shape[2]))

    def evolve(self, **changes: Any) -> Computation:
        """Return the same with fields of the capture changed; those of its spec by their own names."""
        sizes = {name: changes.pop(name) for name in ("kernel_size", "stride", "dilation", "groups") if name in changes}
        spec = attrs.evolve(self.capture.spec, **sizes)
        return attrs.evolve(self, capture=attrs.evolve(self.capture, spec=spec, **changes))

    def prepared(self, step: Callable[[Doubles], Doubles]) -> Computation:
        """Return the same with one more step done to the input."""
        return attrs.evolve(self, data=step(self.data), prepare=(*self.prepare, step))

    def given(self, data: Doubles) -> Computation:
        """Return the same for another input, which is prepared alike."""
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
            kernels = capture.weight[grid.channels[mine]].astype(np.float64)
            rows = data[:, group * per : (group + 1) * per][:, :, index]  # (items, in/groups, positions, kernel)
            rows = np.where(index < 0, constant, rows)
            for found, x, w in ((output, rows, kernels), (magnitude, np.abs(rows), np.abs(kernels))):
                found[:, mine] = np.tensordot(x, w, ((1, 3), (1, 2))).transpose(0, 2, 1)
        bias = np.zeros(spec.out_channels) if capture.bias is None else capture.bias.astype(np.float64)
        bias = bias[grid.channels]
        terms = per * plan.kernel_size + 1
        return Values(output + bias[:, None], magnitude + np.abs(bias)[:, None], bias, terms, self.activation)

    def full(self) -> Values:
        """Compute every output, block by block."""
        grid = self.everywhere()
        output = np.empty((len(grid.items), len(grid.channels), len(grid.positions)))
        magnitude = np.empty_like(output)
        values = None
        for part in self.blocks(grid):
            values = self.at(part)
            place = np.ix_(part.items, part.channels, part.positions)
            output[place], magnitude[place] = values.summed, values.magnitude
        assert values is not None
        return attrs.evolve(values, summed=output, magnitude=magnitude)

    def blocks(self, grid: Grid) -> Iterator[Grid]:
        """Cut a grid into parts that need little memory."""
        size = self.capture.spec.in_channels * self.capture.spec.kernel_size
        step = max(BLOCK // size, 1)
        for item in grid.items:
            for start in range(0, len(grid.positions), step):
                yield Grid(np.array([item]), grid.channels, grid.positions[start : start + step])


def readable(plan: Plan, data: Doubles, outputs: Positions) -> tuple[Doubles, Positions, float]:
    """Return what the windows of these outputs are read of, (…, channels, n), where, (outputs, kernel), and what -1 there stands for."""
    if plan.copies:
        return data, plan.window_sources(outputs), plan.value
    read: Positions = plan.position(outputs[:, None], np.arange(plan.kernel_size)) + plan.left
    return plan.padded(data), read, 0.0


@attrs.frozen(eq=False)
class Target:
    """Outputs to be met.

    Args:
        output: float64 (batch, out, length_out).
        dtypes: computed in, of the layer that gave them and of the one that is changed to meet them.
        probes: growing grids; what misses the first is not asked for the rest.
    """

    output: Doubles
    dtypes: tuple[str, ...]
    probes: tuple[Grid, ...]

    def residual(self, tried: Computation, grid: Grid) -> Doubles:
        """Return what is missing at a grid."""
        missing: Doubles = grid.of(self.output) - tried.at(grid).output
        return missing

    def bound(self, values: Values) -> Doubles:
        """Return how far the two layers may be apart where they compute the same."""
        both: Doubles = np.sum([values.bound(dtype) for dtype in self.dtypes], axis=0)
        return both

    def met_by(self, tried: Computation) -> bool:
        """Return True when a computation gives these outputs within rounding."""
        batch, channels, length_out = self.output.shape
        if (len(tried.data), tried.capture.spec.out_channels, tried.plan.length_out) != (batch, channels, length_out):
            return False
        return all(self._met(tried, grid) for grid in self.probes) and all(
            self._met(tried, part) for part in tried.blocks(tried.everywhere())
        )

    def _met(self, tried: Computation, grid: Grid) -> bool:
        values = tried.at(grid)
        return bool((np.abs(values.output - grid.of(self.output)) <= self.bound(values)).all())

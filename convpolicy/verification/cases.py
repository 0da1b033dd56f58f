"""Random layers of a framework: their outputs, a float64 reference, and the comparison with a backend."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convpolicy import reference, registry
from convpolicy.core.policy import Policy
from convpolicy.core.spec import ConvSpec
from convpolicy.layers.conv1d import Conv1d
from convpolicy.verification.native import Native

EXACT, CLOSE, DIFFERS = "exact", "within tolerance", "differs"
Sizes: TypeAlias = "tuple[int, int, int]"  # kernel, stride, dilation
SIZES = tuple(itertools.product((1, 2, 3, 4, 5), (1, 2, 3), (1, 2)))
GROUPS = (1, 2, 4)
CHANNELS = 4


class Checked:
    """A policy and the framework with which it is compared."""

    def __init__(self, policy: Policy, framework: ModuleType) -> None:
        self.policy = policy
        self.framework = framework
        self.layout = policy.part("layout")[0]
        self.data_layout = policy.part("data_layout")[0]
        self.depthwise = "M" in self.layout.axes  # the layer class has as many groups as channels

    def run(self, spec: ConvSpec, arguments: dict[str, Any], weight: Any, bias: Any, data: Any) -> NDArray[Any]:
        """Return the output (batch, out, length_out) of the framework's layer.

        Args:
            spec: sizes.
            arguments: further arguments of the framework's layer, as a user writes them.
            weight: (out, in/groups, kernel).
            bias: (out,) or None.
            data: (batch, channels, length).
        """
        layer = self.framework.build(spec, {**arguments, "bias": bias is not None})
        self.framework.give(layer, self.layout.pack({"weight": weight, "bias": bias}, spec.groups))
        result: NDArray[Any] = self.data_layout.to_ncw(self.framework.run(layer, self.data_layout.from_ncw(data)))
        return result

    def padded_windows(self, spec: ConvSpec, arguments: dict[str, Any], length: int) -> NDArray[Any]:
        """Return the windows (kernel, length_out) that the framework's layer reads from the samples 1, 2, 3, …."""
        taps = np.eye(spec.kernel_size, dtype=np.float32)[:, None, :]
        samples = np.arange(1, length + 1, dtype=np.float32)[None, None]
        result: NDArray[Any] = self.run(spec, arguments, taps, None, samples)[0]
        return result


class Case(NamedTuple):
    """One random layer with its input, the framework's output, the float64 output and its rounding bound."""

    spec: ConvSpec
    weight: Any
    bias: Any
    data: Any
    output: NDArray[Any]
    ideal: NDArray[Any]
    bound: NDArray[Any]


def random_cases(checked: Checked, sizes: Iterable[Sizes] = SIZES) -> Iterator[Case]:
    """Yield random layers with the outputs of the framework and of the float64 reference."""
    random = np.random.default_rng(0)
    for (kernel, stride, dilation), groups in itertools.product(sizes, GROUPS[-1:] if checked.depthwise else GROUPS):
        spec = ConvSpec.of(CHANNELS, CHANNELS, kernel, stride, dilation, groups)
        length = spec.effective_kernel + 5
        shapes = (spec.weight_shape, (CHANNELS,), (2, CHANNELS, length))
        weight, bias, data = (random.standard_normal(shape).astype(np.float32) for shape in shapes)
        try:
            plan = checked.policy.plan(kernel, stride, dilation, length=length)
            output = checked.run(spec, {}, weight, bias, data)
        except Exception:  # noqa: S112 - `paddings` counts refusals
            continue
        ideal = reference.conv1d(
            data, weight, bias, left=plan.left, right=plan.right, stride=stride, dilation=dilation, groups=groups
        )
        bound = reference.tolerance("float32", ideal.terms, ideal.magnitude)
        yield Case(spec, weight, bias, data, output, ideal.output, bound)


def save(cases: Iterable[Case], path: Path) -> None:
    """Write cases to an ``.npz`` file."""
    arrays: dict[str, Any] = {}
    for number, case in enumerate(cases):
        sizes = np.array([case.spec.kernel_size, case.spec.stride, case.spec.dilation, case.spec.groups])
        arrays |= {f"{number} {name}": value for name, value in zip(Case._fields, (sizes, *case[1:]))}
    np.savez(path, **arrays)


def load(path: Path) -> list[Case]:
    """Read cases from a file of `save`."""
    with np.load(path, allow_pickle=False) as arrays:
        rows = [[arrays[f"{n} {name}"] for name in Case._fields] for n in range(len(arrays.files) // len(Case._fields))]
    return [Case(ConvSpec.of(CHANNELS, CHANNELS, *map(int, sizes)), *rest) for sizes, *rest in rows]


class Agreement(NamedTuple):
    """Difference between the outputs of a backend and those of the framework.

    ``error`` is the largest absolute difference. ``share`` is the largest ratio of a difference to its tolerance, twice the rounding
    bound.
    """

    exact: bool
    error: float
    share: float

    @property
    def verdict(self) -> str:
        """Return ``exact``, ``within tolerance`` or ``differs``."""
        return EXACT if self.exact else CLOSE if self.share <= 1 else DIFFERS


def agreement(policy: Policy, backend: str, cases: Iterable[Case]) -> Agreement:
    """Build the layers on a backend with the same weights and compare their outputs with the framework's."""
    result = Agreement(exact=True, error=0.0, share=0.0)
    part = registry.current().get("backend", backend)
    for case in cases:
        spec = case.spec
        layer = Conv1d(
            spec.in_channels, spec.out_channels, spec.kernel_size, spec.stride, dilation=spec.dilation, groups=spec.groups,
            policy=policy, backend=backend, weight_init=case.weight, bias_init=case.bias, bias=True,
        )  # fmt: skip
        output = part.run(layer, case.data)
        error = np.abs(output - case.output) if output.shape == case.output.shape else np.full(case.output.shape, np.inf)
        result = Agreement(
            exact=result.exact and bool(np.array_equal(output, case.output)),
            error=max(result.error, float(error.max())),
            share=max(result.share, float((error / (2 * case.bound)).max())),  # twice: both sides are rounded
        )
    return result


def native_of(name: str) -> Native:
    """Return the framework that a policy describes."""
    native: Native = registry.current().get("native framework", name)
    return native

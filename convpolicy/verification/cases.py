"""One policy and its real framework: random layers, what the framework makes of them, and how a backend compares."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convpolicy import reference, registry
from convpolicy.core.plan import ConvSpec
from convpolicy.core.policy import Policy
from convpolicy.layers.conv1d import Conv1d
from convpolicy.verification.native import Native

EXACT, CLOSE, DIFFERS = "exact", "within tolerance", "differs"
Sizes: TypeAlias = "tuple[int, int, int]"  # kernel, stride, dilation
SIZES = tuple(itertools.product((1, 2, 3, 4, 5), (1, 2, 3), (1, 2)))
GROUPS = (1, 2, 4)
CHANNELS = 4


class Checked:
    """One policy and its framework."""

    def __init__(self, wanted: Policy, framework: ModuleType) -> None:
        self.policy = wanted
        self.framework = framework
        self.layout = wanted.part("layout")[0]
        self.data_layout = wanted.part("data_layout")[0]
        self.depthwise = "M" in self.layout.axes  # a layer with as many groups as channels, and no other

    def run(self, spec: ConvSpec, words: dict[str, Any], weight: Any, bias: Any, data: Any) -> NDArray[Any]:
        """Return what the framework's own layer computes; weight OIW, data NCW."""
        layer = self.framework.build(spec, {**words, "bias": bias is not None})
        self.framework.give(layer, self.layout.pack({"weight": weight, "bias": bias}, spec.groups))
        result: NDArray[Any] = self.data_layout.to_ncw(self.framework.run(layer, self.data_layout.from_ncw(data)))
        return result

    def padded_windows(self, spec: ConvSpec, words: dict[str, Any], length: int) -> NDArray[Any]:
        """Return what every tap of every window reads of the samples 1, 2, …: (kernel, length_out)."""
        taps = np.eye(spec.kernel_size, dtype=np.float32)[:, None, :]
        samples = np.arange(1, length + 1, dtype=np.float32)[None, None]
        result: NDArray[Any] = self.run(spec, words, taps, None, samples)[0]
        return result


class Case(NamedTuple):
    """One random layer, its input, what the framework made of it, and what float64 makes of it."""

    spec: ConvSpec
    weight: Any
    bias: Any
    data: Any
    output: NDArray[Any]
    ideal: NDArray[Any]
    bound: NDArray[Any]


def random_cases(checked: Checked, sizes: Iterable[Sizes] = SIZES) -> Iterator[Case]:
    """Yield layers of random weights with the outputs of a float64 reference and their rounding bound."""
    random = np.random.default_rng(0)
    for (kernel, stride, dilation), groups in itertools.product(sizes, GROUPS[-1:] if checked.depthwise else GROUPS):
        spec = ConvSpec.of(CHANNELS, CHANNELS, kernel, stride, dilation, groups)
        length = spec.effective_kernel + 5
        shapes = (spec.weight_shape, (CHANNELS,), (2, CHANNELS, length))
        weight, bias, data = (random.standard_normal(shape).astype(np.float32) for shape in shapes)
        try:
            plan = checked.policy.plan(kernel, stride, dilation, length=length)
            output = checked.run(spec, {}, weight, bias, data)
        except Exception:  # noqa: S112 - refusals are counted by `paddings`
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
    """Read what `save` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        rows = [[arrays[f"{n} {name}"] for name in Case._fields] for n in range(len(arrays.files) // len(Case._fields))]
    return [Case(ConvSpec.of(CHANNELS, CHANNELS, *map(int, sizes)), *rest) for sizes, *rest in rows]


class Agreement(NamedTuple):
    """How far a backend's outputs are from the framework's own.

    ``error`` is the largest absolute difference, ``share`` the largest share of the tolerance that two float32 sums may differ by.
    """

    exact: bool
    error: float
    share: float

    @property
    def verdict(self) -> str:
        """Return ``exact``, ``within tolerance`` or ``differs``."""
        return EXACT if self.exact else CLOSE if self.share <= 1 else DIFFERS


def agreement(policy: Policy, backend: str, cases: Iterable[Case]) -> Agreement:
    """Build every layer on a backend with the framework's weights and compare the outputs."""
    found = Agreement(exact=True, error=0.0, share=0.0)
    part = registry.current().get("backend", backend)
    for case in cases:
        spec = case.spec
        layer = Conv1d(
            spec.in_channels, spec.out_channels, spec.kernel_size, spec.stride, dilation=spec.dilation, groups=spec.groups,
            policy=policy, backend=backend, weight_init=case.weight, bias_init=case.bias, bias=True,
        )  # fmt: skip
        got = part.run(layer, case.data)
        off = np.abs(got - case.output) if got.shape == case.output.shape else np.full(case.output.shape, np.inf)
        found = Agreement(
            exact=found.exact and bool(np.array_equal(got, case.output)),
            error=max(found.error, float(off.max())),
            share=max(found.share, float((off / (2 * case.bound)).max())),  # either may be off by the bound
        )
    return found


def native_of(name: str) -> Native:
    """Return the framework that a policy claims to be."""
    found: Native = registry.current().get("native framework", name)
    return found

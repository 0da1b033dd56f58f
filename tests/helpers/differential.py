"""The grid, the random cases and the judge that the differential tests share.

The judge knows nothing of the package but its float64 reference: how many elements go on each side is written out here
again, from each rule's published definition.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import convpolicy as cp
from convpolicy import reference

CHANNELS = 4
KERNELS = range(1, 9)
STRIDES = range(1, 5)
DILATIONS = range(1, 4)
GROUPS = (1, 2, CHANNELS)  # the last is depthwise
BIASES = (False, True)
BEYOND = range(14)  # input lengths, counted from the effective kernel e on: e … e + 13
TWO_COMPUTATIONS = 2  # each of two results may be off by the bound, in opposite directions

Choice = cp.Choice
RULES = (
    *(Choice(name) for name in ("valid", "same_upper", "same_lower", "same_static", "torch_same", "half", "full")),
    *(Choice(name) for name in ("causal", "semicausal", "torch-left", "tf-right", "mindspore-right")),
    Choice("explicit", left=2, right=1),
    Choice("explicit", left=0, right=5),
    Choice("same_static", odd_side="left"),
)
MIRRORS = ("reflect", "symmetric", "circular")  # the modes that reach only so far, hence overflow
MODES = (
    Choice("zeros"),
    Choice("constant", value=1.5),
    Choice("replicate"),
    *(Choice(name) for name in MIRRORS),
    *(Choice(name, overflow=overflow) for name in MIRRORS for overflow in ("periodic", "zero-extend")),
)


class Sizes(NamedTuple):
    """Everything about a layer but its padding."""

    kernel: int
    stride: int
    dilation: int
    groups: int
    bias: bool

    @property
    def effective(self) -> int:
        """Samples one window spans."""
        return self.kernel + (self.kernel - 1) * (self.dilation - 1)

    @property
    def lengths(self) -> range:
        """The input lengths e … e + 13."""
        return range(self.effective + BEYOND.start, self.effective + BEYOND.stop)


class Case(NamedTuple):
    """One layer and one input length."""

    sizes: Sizes
    rule: Any
    mode: Any
    length: int

    def layer(self, policy: str, backend: str, seed: int, dtype: str = "float32") -> Any:
        """Build the layer; weight and bias both random, in any dtype, whatever the policy draws."""
        kernel, stride, dilation, groups, bias = self.sizes
        base = cp.policy(policy).evolve(name="any", random_stream="numpy")
        if base.layout.name == "WIM" and groups < CHANNELS:
            base = base.evolve(layout="OIW")  # no layer of these groups has a depthwise layout
        return cp.Conv1d(
            CHANNELS, CHANNELS, kernel, stride, self.rule, dilation, groups, bias, self.mode,
            policy=base, backend=backend, weight_init="uniform", bias_init="uniform", seed=seed, dtype=dtype,
        )  # fmt: skip


def grid(kernel: int) -> Iterator[Sizes]:
    """Every stride, dilation, group count and bias for one kernel size."""
    for stride, dilation, groups, bias in itertools.product(STRIDES, DILATIONS, GROUPS, BIASES):
        yield Sizes(kernel, stride, dilation, groups, bias)


def native_pads(sizes: Sizes) -> list[int]:
    """Numbers to pad on both sides: small ones, half the window and all but one of it."""
    return sorted({1, 2, sizes.effective // 2, sizes.effective - 1} - {0})


def defined_pads(rule: Any, sizes: Sizes, length: int) -> tuple[int, int]:
    """Return (left, right) by the rule's published definition."""
    effective, stride = sizes.effective, sizes.stride
    windows = -(-length // stride)
    least, whole = max((windows - 1) * stride + effective - length, 0), effective - 1
    params = dict(rule.params)
    left = {
        "valid": lambda: (0, 0),
        "explicit": lambda: (params["left"], params["right"]),
        "same_upper": lambda: (least // 2, -(-least // 2)),
        "paddle_same": lambda: (least // 2, -(-least // 2)),
        "tf-right": lambda: (least // 2, -(-least // 2)),
        "mindspore-right": lambda: (least // 2, -(-least // 2)),
        "same_lower": lambda: (-(-least // 2), least // 2),
        "same_static": lambda: (whole // 2, -(-whole // 2)),
        "torch_same": lambda: (whole // 2, -(-whole // 2)),
        "torch-left": lambda: (-(-whole // 2), whole // 2),
        "half": lambda: (sizes.kernel // 2, sizes.kernel // 2),
        "full": lambda: (whole, whole),
        "causal": lambda: (whole, 0),
        "reverse_causal": lambda: (0, whole),
        "semicausal_full": lambda: (max(effective - stride, 0), whole),
        "semicausal": lambda: (effective - stride, stride - 1) if stride <= effective else (0, whole),
    }[rule.name]()
    return left[::-1] if params.get("odd_side") == "left" else left


def is_defined(case: Case) -> bool:
    """Return True where the mode reaches as far as the rule pads and one window fits."""
    left, right = defined_pads(case.rule, case.sizes, case.length)
    reach = case.length - (case.mode.name == "reflect")
    reaches = case.mode.name not in MIRRORS or "overflow" in dict(case.mode.params) or max(left, right) <= reach
    return reaches and left + case.length + right >= case.sizes.effective


def random_cases(count: int, seed: int, rules: Any = RULES, modes: Any = MODES) -> Iterator[Case]:
    """Draw ``count`` cases for each rule × mode; a mode with an overflow rule also gets inputs shorter than its pads."""
    draw = random.Random(seed)
    for rule, mode in itertools.product(rules, modes):
        drawn = 0
        while drawn < count:
            stride = 1 if rule.name in ("torch_same", "torch-left") else draw.choice(STRIDES)
            sizes = Sizes(draw.choice(KERNELS), stride, draw.choice(DILATIONS), draw.choice(GROUPS), draw.choice(BIASES))
            shortest = 1 if "overflow" in dict(mode.params) else sizes.effective
            case = Case(sizes, rule, mode, draw.randint(shortest, sizes.effective + BEYOND[-1]))
            if is_defined(case):
                drawn += 1
                yield case


def random_data(seed: int, length: int, batch: int = 1, dtype: str = "float32", channels: int = CHANNELS) -> Any:
    """Return normal (batch, channels, length) values."""
    return np.random.default_rng(seed).standard_normal((batch, channels, length)).astype(dtype)


def random_weights(seed: int, sizes: Sizes) -> tuple[Any, Any]:
    """Return normal float32 (out, in/groups, kernel) and (out,) values, or None in place of the second."""
    draw = np.random.default_rng([1, seed])
    weight = draw.standard_normal((CHANNELS, CHANNELS // sizes.groups, sizes.kernel)).astype("float32")
    return weight, draw.standard_normal(CHANNELS).astype("float32") if sizes.bias else None


def referee(case: Case, data: Any, weight: Any, bias: Any) -> reference.Reference:
    """Return the float64 reference's result, weight of axes OIW or OI1W."""
    left, right = defined_pads(case.rule, case.sizes, case.length)
    return reference.conv1d(
        data, np.reshape(weight, (CHANNELS, -1, case.sizes.kernel)), bias,
        left=left, right=right, mode=case.mode.name, **dict(case.mode.params),
        stride=case.sizes.stride, dilation=case.sizes.dilation, groups=case.sizes.groups,
    )  # fmt: skip


def same_within(expected: Any, actual: Any, judged: reference.Reference, dtype: str, about: Any = "") -> None:
    """Assert that two results of one sum, computed in ``dtype`` or wider, differ by no more than rounding explains."""
    assert expected.shape == actual.shape, f"{about}: expected shape {expected.shape}, got {actual.shape}"
    error = np.abs(np.asarray(expected, dtype="float64") - np.asarray(actual, dtype="float64"))
    bound = TWO_COMPUTATIONS * reference.tolerance(dtype, judged.terms, judged.magnitude)
    assert (error <= bound).all(), f"{about}: off by {np.max(error / bound):.3g} times the bound"


def judge(case: Case, actual: Any, data: Any, weight: Any, bias: Any, dtype: str = "float32") -> None:
    """Assert that ``actual`` is what the reference computes, up to rounding."""
    judged = referee(case, data, weight, bias)
    same_within(judged.output, actual, judged, dtype, case)


def same_bits(expected: Any, actual: Any, about: Any = "") -> None:
    """Assert that two arrays agree in dtype, shape and every bit."""
    assert (expected.dtype, expected.shape) == (actual.dtype, actual.shape), about
    assert expected.tobytes() == actual.tobytes(), about

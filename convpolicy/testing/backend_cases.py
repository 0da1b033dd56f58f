"""Test layers for backends, and the comparison of their outputs with the float64 reference."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convpolicy import reference, registry
from convpolicy.arithmetic import SIDES
from convpolicy.bits.float32 import rounded
from convpolicy.core import transposed_plan
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.named import policies
from convpolicy.core.named import policy as named_policy
from convpolicy.core.spec import ConvSpec
from convpolicy.layers.backend import EXECUTIONS, Backend, LayerRequest
from convpolicy.parts.choice import Choice
from convpolicy.parts.side import value_of
from convpolicy.testing.common import refuses, require
from convpolicy.testing.ladder import ConformanceError

Array = NDArray[Any]
IN, OUT = 4, 8
POLICY = "torch"  # policy of layers for which the policy does not matter
TWO_COMPUTATIONS = 2  # factor of the tolerance, because the layer and the reference both round
MIRRORS = ("reflect", "symmetric", "circular")  # modes with a limited width
RULES = (
    *(Choice(name) for name in ("valid", "half", "full", "causal", "semicausal", "torch_same", "torch-left", "paddle_same")),
    *(Choice(name, odd_side=side) for name in ("same_upper", "same_lower", "same_static") for side in ("left", "right")),
    Choice("explicit", left=2, right=1),
    Choice("explicit", left=0, right=5),
    Choice("crop", left=-1, right=1),  # adds one sample, removes another
)
SUMS = ("odd", "odd_symmetric")  # modes whose added samples are sums
PER_CHANNEL = np.arange(1.0, IN + 1)
MODES = (
    Choice("zeros"),
    Choice("constant", value=1.5),
    Choice("constant", value=PER_CHANNEL),
    Choice("constant", left=-2.0, right=PER_CHANNEL),
    Choice("extrapolate"),
    Choice("linear_ramp", value=PER_CHANNEL, right=-1.0),
    Choice("per_side", left="reflect", right=Choice("constant", value=2.5)),
    Choice("per_side", left=Choice("constant", value=PER_CHANNEL), right="odd"),
    *(Choice(name) for name in SUMS),
    Choice("odd", overflow="periodic"),
    Choice("odd_symmetric", overflow="zero-extend"),
    Choice("replicate"),
    *(Choice(name) for name in MIRRORS),
    *(Choice(name, overflow=overflow) for name in MIRRORS for overflow in ("periodic", "zero-extend")),
)
CROPS = (  # of transposed convolutions: what is cut, appended, or both
    *(Choice(name) for name in ("at_least_stride", "symmetric", "causal")),
    *(Choice(name, odd_side=side) for name in ("same_upper", "same_lower") for side in ("left", "right")),
    Choice("explicit"),
    Choice("explicit", left=2, right=2, output_padding=1),
    Choice("explicit", left=3, right=1),
    Choice("explicit", left=0, right=-2),  # appends more than output_padding can
    Choice("explicit", left=-2, right=1),
    Choice("explicit", left=-1, right=-3),
)
TRANSPOSED_MODES = tuple(Choice(name) for name in transposed_plan.MODES)


class Case(NamedTuple):
    """One layer, one input length and one batch size; ``str()`` is used in messages."""

    spec: ConvSpec
    bias: bool
    rule: Choice
    mode: Choice
    length: int
    base: str
    execution: str = "exact"
    batch: int = 1

    def policy(self) -> LayerPolicy:
        """Return the policy of the layer; it does not claim to be a framework."""
        return _policy(self.base, self.spec, self.rule, self.mode, self.bias)

    def plan(self) -> Any:
        """Return the plan, or None if the rule, the mode or the length do not allow one."""
        spec = self.spec
        plan = refuses(lambda: self.policy().plan(spec.kernel_size, spec.stride, spec.dilation, length=self.length))
        return plan if plan is not None and plan.length_out else None

    def request(self, values: dict[str, Array | None], dtype: str) -> LayerRequest:
        """Return the request to build the layer with these weights."""
        inits = {f"{role}_init": array for role, array in values.items() if array is not None}
        return LayerRequest(self.spec, self.policy().evolve(**inits), dtype, self.execution)

    def size(self) -> tuple[int, ...]:
        """Return the key by which cases are sorted."""
        spec = self.spec
        return spec.effective_kernel + self.length, spec.kernel_size, spec.stride, spec.dilation, spec.groups, self.bias

    def __str__(self) -> str:
        spec = self.spec
        return (
            f"kernel_size {spec.kernel_size}, stride {spec.stride}, dilation {spec.dilation}, groups {spec.groups}, "
            f"{'a' if self.bias else 'no'} bias, padding {self.rule}, mode {self.mode}, batch {self.batch}, length {self.length}"
        )

    def line(self, backend: str, dtype: str) -> str:
        """Return one line of Python that builds and runs such a layer, with random weights."""
        spec, policy = self.spec, self.policy()
        arguments = {
            "stride": spec.stride, "dilation": spec.dilation, "groups": spec.groups, "bias": self.bias, "padding": policy.padding,
            "padding_mode": policy.padding_mode, "policy": self.base, "backend": backend, "dtype": dtype,
            "execution": self.execution, "weight_norm": False, "seed": 0,
        }  # fmt: skip
        keywords = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        return (
            f"from numpy import array, ones; import convpolicy; from convpolicy import Choice; "
            f"layer = convpolicy.{'ConvTranspose1d' if spec.transposed else 'Conv1d'}({IN}, {OUT}, {spec.kernel_size}, {keywords}); "
            f"print(convpolicy.backends()[{backend!r}].run(layer, ones(({self.batch}, {IN}, {self.length}), {numpy_dtype(dtype)!r})))"
        )


@registry.cached(maxsize=1024)
def _policy(base: str, spec: ConvSpec, rule: Choice, mode: Choice, bias: bool) -> LayerPolicy:
    named: LayerPolicy = named_policy(base).half() if spec.transposed else named_policy(base)
    if "M" in named.part("layout")[0].axes and spec.groups != spec.in_channels:
        named = named.evolve(layout="OIW")  # a depthwise layout needs depthwise groups
    plain = named.evolve(name="any", random_stream="numpy", weight_norm=None)  # weight normalisation rounds the weights
    return plain.evolve(padding=rule, padding_mode=mode, bias=bias)


def _shuffled(draw: random.Random, items: Sequence[Any]) -> Iterator[Any]:
    """Yield all items in random order, endlessly; each item comes once per round."""
    while True:
        yield from draw.sample(list(items), len(items))


def sample(
    count: int,
    seed: str,
    rules: Sequence[Choice] | None = None,
    modes: Sequence[Choice] | None = None,
    *,
    transposed: bool = False,
) -> list[Case]:
    """Draw cases that depend on the seed only, and return the smallest first; every rule and mode occurs about equally often.

    Args:
        count: number of cases. Fewer cases are among more of the same seed.
        seed: text that decides which cases are drawn.
        rules, modes: what to pad with; None for all of them. Of transposed convolutions, ``rules`` are crop rules.
        transposed: True for transposed convolutions.
    """
    draw = random.Random(seed)  # noqa: S311 - cases, not secrets
    names = [name for name in policies() if not transposed or named_policy(name).transposed]
    bases, executions = itertools.cycle(names), itertools.cycle(EXECUTIONS)
    rules = rules or (CROPS if transposed else RULES)
    modes = modes or (TRANSPOSED_MODES if transposed else MODES)
    cases = [
        _valid_case(draw, rule, mode, next(bases), next(executions), transposed)._replace(batch=1 + number % 2)
        for rule, mode, number in zip(_shuffled(draw, rules), _shuffled(draw, modes), range(count))
    ]
    return sorted(cases, key=Case.size)


def _valid_case(draw: random.Random, rule: Choice, mode: Choice, base: str, execution: str, transposed: bool) -> Case:
    while True:
        kernel, dilation = draw.randint(1, 6), draw.randint(1, 2)
        spec = ConvSpec(IN, OUT, kernel, draw.randint(1, 3), dilation, draw.choice((1, 2, IN)), transposed)
        shortest = 1 if transposed or "overflow" in dict(mode.params) else spec.effective_kernel
        length = draw.randint(shortest, 9 if transposed else spec.effective_kernel + 9)
        case = Case(spec, draw.random() < 0.5, rule, mode, length, base, execution)
        if case.plan() is not None:
            return case


def arrays(seed: Any, case: Case, dtype: str) -> tuple[dict[str, Array | None], Array]:
    """Return random weights by name (a bias may be None) and random data, in NumPy's dtype for the backend's dtype."""
    draw = np.random.default_rng(seed)
    shapes = case.spec.weight_shape, (OUT,), (case.batch, IN, case.length)
    weight, bias, data = (rounded(draw.standard_normal(shape), dtype) for shape in shapes)
    return {"weight": weight, "bias": bias if case.bias else None}, data


def numpy_dtype(dtype: str) -> str:
    """Return the NumPy dtype of a backend's arrays: float32 for bfloat16, which NumPy lacks, else the dtype itself."""
    return "float32" if dtype == "bfloat16" else dtype


def judge(case: Case, values: dict[str, Array | None], data: Array, output: Any, dtype: str) -> None:
    """Require that an output equals the float64 reference up to rounding in the dtype."""
    compare(case, output, ideal_of(case, values, data), dtype)


def ideal_of(case: Case, values: dict[str, Array | None], data: Array) -> reference.Reference:
    """Return the float64 reference of a case."""
    spec, plan = case.spec, case.plan()
    sizes = {"left": plan.left, "right": plan.right, "stride": spec.stride, "dilation": spec.dilation, "groups": spec.groups}
    weight, bias = values["weight"], values["bias"]
    if spec.transposed:
        return reference.conv_transpose1d(data, weight, bias, mode=plan.mode, **sizes)
    return reference.conv1d(data, weight, bias, **reference_arguments(case.policy()), **sizes)


def reference_arguments(policy: LayerPolicy) -> dict[str, Any]:
    """Return the mode, value and overflow of a policy as arguments of `reference.conv1d`."""
    modes = policy.modes()
    return {
        "mode": modes[0][0].name if len(modes) == 1 else tuple(mode.name for mode, _params in modes),
        "value": tuple(value_of(params, side) for side, params in zip(SIDES, (modes[0][1], modes[-1][1]))),
        "overflow": modes[0][1].get("overflow", "error"),
    }


def compare(case: Case, output: Any, ideal: reference.Reference, dtype: str) -> None:
    """Require that an output has the shape and dtype of the reference's output, and equals it up to rounding."""
    check_array(case, "the output", output, ideal.output.shape, dtype)
    bound = TWO_COMPUTATIONS * reference.tolerance(dtype, ideal.terms, ideal.magnitude)
    within(case, "the output", output, ideal.output, bound)


def check_array(case: Case, what: str, array: Any, shape: tuple[int, ...], dtype: str) -> None:
    """Require that an array is a NumPy array of this shape and dtype."""
    require(isinstance(array, np.ndarray), f"{what} must be a NumPy array, got {type(array).__name__}, for {case}.")
    require(array.shape == shape, f"{what} must have shape {shape}, got {array.shape}, for {case}.")
    expected = numpy_dtype(dtype)
    require(array.dtype == expected, f"{what} of a {dtype} layer must be {expected}, got {array.dtype}, for {case}.")


def within(case: Case, what: str, values: Array, ideal: Array, bound: Array) -> None:
    """Require that every number differs from the reference by at most the bound."""
    wide = values.astype(np.float64)
    far = ~(np.abs(wide - ideal) <= bound)  # also True for NaN
    if far.any():
        at = tuple(int(axis[0]) for axis in np.nonzero(far))
        require(
            False,
            f"{what} differs from the float64 reference at {at}: got {float(wide[at])!r}, expected {float(ideal[at])!r} within "
            f"{bound[at]:.1e}, for {case}.",
        )


@contextmanager
def trying(case: Case, backend: Backend, dtype: str) -> Iterator[None]:
    """Add the layer, and a line that builds and runs such a layer, to any error in a ``with`` block."""
    reproduction = f" To run such a layer: {case.line(backend.name, dtype)}"
    try:
        yield
    except ConformanceError as error:
        raise ConformanceError(f"{error}{reproduction}") from error.__cause__
    except Exception as error:
        raise ConformanceError(f"it raises {type(error).__name__}: {error}, for {case}.{reproduction}") from error


def build(backend: Backend, case: Case, values: dict[str, Array | None], dtype: str) -> Any:
    """Build the layer of a case with these weights."""
    request = case.request(values, dtype)
    return backend.layer(request, request.policy.start_stream(0), None)


def each_dtype(backend: Backend, count: int, seed: str | None = None, *, transposed: bool = False) -> list[tuple[Case, str]]:
    """Return ``count`` cases for each dtype of a backend.

    Without a seed, they are among the cases of the checks of values, so that a framework that compiles each shape has compiled them.
    """
    drawn = {
        dtype: sample(count, dtype if seed is None else f"{seed} {dtype}", transposed=transposed) for dtype in backend.dtypes
    }
    return [(case, dtype) for dtype, cases in drawn.items() for case in cases]

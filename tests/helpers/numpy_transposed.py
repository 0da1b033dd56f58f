"""Cases of transposed layers, the judge of a backend's layers, and wrong implementations of NumPy's backend that it must refuse."""

from __future__ import annotations

import itertools
import random
from typing import Any, NamedTuple

import attrs
import numpy as np
from helpers.transposed import DILATIONS, GROUPS, IN, Sizes, ideal, is_within

import convpolicy as cp

Choice = cp.Choice
HALF = cp.policy("torch").transposed.evolve(name="any", random_stream="numpy")
RULES = (
    *(Choice(name) for name in ("explicit", "at_least_stride", "symmetric", "causal")),
    *(Choice(name, odd_side=side) for name in ("same_upper", "same_lower") for side in ("left", "right")),
    *(Choice("explicit", left=2, right=2, output_padding=more) for more in (1, 2)),
    *(Choice("explicit", left=left, right=right) for left, right in ((3, 1), (0, -2), (-2, 1), (-1, -3), (-9, 8), (7, -9))),
)
MODES = ("zeros", "circular")


class Case(NamedTuple):
    """One transposed layer and one input length."""

    sizes: Sizes
    rule: Choice
    mode: str
    length: int

    def layer(self, backend: str, seed: int, dtype: str = "float32", **more: Any) -> Any:
        """Build the layer; weight and bias both random."""
        policy = HALF.evolve(bias_init="normal")
        return self.sizes.layer(self.rule, padding_mode=self.mode, policy=policy, backend=backend, seed=seed, dtype=dtype, **more)

    def cuts(self) -> tuple[int, int] | None:
        """What is cut, None where the rule refuses the sizes or nothing is left."""
        try:
            left, right = HALF.evolve(padding=self.rule).static_pads(*self.sizes[:3])
        except cp.InvalidValueError:
            return None
        return (left, right) if self.sizes.full(self.length) - left - right > 0 else None


def cases(kernel, stride):
    """Yield cases of one kernel and stride: every dilation and rule; groups, bias, mode and length are drawn."""
    draw = random.Random(10 * kernel + stride)
    for dilation, rule in itertools.product(DILATIONS, RULES):
        sizes = Sizes(kernel, stride, dilation, draw.choice(GROUPS), draw.random() < 0.5)
        case = Case(sizes, rule, draw.choice(MODES), draw.randint(1, 5))
        if case.cuts() is not None:
            yield case


def data_of(case, seed, dtype="float32", batch=2):
    """Random data."""
    return np.random.default_rng(seed).standard_normal((batch, IN, case.length)).astype(dtype)


def judge(case, output, data, weight, bias, dtype="float32"):
    """Assert that an output has the dtype, and is within the rounding bound of the float64 scatter."""
    scatter = ideal(data, weight, bias, case.cuts(), case.sizes, case.mode)
    assert (output.dtype, output.shape) == (dtype, scatter.output.shape), case
    assert is_within(output, scatter), (case, float(np.abs(output - scatter.output).max()))


def check(backend, each, dtype="float32"):
    """Judge a layer of every case; return how many there were."""
    count = 0
    for number, case in enumerate(each):
        layer, data = case.layer(backend, number, dtype), data_of(case, number, dtype)
        assert (layer.bias is not None) == case.sizes.bias, case
        before = data.copy()
        judge(case, layer(data), data, layer.weight, layer.bias, dtype)
        assert np.array_equal(before, data), case  # the input is left alone
        count += 1
    return count


class Wrong:
    """A plugin with wrong variants of the NumPy backend."""

    @cp.hookimpl
    def convpolicy_backends(self):
        return [cp.Backend(name, cp.backends()["numpy"].build, build_transposed=build) for name, build in FAULTS.items()]


def _with_weight(change):
    """A layer that reads its weight otherwise, and shows it as it is."""

    def build(request, stream, device):
        layer = cp.backends()["numpy"].build_transposed(request, stream, device)

        class Changed(type(layer)):
            def __call__(self, data):
                own, self.weight = self.weight, change(self.weight).reshape(self.weight.shape)
                output = super().__call__(data)
                self.weight = own
                return output

        layer.__class__ = Changed
        return layer

    return build


def _with_request(change):
    """A layer of another request."""
    return lambda request, stream, device: cp.backends()["numpy"].build_transposed(change(request), stream, device)


def _evolved(**changes):
    return _with_request(lambda request: attrs.evolve(request, policy=request.policy.evolve(**changes)))


def _late_bias(request, stream, device):
    """A layer whose appended samples are zeros without bias."""
    layer = cp.backends()["numpy"].build_transposed(request, stream, device)

    class Changed(type(layer)):
        def __call__(self, data):
            output = super().__call__(data)
            left, right = self.plan(data.shape[2]).appended
            output[..., :left] = output[..., output.shape[2] - right :] = 0
            return output

    layer.__class__ = Changed
    return layer


def _no_output_padding(request):
    params = {**dict(request.policy.padding.params), "output_padding": 0}
    rule = request.policy.padding
    padding = Choice(rule.name, **params) if "output_padding" in dict(rule.params) else rule
    return attrs.evolve(request, policy=request.policy.evolve(padding=padding))


FAULTS = {
    "right": _with_request(lambda request: request),
    "cut on the other side": _with_request(
        lambda request: attrs.evolve(request, policy=request.policy.evolve(padding=request.static_pads()[::-1]))
    ),
    "kernel flipped": _with_weight(lambda weight: weight[..., ::-1]),
    "in and out exchanged": _with_weight(lambda weight: weight.swapaxes(0, 1)),
    "output_padding ignored": _with_request(_no_output_padding),
    "no bias on appended samples": _late_bias,
    "circular dropped": _evolved(padding_mode="zeros"),
    "bias dropped": _evolved(bias=False),
    "nothing cut": _evolved(padding=0),
    "dilation ignored": _with_request(lambda request: attrs.evolve(request, spec=attrs.evolve(request.spec, dilation=1))),
    "stride ignored": _with_request(lambda request: attrs.evolve(request, spec=attrs.evolve(request.spec, stride=1))),
    "groups interleaved": _with_weight(lambda weight: weight[np.arange(IN).reshape(2, -1).T.ravel()]),
}

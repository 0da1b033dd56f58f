"""The NumPy backend against the float64 reference: every rule and mode, and what a layer keeps."""

from __future__ import annotations

import itertools
import random

import numpy as np
from helpers.differential import GROUPS, MODES, RULES, Case, Choice, Sizes, is_defined, judge, random_data, same_bits

import convpolicy as cp
from convpolicy import reference


def cases(seed):
    """Yield one case for every rule × mode × groups × stride × dilation × bias; kernel and length are drawn."""
    draw = random.Random(seed)
    for rule, mode, groups, stride, dilation, bias in itertools.product(RULES, MODES, GROUPS, (1, 2, 3), (1, 2), (False, True)):
        if stride > 1 and rule.name in ("torch_same", "torch-left"):
            continue
        case = None
        while case is None or not is_defined(case):
            sizes = Sizes(draw.randint(1, 5), stride, dilation, groups, bias)
            case = Case(sizes, rule, mode, draw.randint(1, 12))  # often shorter than the kernel
        yield case


def check_case(case, backend, number, dtype, policy="torch"):
    """Assert that a backend's layer keeps the dtype and is within rounding of the reference, on random weights and data."""
    layer = case.layer(policy, backend, number, dtype)
    data = random_data(number, case.length, batch=2, dtype=dtype)
    given = data.copy()
    actual = layer(data)
    assert actual.dtype == layer.weight.dtype == dtype, case
    judge(case, actual, data, layer.weight, layer.bias, dtype)
    same_bits(given, data, case)  # the input is left alone


def check_backend(backend, dtype, cases):
    """Assert the above on every case, under every policy in turn."""
    policies = itertools.cycle(cp.policies())
    for number, case in enumerate(cases):
        check_case(case, backend, number, dtype, next(policies))


def tap_by_tap(layer, data, stride, dilation, groups):
    """Sum whole shifted inputs in float64, one per tap and group: output, and the sum of magnitudes."""
    weight = layer.weight.astype(float)
    out_channels, in_per_group, kernel = weight.shape
    length_out = (data.shape[2] - (kernel - 1) * dilation - 1) // stride + 1
    both = []
    for size in (lambda values: values, np.abs):
        total = np.zeros((len(data), out_channels, length_out)) + size(layer.bias.astype(float))[:, None]
        for out, tap in itertools.product(range(out_channels), range(kernel)):
            first = out * groups // out_channels * in_per_group
            shifted = data[:, first : first + in_per_group, tap * dilation :][..., ::stride][..., :length_out]
            total[:, out] += np.tensordot(size(shifted.astype(float)), size(weight[out, :, tap]), ((1,), (0,)))
        both.append(total)
    return both


def check_layer(layer, data, stride, dilation, groups, dtype):
    """Assert that a layer without pads is within rounding of the sum above."""
    expected, magnitude = tap_by_tap(layer, data, stride, dilation, groups)
    actual = layer(data)
    assert actual.shape == expected.shape
    bound = 2 * reference.tolerance(dtype, layer.weight[0].size + 1, magnitude)
    assert (np.abs(actual - expected) <= bound).all()


def check_written_in_place(backend, groups):
    """Assert that weights and biases written into the layer's arrays, whole or one element, decide the next output."""
    case = Case(Sizes(3, 1, 2, groups, True), Choice("causal"), Choice("replicate"), 9)
    layer = case.layer("torch", backend, 0)
    data = random_data(1, 9)
    for number, write in enumerate((layer.weight[...], layer.bias[...], layer.weight[1, 0, 2:], layer.bias[3:])):
        before = layer(data)
        write[...] = np.random.default_rng(number).standard_normal(write.shape)
        assert not np.array_equal(before, layer(data))
        judge(case, layer(data), data, layer.weight, layer.bias)

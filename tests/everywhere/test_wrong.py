"""Deliberately wrong torch and MindSpore layers are refused by the judges of the differential tests, right ones accepted."""

from __future__ import annotations

import mindspore
import numpy as np
import pytest
import torch
from helpers.differential import Case, judge, random_cases, random_data, same_bits

import convpolicy as cp

pytestmark = pytest.mark.needs("torch", "mindspore")

MIRRORED = {"left": "right", "right": "left"}


def sized(**changes):
    """The same layer with other sizes."""
    return lambda case: case._replace(sizes=case.sizes._replace(**changes))


def other_side(case: Case) -> Case:
    """The same pads, left and right exchanged."""
    effective = case.sizes.effective
    plan = cp.policy("torch").evolve(padding=case.rule).plan(
        case.sizes.kernel, case.sizes.stride, case.sizes.dilation, length=max(case.length, effective)
    )  # fmt: skip
    return case._replace(rule=cp.Choice("explicit", left=plan.right, right=plan.left))


# what is wrong -> the case that is built instead, and what becomes of the weight
FAULTS = {
    "odd element on the other side": (other_side, lambda w: w),
    "kernel flipped": (lambda case: case, lambda w: w[..., ::-1].copy()),
    "dilation ignored": (sized(dilation=1), lambda w: w),
    "stride ignored": (sized(stride=1), lambda w: w),
    "constant output": (lambda case: case, np.zeros_like),
    "mode ignored": (lambda case: case._replace(mode=cp.Choice("zeros")), lambda w: w),
    "bias dropped": (sized(bias=False), lambda w: w),
    "input channels exchanged": (lambda case: case, lambda w: w[:, ::-1] if w.shape[1] > 1 else -w),
    "groups interleaved": (lambda case: case, lambda w: w[np.arange(4).reshape(-1, 2).T.ravel()]),
    "rounded to half precision": (lambda case: case, lambda w: w.astype("float16").astype(w.dtype)),
}
RULES = (cp.Choice("same_upper"), cp.Choice("same_lower"), cp.Choice("causal"), cp.Choice("explicit", left=2, right=1))
MODES = (cp.Choice("constant", value=1.5), cp.Choice("reflect"), cp.Choice("circular"))


def torch_output(layer, weight, bias, data):
    """What a torch layer with these weights computes."""
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
        if layer.bias is not None:
            layer.bias.copy_(torch.from_numpy(bias))
        return layer(torch.from_numpy(data)).numpy()


def mindspore_output(layer, weight, bias, data):
    """What a MindSpore layer with these weights computes."""
    layer.weight.set_data(mindspore.Tensor(np.ascontiguousarray(weight[:, :, None])))
    if layer.has_bias:
        layer.bias.set_data(mindspore.Tensor(bias))
    return layer(mindspore.Tensor(data)).asnumpy()


OUTPUT = {"torch": torch_output, "mindspore": mindspore_output}


def refused(backend, change, weigh) -> int:
    """In how many of 24 random cases the judge refuses what is built by ``change`` with the weight made by ``weigh``."""
    count = 0
    for number, case in enumerate(random_cases(2, 3, RULES, MODES)):
        draw = np.random.default_rng([1, number])
        data = random_data(number, case.length)
        weight = draw.standard_normal((4, 4 // case.sizes.groups, case.sizes.kernel)).astype("float32")
        bias = draw.standard_normal(4).astype("float32")
        right = case._replace(sizes=case.sizes._replace(bias=True))
        layer = change(right).layer("torch", backend, 0)
        output = OUTPUT[backend](layer, weigh(weight), bias, data)
        try:
            judge(right, output, data, weight, bias)
        except AssertionError:  # another shape or other values; the layer itself refuses nothing
            count += 1
    return count


@pytest.mark.parametrize("backend", OUTPUT)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_layer_is_refused(backend, fault):
    """Every fault is found in at least a quarter of the cases: those in which it makes a difference."""
    assert refused(backend, *FAULTS[fault]) >= 6


@pytest.mark.parametrize("backend", OUTPUT)
def test_a_right_layer_is_accepted(backend):
    """With nothing wrong no case is refused."""
    assert refused(backend, lambda case: case, lambda weight: weight) == 0


def test_one_bit_is_noticed():
    """The judge of exact claims refuses a difference in the last bit, another dtype and another shape."""
    right = np.array([1.0, 2.0], np.float32)
    same_bits(right, right.copy())
    for wrong in (np.nextafter(right, np.float32(9)), right.astype(float), right[None], np.array([1.0, -2.0], np.float32)):
        with pytest.raises(AssertionError):
            same_bits(right, wrong)
    with pytest.raises(AssertionError):
        same_bits(np.array([0.0]), np.array([-0.0]))

"""The backend against the real paddle.nn.Conv1D to the bit, against the float64 reference, and its gradients against their adjoint."""

from __future__ import annotations

import itertools

import numpy as np
import paddle
import pytest
from cases import FAULTS, IN, MODES, OUT, RULES, Case, Choice, arrays, judge, random_cases
from paddle import nn

import convpolicy as cp
from convpolicy import reference

PER_RULE_AND_MODE = 6
BACKEND = cp.backends()["paddle"]


def give(layer, weight, bias):
    """Write the weights."""
    layer.weight.set_value(weight)
    if bias is not None:
        layer.bias.set_value(bias)
    return layer


def paddings(dilation):
    """Everything Paddle's layer takes: words, numbers, pairs, and modes with one number."""
    yield from ((padding, "zeros") for padding in ("VALID", "valid", 0, 1, 3, (2, 1), (0, 4)))
    if dilation == 1:
        yield from (("SAME", "zeros"), ("same", "zeros"))
    yield from itertools.product((1, 2), ("reflect", "replicate", "circular"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kernel", range(1, 7))
def test_the_policy_paddle_is_paddles_own_layer_to_the_bit(kernel, dtype):
    """Strides 1-3, dilations 1-2, groups 1, 2 and depthwise, with and without bias, every padding: the same bits."""
    compared = 0
    for stride, dilation, groups, bias in itertools.product((1, 2, 3), (1, 2), (1, 2, IN), (True, False)):
        case = Case(kernel, stride, dilation, groups, bias, None, None, (kernel - 1) * dilation + 11)
        weight, bias_values, data = arrays(compared, case, dtype, batch=2)
        for padding, mode in paddings(dilation):
            sizes = {"stride": stride, "dilation": dilation, "groups": groups}
            ours = cp.Conv1d(
                IN, OUT, kernel, padding=padding, padding_mode=mode, bias=bias, policy="paddle", backend="paddle", dtype=dtype, **sizes
            )  # fmt: skip
            own_padding = list(padding) if isinstance(padding, tuple) else padding
            own = nn.Conv1D(
                IN, OUT, kernel, padding=own_padding, padding_mode=mode, bias_attr=None if bias else False, dtype=dtype, **sizes
            )  # fmt: skip
            assert list(ours.state_dict()) == list(own.state_dict())
            assert isinstance(ours, nn.Conv1D)
            assert (type(ours) is nn.Conv1D) == (mode != "circular")
            for cut in (0, 5, 8):
                expected, actual = (BACKEND.run(give(layer, weight, bias_values), data[..., cut:]) for layer in (own, ours))
                assert (expected.dtype, expected.shape) == (actual.dtype, actual.shape)
                assert expected.tobytes() == actual.tobytes(), (case, padding, mode, cut)
        compared += 1
    assert compared == 36


def test_a_stride_above_the_kernel_and_same():
    """Paddle's SAME is the rule also where it adds nothing: strides up to 8, all lengths up to 19."""
    for kernel, stride in itertools.product(range(1, 5), range(1, 9)):
        own = nn.Conv1D(1, 1, kernel, stride, "SAME", bias_attr=False)
        for length in range(1, 20):
            data = np.random.default_rng(length).standard_normal((1, 1, length)).astype("float32")
            plan = cp.policy("paddle").evolve(padding="SAME").plan(kernel, stride, length=length)
            expected = nn.functional.conv1d(paddle.to_tensor(data), own.weight, stride=stride, padding=[plan.left, plan.right])
            assert BACKEND.run(own, data).tobytes() == expected.numpy().tobytes(), (kernel, stride, length)


def test_same_that_resets_the_dilation():
    """Paddle computes SAME with dilation 1 whatever was asked for; the policy refuses it and names what to ask for."""
    own = nn.Conv1D(1, 1, 3, padding="SAME", dilation=2, bias_attr=False)
    undilated = give(nn.Conv1D(1, 1, 3, padding="SAME", bias_attr=False), own.weight.numpy(), None)
    data = np.random.default_rng(0).standard_normal((1, 1, 9)).astype("float32")
    assert BACKEND.run(own, data).tobytes() == BACKEND.run(undilated, data).tobytes()
    with pytest.raises(
        cp.ConvPolicyError, match=r"dilation must be 1, got 2, which Paddle's 'SAME' would silently take for 1; .*same_upper"
    ):
        cp.Conv1d(1, 1, 3, padding="SAME", dilation=2, policy="paddle", backend="paddle")
    meant = cp.Conv1d(1, 1, 3, 2, "same_upper", 2, policy="paddle", backend="paddle")
    assert meant.plan(9).left == 2
    assert BACKEND.run(meant, data).shape == (1, 1, 5)


def check(cases, dtype, fault=lambda *given: given):
    """Judge every case by the reference, computed by a layer with a fault."""
    for number, case in enumerate(cases):
        weight, bias, data = arrays(number, case, dtype)
        wrong, wrong_weight, wrong_bias = fault(case, weight, bias)
        judge(case, weight, bias, data, BACKEND.run(wrong.layer("paddle", wrong_weight, wrong_bias, dtype=dtype), data))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_every_rule_and_mode_under_every_policy_is_the_reference(mode, dtype):
    """A seeded sample over every rule, mode and policy."""
    check(random_cases(PER_RULE_AND_MODE, seed=f"{mode}{dtype}", rules=RULES, modes=[mode]), dtype)


def adjoint(case, weight, data, upstream):
    """The gradients of sum(output * upstream), summed tap by tap from the plan."""
    plan = case.plan()
    sources = [*plan.left_sources, *range(plan.length), *plan.right_sources]
    padded = np.where(np.array(sources) < 0, plan.value, data[..., sources])
    to_padded, to_weight = np.zeros_like(padded), np.zeros_like(weight)
    for out, offset, tap in np.ndindex(weight.shape):
        channel = out * case.groups // OUT * weight.shape[1] + offset
        for place in range(plan.length_out):
            at = place * case.stride + tap * case.dilation
            to_weight[out, offset, tap] += (upstream[:, out, place] * padded[:, channel, at]).sum()
            to_padded[:, channel, at] += upstream[:, out, place] * weight[out, offset, tap]
    to_input = np.zeros_like(data)
    for at, source in enumerate(sources):
        if source >= 0:
            to_input[..., source] += to_padded[..., at]
    return {"input": to_input, "weight": to_weight, "bias": upstream.sum((0, 2)) if case.bias else None}


def check_gradients(cases, fault=lambda *given: given):
    """Compare every gradient with the adjoint, in float64, up to rounding: at most ``terms`` products are summed in each."""
    for number, case in enumerate(cases):
        weight, bias, data = arrays(number, case, "float64", batch=2)
        upstream = np.random.default_rng([7, number]).standard_normal((2, OUT, case.plan().length_out))
        wrong, wrong_weight, wrong_bias = fault(case, weight, bias)
        found = BACKEND.gradients(wrong.layer("paddle", wrong_weight, wrong_bias, dtype="float64"), data, upstream)
        expected = adjoint(case, weight, data, upstream)
        sizes = adjoint(case, *(np.abs(values) for values in (weight, data, upstream)))
        terms = upstream.size * weight.shape[2] + 1
        for name, values in expected.items():
            assert (values is None) == (found[name] is None)
            if values is not None:
                assert found[name].shape == values.shape, (case, name)
                assert (np.abs(found[name] - values) <= 2 * reference.tolerance("float64", terms, sizes[name])).all(), (
                    case,
                    name,
                )


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_gradients_are_the_adjoint(mode):
    """Input, weight and bias, through every rule and mode."""
    check_gradients(random_cases(1, seed=str(mode), modes=[mode]))


@pytest.mark.parametrize(
    "judged", [lambda cases, *fault: check(cases, "float32", *fault), check_gradients], ids=["forward", "backward"]
)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_layer_with_a_fault_is_rejected(fault, judged):
    """What is deliberately wrong fails the check that the right layer passes; a bias or a constant has no gradient to the input."""
    sample = [case for case in random_cases(1, seed=0) if judged is not check_gradients or case.length < 9]
    judged(sample)
    rejected = 0
    for case in sample:
        if FAULTS[fault](case, *arrays(0, case)[:2])[0].plan() is None:
            continue
        try:
            judged([case], FAULTS[fault])
        except (AssertionError, ValueError):  # ValueError: Paddle refuses an upstream of another shape
            rejected += 1
    if judged is check_gradients and fault == "bias along the wrong axis":
        assert rejected == 0
    else:
        assert rejected >= 5


class Stranger:
    """Someone else's plugin: modes that are nothing but index maps."""

    @cp.hookimpl
    def convpolicy_padding_modes(self):
        return [
            cp.PaddingMode("every-other", lambda positions, length: np.clip(positions // 2 * 2, 0, length - 1)),
            cp.PaddingMode("dotted", lambda positions, length: np.where(positions % 2, positions % length, -1)),
        ]


@pytest.mark.parametrize("mode", ["every-other", "dotted"])
def test_a_mode_given_only_as_an_index_map(mode):
    """A third party's mode runs forward and backward."""
    cp.register(Stranger(), "stranger")
    try:
        for length in (1, 2, 5, 8):
            case = Case(3, 2, 1, 2, True, Choice("explicit", left=3, right=2), Choice(mode), length)
            weight, bias, data = arrays(length, case, "float64")
            plan = case.plan()
            with_constant = np.concatenate([data, np.zeros((1, IN, 1))], -1)  # index -1
            padded = with_constant[..., [*plan.left_sources, *range(length), *plan.right_sources]]
            ideal = reference.conv1d(padded, weight, bias, stride=2, groups=2)
            bound = reference.tolerance("float64", ideal.terms, ideal.magnitude)
            assert (np.abs(BACKEND.run(case.layer("paddle", weight, bias, dtype="float64"), data) - ideal.output) <= bound).all()
            check_gradients([case])
    finally:
        cp.unregister("stranger")

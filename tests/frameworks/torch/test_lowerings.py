"""Every lowering that calls itself legal computes the plan, and has the bits it claims; a wrong one is noticed."""

from __future__ import annotations

import itertools

import attrs
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.differential import Case, Sizes, defined_pads, random_cases, random_data, referee, same_within
from helpers.padding_modes import MODES
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import convpolicy as cp
from convpolicy.frameworks.torch.execution import lowerings
from convpolicy.frameworks.torch.execution.lowerings import FUNCTIONAL_MODES, LOWERINGS, Work
from convpolicy.frameworks.torch.execution.ruled import RuledConv1d

SINGLE = st.integers(1, 4)


def work_of(case: Case, layer: nn.Conv1d) -> Work:
    """The plan of one case, and the way in which its layer pads."""
    sizes = case.sizes
    plan = cp.policy("torch").evolve(padding=case.rule, padding_mode=case.mode).plan(
        sizes.kernel, sizes.stride, sizes.dilation, length=case.length
    )  # fmt: skip
    assert (plan.left, plan.right) == defined_pads(case.rule, sizes, case.length)
    if isinstance(layer, RuledConv1d):
        return Work(plan, sizes.groups, layer._pad_by)
    return Work(plan, sizes.groups, lambda data, left, right: F.pad(data, (left, right), FUNCTIONAL_MODES[case.mode.name]))


def runs(case: Case, seed: int, batch: int, dtype: str = "float32"):
    """Yield the name and the output of every legal lowering, and what the reference says."""
    layer = case.layer("torch", "torch", seed, dtype)
    data = random_data(seed, case.length, batch, dtype)
    weight, bias = layer.weight.detach(), None if layer.bias is None else layer.bias.detach()
    work, judged = work_of(case, layer), None
    for name, lowering in LOWERINGS.items():
        reason = lowering.why_not(work.plan, layer.in_channels, layer.groups)
        assert isinstance(reason, str)
        if not reason and (lowering.pack is None or (dtype == "float32" and work.plan.length_out)):
            judged = judged or referee(case, data, weight.numpy(), None if bias is None else bias.numpy())
            yield name, lowering.run(torch.from_numpy(data), packed(lowering, weight, data, work), bias, work), judged


def packed(lowering, weight, data, work):
    """The weight as a lowering takes it."""
    return weight if lowering.pack is None else lowering.pack(weight, data.shape, work)


def test_every_legal_lowering_computes_the_plan():
    """All rules × modes, groups, strides, dilations, one item and several: within rounding of the float64 loops, contiguous."""
    reached = dict.fromkeys(LOWERINGS, 0)
    for number, case in enumerate(random_cases(3, seed=7)):
        for name, output, judged in runs(case, number, batch=1 + number % 3):
            same_within(judged.output, output.numpy(), judged, "float32", f"{name}: {case}")
            assert output.is_contiguous() or name == "drop"
            reached[name] += 1
    assert min(reached.values()) >= 4, reached


def test_float64_lowerings_compute_the_plan():
    """No lowering loses digits of float64."""
    for number, case in enumerate(random_cases(1, seed=8)):
        for name, output, judged in runs(case, number, batch=2, dtype="float64"):
            assert output.dtype == torch.float64
            same_within(judged.output, output.numpy(), judged, "float64", f"{name}: {case}")


@settings(max_examples=150, deadline=None)
@given(SINGLE, SINGLE, SINGLE, st.integers(0, 9), st.integers(0, 9), st.integers(1, 40), st.data())
def test_lowerings_agree_on_any_pads(kernel, stride, dilation, left, right, length, data):
    """Whatever the pads, the legal lowerings give as many outputs as the plan says, and the same ones."""
    mode = data.draw(st.sampled_from([mode for mode in MODES if mode != "constant"]))
    groups = data.draw(st.sampled_from((1, 2, 4)))
    sizes = Sizes(kernel, stride, dilation, groups, True)
    reach = 99 if mode in ("zeros", "replicate", "linear_ramp") or (mode == "extrapolate" and length > 1) else length
    reach = length - 1 if mode in ("reflect", "odd", "extrapolate") and reach == length else reach
    left, right = min(left, reach), min(right, reach)
    if left + length + right < sizes.effective:
        return
    case = Case(sizes, cp.Choice("explicit", left=left, right=right), cp.Choice(mode), length)
    for name, output, judged in runs(case, length, batch=2):
        same_within(judged.output, output.numpy(), judged, "float32", f"{name}: {case}")


def big_layers():
    """Layers whose sizes torch gives to each of its kernels: im2col, dilated, oneDNN dense, grouped and depthwise."""
    for (channels, kernel, groups, length), mode in itertools.product(
        ((8, 3, 1, 50), (8, 3, 8, 400), (64, 5, 1, 900), (64, 7, 64, 3000), (48, 9, 4, 1200)), ("zeros", "reflect", "replicate", "circular")
    ):  # fmt: skip
        yield channels, kernel, groups, length, mode


@pytest.mark.parametrize("pads", [(2, 1), (3, 3), (0, 4), (9, 11)])
def test_bits_of(pads):
    """A lowering that claims the bits of another has every one of them, in each of torch's kernels, for dilation and stride too."""
    for number, (channels, kernel, groups, length, mode) in enumerate(big_layers()):
        for stride, dilation in ((1, 1), (2, 1), (1, 3)):
            layer = cp.Conv1d(channels, channels, kernel, stride, pads, dilation, groups, padding_mode=mode, backend="torch")
            data = torch.from_numpy(random_data(number, length, 1 + number % 2, channels=channels))
            plan = layer._request.plan(length) if isinstance(layer, RuledConv1d) else None
            if plan is None:
                continue
            work = Work(plan, groups, layer._pad_by)
            outputs = {
                name: lowering.run(data, layer.weight.detach(), layer.bias.detach(), work)
                for name, lowering in LOWERINGS.items()
                if lowering.bits_of and not lowering.why_not(plan, channels, groups)
            }
            for name, output in outputs.items():
                assert torch.equal(output, outputs[LOWERINGS[name].bits_of]), (name, pads, channels, kernel, groups, mode)
            assert len(outputs) >= 2


@pytest.mark.parametrize("name", [name for name, lowering in LOWERINGS.items() if lowering.pack is None])
def test_gradients(name):
    """Every lowering differentiates as torch's own pad and convolution, in float64: input, weight and bias."""
    checked = 0
    for number, case in enumerate(random_cases(2, seed=9)):
        layer = case.layer("torch", "torch", number, "float64")
        work = work_of(case, layer)
        if LOWERINGS[name].why_not(work.plan, layer.in_channels, layer.groups) or work.plan.length_out == 0:
            continue
        data = torch.from_numpy(random_data(number, case.length, 2, "float64")).requires_grad_()
        wanted = [data, layer.weight] + ([layer.bias] if layer.bias is not None else [])
        upstream = None
        found = {}
        for other in ("pad_first", name):
            output = LOWERINGS[other].run(data, layer.weight, layer.bias, work)
            upstream = (
                torch.from_numpy(np.random.default_rng(number).standard_normal(output.shape)) if upstream is None else upstream
            )
            found[other] = torch.autograd.grad(output, wanted, upstream)
        for mine, expected in zip(found[name], found["pad_first"]):
            torch.testing.assert_close(mine, expected, rtol=1e-10, atol=1e-10)  # float64: 1e6 roundings of it
        checked += 1
    assert checked >= 2


def shifted(data, weight, bias, work):
    """Keeps the outputs one further on."""
    plan = work.plan
    wide, first = lowerings._equal_pads(plan)
    both = F.conv1d(data, weight, bias, plan.stride, wide + plan.stride, plan.dilation, work.groups)
    return both.narrow(-1, first, plan.length_out).contiguous()


def one_edge(data, weight, bias, work):
    """Corrects the left edge alone."""
    plan = work.plan
    right = lowerings.edges(data, weight, bias, work)
    wide, first = lowerings._equal_pads(plan)
    zeros = F.conv1d(data, weight, bias, plan.stride, wide, plan.dilation, work.groups).narrow(-1, first, plan.length_out)
    return torch.cat([right[..., : plan.length_out // 2], zeros[..., plan.length_out // 2 :]], -1)


def mirrored(data, weight, bias, work):
    """Pads with the right one left."""
    plan = work.plan
    return F.conv1d(work.pad(data, plan.right, plan.left), weight, bias, plan.stride, 0, plan.dilation, work.groups)


def undilated(data, weight, bias, work):
    """Reads neighbours."""
    narrow = Work(attrs.evolve(work.plan, dilation=1), *work[1:])
    return lowerings.windows(data, weight, bias, narrow)


def unbiased(data, weight, bias, work):
    """Forgets the bias."""
    return lowerings.pad_first(data, weight, None, work)


def swapped_groups(data, weight, bias, work):
    """Gives every group the next one's weights."""
    return lowerings.pad_first(data, weight.roll(weight.shape[0] // work.groups, 0), bias, work)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("overpad", shifted), ("edges", one_edge), ("concatenate", mirrored), ("windows", undilated), ("pad_first", unbiased),
        ("channels_last", swapped_groups),
    ],
)  # fmt: skip
def test_a_wrong_lowering_is_noticed(name, wrong, monkeypatch):
    """The comparison above fails for outputs shifted by one, an edge forgotten, sides swapped, dilation, bias or groups lost."""
    monkeypatch.setitem(LOWERINGS, name, LOWERINGS[name]._replace(run=wrong))
    with pytest.raises(AssertionError):
        test_every_legal_lowering_computes_the_plan()


def test_a_lowering_that_is_not_legal_says_why():
    """Where a lowering cannot carry a plan out there is a reason to read."""
    plan = cp.policy("torch").evolve(padding=(3, 1)).plan(4, length=99)
    assert {name: lowering.why_not(plan, 4, 4) for name, lowering in LOWERINGS.items() if lowering.why_not(plan, 4, 4)} == {
        "native": "its pads are unequal or not zeros",
        "same": "its pads differ from torch's own 'same'",
        "gather": "it does not pad, or pads with constants or sums",
        "edges": "it crops, or its pads are absent, constants, sums or in every window",
        "windows": "it is pointwise, or depthwise with many outputs",
        "channels_last": "it is depthwise",
        "matmul": "its kernel, stride or groups are not 1, or it pads",
        "linear": "it is grouped, or has more than 256 outputs",
        "packed": "its pads are unequal or not zeros, or this torch has no oneDNN",
        "packed_linear": "it is grouped, has more than 256 outputs, or this torch has no oneDNN",
    }
    assert LOWERINGS["taps"].why_not(plan, 4, 2) == "it is not depthwise, or has no outputs"

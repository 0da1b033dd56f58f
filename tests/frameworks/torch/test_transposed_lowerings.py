"""Every lowering of a transposed layer that calls itself legal computes the plan; a wrong one is noticed; the rules and `tune`."""

from __future__ import annotations

import copy
import pickle

import attrs
import numpy as np
import pytest
import torch
from helpers.torch_transposed import cases, defined_cuts, random_arrays
from helpers.transposed import IN, OUT, judge
from helpers.tuned import clock, tune
from torch import nn

import convpolicy as cp
from convpolicy.frameworks.torch.execution import processor, selection, transposed_rules
from convpolicy.frameworks.torch.execution.lowering import Work
from convpolicy.frameworks.torch.execution.transposed_lowerings import LENGTH_FREE, LOWERINGS

MEASURED = processor.Processor(processor.AMD, "AVX2")


@pytest.fixture(autouse=True)
def measured(monkeypatch):
    """The processor of the table of rules, whatever this machine has."""
    monkeypatch.setattr(processor, "current", lambda: MEASURED)


def legal(seed, each):
    """Every legal lowering of random plans: its name, the arguments and those of the judge."""
    for number, (sizes, cut, mode, length) in enumerate(cases(seed, each)):
        spec, rule = (
            (sizes.kernel, sizes.stride, sizes.dilation),
            cp.policy("torch").transposed.evolve(padding=cut, padding_mode=mode),
        )
        plan = rule.plan(*spec, length=length)
        assert (plan.left, plan.right) == defined_cuts(cut, sizes)
        data, weight, bias = random_arrays(number, (2, IN, length), (IN, OUT // sizes.groups, sizes.kernel), (OUT,))
        for name, lowering in LOWERINGS.items():
            if not lowering.why_not(plan, IN, sizes.groups):
                bias = bias if sizes.bias else None
                yield (
                    name,
                    (data, weight, bias),
                    Work(plan, sizes.groups, None),
                    (data, weight, bias, defined_cuts(cut, sizes), sizes, mode),
                )


def run(name, arrays, work, lowerings=LOWERINGS):
    """The output of a lowering as an array."""
    data, weight, bias = (None if array is None else torch.from_numpy(array) for array in arrays)
    lowering = lowerings[name]
    packed = weight if lowering.pack is None else lowering.pack(weight, data.shape, work)
    return lowering.run(data, packed, bias, work)


def test_every_lowering_computes_the_plan():
    """Each one that is legal is within the bound of the reference; it is contiguous except for the view, and reached often."""
    reached = dict.fromkeys(LOWERINGS, 0)
    for name, arrays, work, judged in legal(seed=1, each=30):
        with torch.no_grad():
            output = run(name, arrays, work)
        judge(output.numpy(), *judged)
        assert name == "full" or output.is_contiguous()
        reached[name] += 1
    assert min(reached.values()) > 30, reached


def test_gradients_of_every_lowering():
    """All three gradients are those of the full result and a slice, in float64."""
    for name, arrays, work, _judged in legal(seed=2, each=3):
        if LOWERINGS[name].pack is not None:  # has no backward pass
            continue
        results = []
        for each in (name, "full"):
            tensors = [None if a is None else torch.from_numpy(a).double().requires_grad_() for a in arrays]
            output = LOWERINGS[each].run(*tensors, work)
            upstream = torch.linspace(-1, 1, output.numel(), dtype=torch.float64).reshape(output.shape)
            results.append(torch.autograd.grad(output, [t for t in tensors if t is not None], upstream))
        torch.testing.assert_close(*results, rtol=1e-11, atol=1e-11)


def test_the_bits_that_a_lowering_claims():
    """Only the default of a layer may claim its own bits, so that no exact layer or exact tuning changes a bit."""
    assert {name: lowering.bits_of for name, lowering in LOWERINGS.items() if lowering.bits_of} == {
        "full": "full",
        "native": "native",
    }


def _shift(plan, wrong):
    """How far the outputs of a plan are moved, around the end for what wraps."""
    moved = wrong.left - plan.left
    return moved % plan.length_out if plan.mode == "circular" else moved


FAULTS = {
    "cut on the other side": lambda plan: attrs.evolve(plan, left=plan.right, right=plan.left),
    "one sample late": lambda plan: attrs.evolve(plan, left=plan.left + 1, right=plan.right - 1),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", LOWERINGS)
def test_a_wrong_lowering_is_noticed(name, fault):
    """A lowering that gets a plan with another cut of the same shape does not pass the judge."""
    noticed = 0
    for found, arrays, work, judged in legal(seed=4, each=8):
        wrong = FAULTS[fault](work.plan)
        if (
            found != name
            or _shift(work.plan, wrong) == 0
            or work.plan.length < 3
            or LOWERINGS[name].why_not(wrong, IN, work.groups)
        ):
            continue
        with torch.no_grad(), pytest.raises(AssertionError):
            judge(run(name, arrays, work._replace(plan=wrong)).numpy(), *judged)
        noticed += 1
    assert noticed > 2 or (name == "native" and fault == "cut on the other side")  # which torch cannot compute


CASES = {  # label -> sizes, options, length, lowering of a fast layer, implementation with gradients
    "many weights, short": ((256, 128, 16, 8), {"padding": 4}, 10, "overlap_add_short", "native"),
    "many weights, short, cut": ((256, 128, 16, 8), {"padding": "causal"}, 10, "overlap_add_short", "full"),
    "few weights, short": ((32, 32, 16, 8), {"padding": 4}, 10, "native", "native"),
    "middle": ((64, 32, 8, 4), {"padding": 2}, 200, "native", "native"),
    "few outputs": ((512, 1, 16, 8), {"padding": 8}, 200, "overlap_add", "native"),
    "long, few weights": ((64, 16, 8, 4), {}, 8192, "polyphase", "native"),
    "long, stride 2": ((64, 32, 4, 2), {"padding": "causal"}, 16384, "overlap_add", "full"),
    "most weights": ((2048, 1024, 5, 4), {}, 20, "overlap_add", "native"),
    "groups": ((64, 64, 4, 2), {"padding": 1, "groups": 64}, 8192, "native", "native"),
    "circular": ((64, 32, 4, 2), {"padding": 1, "padding_mode": "circular"}, 8192, "full", "full"),
}


ON_AMD_512 = {  # the same, on an AMD EPYC with AVX-512
    "many weights, short": ((256, 128, 16, 8), {"padding": 4}, 10, "overlap_add_short"),
    "few outputs": ((512, 1, 16, 8), {"padding": 8}, 200, "overlap_add"),
    "long, few weights": ((64, 16, 8, 4), {}, 8192, "polyphase"),
    "long, few weights, cut, 1.26": ((64, 16, 8, 4), {"padding": 2}, 8192, "native"),
    "long, stride 2": ((64, 32, 4, 2), {"padding": "causal"}, 16384, "full"),
    "most weights": ((2048, 1024, 5, 4), {}, 20, "native"),
}


@pytest.mark.parametrize("label", ON_AMD_512)
def test_what_a_fast_layer_takes_with_avx512(monkeypatch, label):
    """The rules that were faster there."""
    sizes, options, length, name = ON_AMD_512[label]
    monkeypatch.setattr(processor, "current", lambda: processor.Processor(processor.AMD, "AVX512"))
    request = cp.ConvTranspose1d(*sizes, **options, backend="torch", execution="auto")._request
    assert selection.choose(request, request.plan(length), 1, gradients=False) == name


def built(label, execution="fast"):
    """One of the layers above, and data for it."""
    sizes, options, length, *_ = CASES[label]
    layer = cp.ConvTranspose1d(*sizes, **options, backend="torch", execution=execution, seed=0)
    return layer, torch.randn(1, sizes[0], length, generator=torch.Generator().manual_seed(1))


def taken(layer, data):
    """The name of the lowering that one call takes."""
    if type(layer) is nn.ConvTranspose1d:
        return "native"
    layer(data)
    return list(layer._ways.values())[-1][0].__name__


@pytest.mark.parametrize("label", CASES)
def test_what_a_fast_layer_takes(label):
    """The measured rule for each kind of layer, torch's own way with gradients, and values within rounding of the exact layer."""
    (layer, data), (exact, _) = built(label), built(label, "exact")
    *_, plain, training = CASES[label]
    with torch.no_grad():
        assert taken(layer, data) == plain
        torch.testing.assert_close(layer(data), exact(data), rtol=1e-4, atol=1e-4)
    if label != "most weights":  # the same, but with more to compute
        assert taken(layer, data) == training
    assert isinstance(layer, nn.ConvTranspose1d)


def test_every_rule_decides_somewhere(monkeypatch):
    """No rule is dead, and each says what was measured."""
    decided = set()
    for label in CASES:
        layer, data = built(label)
        if hasattr(layer, "_request"):
            rule = selection.deciding(layer._request, layer._request.plan(data.shape[-1]), 1, gradients=False)
            decided.add(None if rule is None else rule.reason)
    monkeypatch.setattr(processor, "current", lambda: processor.Processor(processor.AMD, "AVX512"))
    for sizes, options, length, _name in ON_AMD_512.values():
        request = cp.ConvTranspose1d(*sizes, **options, backend="torch", execution="auto")._request
        rule = selection.deciding(request, request.plan(length), 1, gradients=False)
        decided.add(None if rule is None else rule.reason)
    assert decided >= {rule.reason for rule in transposed_rules.FAST}
    assert all(rule.reason.endswith(".") and not rule.training for rule in transposed_rules.FAST)


@pytest.mark.parametrize("unlike", ["float64", "bfloat16", "autocast", "unbatched", "items", "another processor"])
def test_what_was_not_measured_takes_the_default(unlike, monkeypatch):
    """Another dtype, autocast, an unbatched input, several items, another processor: torch's own way."""
    layer, data = built("many weights, short, cut")
    if unlike == "another processor":
        for kind in (("", "AVX2"), (processor.INTEL, "AVX2"), (processor.INTEL, "AVX512")):
            monkeypatch.setattr(processor, "current", lambda kind=kind: processor.Processor(*kind))
            assert selection.choose(layer._request, layer._request.plan(10), 1, gradients=False) == "full"
            assert type(built("many weights, short")[0]) is nn.ConvTranspose1d
        return
    if unlike in ("float64", "bfloat16"):
        layer, data = layer.to(getattr(torch, unlike)), data.to(getattr(torch, unlike))
    data = {"unbatched": data[0], "items": data.expand(4, -1, -1)}.get(unlike, data)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=unlike == "autocast"):
        assert taken(layer, data) == "full"


def test_a_fast_layer_is_copied_and_scripted():
    """A copy or a pickle starts without cached ways and computes the same; TorchScript gets torch's own layer."""
    layer, data = built("many weights, short")
    with torch.no_grad():
        expected = layer(data)
        for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            assert not twin._ways
            assert torch.equal(twin(data), expected)
        scripted = torch.jit.script(nn.Sequential(layer))
        torch.testing.assert_close(scripted(data), expected, rtol=1e-4, atol=1e-4)


# -- tune -----------------------------------------------------------------------------------------------------------------


def model():
    """A decoder of torch's own layers and one that cuts."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.ConvTranspose1d(6, 8, 4, 2, 1),
        nn.Conv1d(8, 8, 3, padding=1),
        cp.ConvTranspose1d(8, 4, 4, 2, "causal", backend="torch"),
        nn.utils.parametrizations.weight_norm(nn.ConvTranspose1d(4, 2, 3)),
    ).eval()


def test_tune_replaces_and_untune_restores(monkeypatch):
    """The fastest implementation is installed in both classes, in a copy and a pickle too; output_size still works; untune restores."""
    clock(monkeypatch)(overlap_add=0.2, overlap_add_short=0.5)
    network, data = model(), torch.randn(1, 6, 20)
    names, before = list(network.state_dict()), network(data)
    report = tune(network, data)
    assert [row.lowering for row in report.layers] == ["overlap_add", "", "overlap_add", "overlap_add"]
    assert list(network.state_dict()) == names
    for tuned in (network, copy.deepcopy(network), pickle.loads(pickle.dumps(network[:3]))):
        assert "forward" in vars(tuned[0])
        assert "forward" in vars(tuned[2])
    torch.testing.assert_close(network(data), before)
    torch.testing.assert_close(torch.compile(network, backend="eager", fullgraph=True)(data), before)
    assert network[0](data, output_size=[41]).shape[-1] == 41
    assert cp.capture(network[0]).spec.transposed
    assert cp.untune(network) == ("0", "2", "3")
    assert torch.equal(network(data), before)
    assert not any("forward" in vars(layer) for layer in network)


def test_tune_rejects_a_wrong_implementation(monkeypatch):
    """One that is fast and wrong by more than rounding is not installed."""
    clock(monkeypatch)(overlap_add=0.2)
    wrong = LOWERINGS["overlap_add"]._replace(run=lambda *a: LOWERINGS["full"].run(*a).contiguous() + 1e-4)
    monkeypatch.setitem(LOWERINGS, "overlap_add", wrong)
    report = tune(model(), torch.randn(1, 6, 20))
    assert not any(row.lowering for row in report.layers)


def test_tune_exact_changes_no_bit(monkeypatch):
    """With execution='exact' no implementation has the layer's own bits but its own."""
    clock(monkeypatch)(overlap_add=0.1, polyphase=0.1, cut_inside=0.1, native=0.1, full=0.1)
    network, data = model(), torch.randn(1, 6, 20)
    before = network(data)
    report = tune(network, data, execution="exact")
    assert not any(row.lowering for row in report.layers if "Transpose" in row.class_name)
    assert torch.equal(network(data), before)


def test_length_free_lowerings_hold_for_every_length():
    """A tuned layer uses them under torch.compile with a plan of another length; their outputs then do not depend on it."""
    for name, (data, *others), work, _judged in legal(seed=6, each=3):
        if name in LENGTH_FREE and work.plan.length > 2:
            longer = np.concatenate([data, data], -1)
            policy = cp.policy("torch").transposed.evolve(padding=(work.plan.left, work.plan.right), padding_mode=work.plan.mode)
            plan = policy.plan(work.plan.kernel_size, work.plan.stride, work.plan.dilation, length=longer.shape[-1])
            with torch.no_grad():
                assert torch.equal(run(name, (longer, *others), work), run(name, (longer, *others), work._replace(plan=plan)))

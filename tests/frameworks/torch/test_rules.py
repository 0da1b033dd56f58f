"""The rules: which lowering a layer takes, that exact layers keep every bit, and that what was not measured takes torch's own way."""

from __future__ import annotations

import copy
import pickle
import warnings

import pytest
import torch
from helpers.amd_rules import ON_AMD, ONLY
from helpers.differential import random_cases
from torch import nn

import convpolicy as cp
from convpolicy import reference
from convpolicy.frameworks.torch.execution import processor, selection
from convpolicy.frameworks.torch.execution import ruled as torch_ruled
from convpolicy.frameworks.torch.execution import rules as torch_rules
from convpolicy.frameworks.torch.execution.lowerings import LOWERINGS
from convpolicy.frameworks.torch.execution.ruled import RuledConv1d

CASES = {  # label -> arguments, input (batch, length), lowering of a fast layer without gradients, and with them
    "pointwise": ((64, 64, 1), {}, (1, 600), "matmul", "matmul"),
    "long pointwise": ((512, 512, 1), {}, (2, 601), "matmul", "matmul"),
    "large pointwise, several odd items": ((1024, 1024, 1), {}, (2, 50), "native", "native"),
    "large pointwise, several items": ((1024, 1024, 1), {}, (2, 48), "matmul", "native"),
    "depthwise 31": ((64, 64, 31), {"padding": 15, "groups": 64}, (1, 200), "pad_first", "pad_first"),
    "depthwise 3, dilation 9": ((64, 64, 3), {"padding": 9, "dilation": 9, "groups": 64}, (1, 200), "pad_first", "native"),
    "depthwise 3": ((64, 64, 3), {"padding": 1, "groups": 64}, (1, 200), "native", "native"),
    "dilated and small": ((16, 16, 3), {"padding": 3, "dilation": 3}, (1, 200), "windows", "native"),
    "dilated and long": ((16, 16, 3), {"padding": 3, "dilation": 3}, (1, 2000), "native", "native"),
    "many small items": ((16, 16, 3), {"padding": 1}, (4, 64), "windows", "native"),
    "grouped 64": ((64, 64, 64), {"padding": 32, "groups": 4}, (1, 600), "channels_last", "channels_last"),
    "grouped 64, short": ((64, 64, 64), {"padding": 32, "groups": 4}, (1, 100), "native", "native"),
    "grouped 64, stride 2": ((64, 64, 64), {"padding": 32, "groups": 4, "stride": 2}, (1, 600), "channels_last", "native"),
    "grouped 2": ((64, 64, 2), {"groups": 4}, (1, 100), "windows", "native"),
    "stride 8, many weights": ((256, 256, 8), {"stride": 8}, (1, 100), "windows", "native"),
    "large pointwise": ((1024, 1024, 1), {}, (1, 50), "matmul", "native"),
    "dense": ((64, 64, 5), {"padding": 2}, (1, 600), "native", "native"),
    "unequal zeros": ((64, 64, 4), {"padding": "same_upper", "stride": 2}, (1, 601), "overpad", "overpad"),
    "equal at this length": ((64, 64, 4), {"padding": "same_upper", "stride": 2}, (1, 600), "native", "native"),
    "unequal zeros, large output": ((8, 64, 4), {"padding": (2, 1)}, (1, 600), "pad_first", "pad_first"),
    "unequal zeros, long": ((8, 16, 4), {"padding": (2, 1)}, (1, 66000), "concatenate", "pad_first"),
    "long reflection": ((64, 8, 7), {"padding": 3, "padding_mode": "reflect"}, (1, 8000), "edges", "pad_first"),
    "wide reflection": ((512, 8, 3), {"padding": 1, "padding_mode": "reflect"}, (1, 600), "concatenate", "pad_first"),
    "small reflection": ((8, 8, 3), {"padding": 1, "padding_mode": "reflect"}, (1, 60), "pad_first", "pad_first"),
}
cases = pytest.mark.parametrize("label", CASES)
MEASURED = processor.Processor(processor.INTEL, "AVX512")


@pytest.fixture(autouse=True)
def measured(monkeypatch):
    """The processor of the table of rules, whatever this machine has."""
    monkeypatch.setattr(processor, "current", lambda: MEASURED)


def taken(layer, data):
    """The name of the lowering that one call takes."""
    if type(layer) is nn.Conv1d:
        return "native"
    layer(data)
    return list(layer._ways.values())[-1][0].__name__


def built(label, execution):
    """One of the layers above, and data for it."""
    sizes, options, (batch, length), *_ = CASES[label]
    layer = cp.Conv1d(*sizes, **options, backend="torch", execution=execution, seed=0)
    return layer, torch.randn(batch, sizes[0], length, generator=torch.Generator().manual_seed(1))


@cases
def test_what_a_fast_layer_takes(label):
    """The measured rule for each kind of layer; with gradients only what was measured with them."""
    layer, data = built(label, "fast")
    *_, plain, training = CASES[label]
    with torch.no_grad():
        assert taken(layer, data) == plain
    assert taken(layer, data) == training
    assert isinstance(layer, nn.Conv1d)


@cases
def test_fast_is_within_rounding_and_exact_is_exact(label):
    """A fast layer differs from torch's own by the rounding of two orders of summation; an exact one in no bit."""
    (exact, data), (fast, _) = built(label, "exact"), built(label, "fast")
    (_, _, kernel), options = CASES[label][:2]
    left_right = options.get("padding", 0)
    if left_right == "same_upper":
        left_right = exact._request.plan(data.shape[-1])
        left_right = left_right.left, left_right.right
    pads = left_right if isinstance(left_right, tuple) else (left_right, left_right)
    mode = options.get("padding_mode", "zeros")
    weight, bias, stride, dilation, groups = exact.weight, exact.bias, exact.stride, exact.dilation, exact.groups
    if pads[0] == pads[1] and mode == "zeros" and left_right != "same_upper" and "same_upper" not in options.values():
        native = nn.functional.conv1d(data, weight, bias, stride, pads[0], dilation, groups)
    else:
        padded = nn.functional.pad(data, pads, "constant" if mode == "zeros" else mode)
        native = nn.functional.conv1d(padded, weight, bias, stride, 0, dilation, groups)
    with torch.no_grad():
        assert torch.equal(exact(data), native)
        padded = nn.functional.pad(data.double().abs(), pads, "constant" if mode == "zeros" else mode)
        magnitude = nn.functional.conv1d(padded, weight.double().abs(), bias.double().abs(), stride, 0, dilation, groups)
        bound = 2 * reference.tolerance("float32", kernel * data.shape[1] // groups + 1, magnitude)
        assert ((fast(data).double() - native.double()).abs() <= bound).all()
    for layer in (exact, fast):
        assert torch.equal(layer(data[0]), layer(data[:1])[0]) or layer is fast  # unbatched
        torch.testing.assert_close(layer(data[0]), native[0])


def test_exact_takes_no_other_order_of_summation():
    """Over every rule × mode an exact layer's lowering has the bits of the default, with gradients and without."""
    for number, case in enumerate(random_cases(1, seed=3)):
        request = getattr(case.layer("torch", "torch", number), "_request", None)
        if request is None:
            continue
        plan = request.plan(case.length)
        for batch in (1, 8, 10**6):  # far into every size that a rule asks for
            name = selection.choose(request, plan, batch, gradients=bool(number % 2))
            assert LOWERINGS[name].bits_of == selection.default(request)


@pytest.mark.parametrize("unlike", ["bfloat16", "float64", "autocast", "unbatched", "empty", "traced", "another processor"])
def test_what_was_not_measured_takes_the_default(unlike, monkeypatch):
    """Another dtype, autocast, one item without a batch, none, another processor: torch's own way; a trace holds for any length."""
    layer, data = built("depthwise 31", "fast")
    if unlike == "another processor":
        assert selection.applies(layer._request)
        for maker, instructions in (("", "SVE256"), ("", "AVX512"), (processor.INTEL, "NO AVX")):
            monkeypatch.setattr(processor, "current", lambda this=processor.Processor(maker, instructions): this)
            assert not selection.applies(layer._request)
            assert selection.choose(layer._request, layer._request.plan(200), 1, gradients=False) == "native"
            assert type(built("depthwise 31", "fast")[0]) is nn.Conv1d
        return
    with torch.no_grad():
        layer(data)
        if unlike in ("bfloat16", "float64"):
            dtype = getattr(torch, unlike)
            layer, data = layer.to(dtype), data.to(dtype)
        elif unlike == "unbatched":
            data = data[0]
        elif unlike == "empty":
            data = data[:0]
        if unlike == "traced":
            traced = torch.jit.trace(layer, data, check_trace=False)
            longer = torch.randn(2, 64, 333)
            torch.testing.assert_close(traced(longer), nn.functional.conv1d(longer, layer.weight, layer.bias, 1, 15, 1, 64))
        else:
            with torch.autocast("cpu", torch.bfloat16, enabled=unlike == "autocast"):
                assert taken(layer, data) == "native"


@pytest.mark.parametrize(
    ("label", "instructions"),
    [(label, instructions) for instructions, cases in ONLY.items() for label in ON_AMD | cases],
)
def test_what_a_fast_layer_takes_on_amd(monkeypatch, label, instructions):
    """The rules that were faster there; what was slower than torch's own way takes torch's own way."""
    sizes, options, length, threads, name = (ON_AMD | ONLY[instructions])[label]
    monkeypatch.setattr(processor, "current", lambda: processor.Processor(processor.AMD, instructions))
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    layer = cp.Conv1d(*sizes, **options, backend="torch", execution="fast")
    with torch.no_grad():
        assert taken(layer, torch.randn(1, sizes[0], length)) == name


@pytest.mark.parametrize(
    ("text", "maker"),
    [
        ("processor : 0\nvendor_id : GenuineIntel\n", processor.INTEL),
        ("vendor_id\t: AuthenticAMD\n" * 900, processor.AMD),
        ("CPU implementer : 0x41\n", ""),
        (None, processor.INTEL),
    ],
)
def test_the_maker_of_the_processor(monkeypatch, tmp_path, text, maker):
    """Read from the first core of /proc/cpuinfo, or from what Windows says; empty for any other."""
    monkeypatch.undo()
    file = tmp_path / "cpuinfo"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(processor, "CPU_INFO", file)
    monkeypatch.setattr("platform.processor", lambda: "Intel64 Family 6 Model 85 Stepping 7, GenuineIntel")
    processor.current.cache_clear()
    try:
        assert processor.current() == (maker, torch.backends.cpu.get_cpu_capability())
    finally:
        processor.current.cache_clear()


def test_ways_are_remembered_for_so_many_shapes_and_not_copied(monkeypatch):
    """A stream of lengths does not grow a layer; a copy or a pickle starts anew and computes the same."""
    monkeypatch.setattr(torch_ruled, "MOST_WAYS", 5)
    layer, data = built("depthwise 31", "fast")
    with torch.no_grad():
        for length in range(100, 112):
            layer(data[..., :length])
        assert 0 < len(layer._ways) <= 5
        for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            assert isinstance(other, RuledConv1d)
            assert not other._ways
            assert torch.equal(other(data), layer(data))


@pytest.mark.parametrize("label", ["pointwise", "depthwise 31", "dilated and small", "wide reflection", "equal at this length"])
def test_compiled(label):
    """Under torch.compile, whole graphs, also with a symbolic length: the same function within float32 rounding."""
    torch._dynamo.reset()  # what other tests compiled counts against the limit of this one
    layer, data = built(label, "fast")
    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend="aot_eager")
    with torch.no_grad():
        for cut in (0, 2, 4):
            torch.testing.assert_close(compiled(data[..., cut:]), layer(data[..., cut:]))
    data.requires_grad_()
    compiled(data).sum().backward()
    expected = data.grad.clone()
    data.grad = None
    layer(data).sum().backward()
    torch.testing.assert_close(data.grad, expected)


@pytest.mark.parametrize("label", ["pointwise", "depthwise 31", "dilated and small", "grouped 64", "small reflection"])
@pytest.mark.parametrize("execution", ["exact", "fast"])
def test_what_torch_does_to_its_own_layer_works_here(label, execution):
    """fx, TorchScript, vmap over inputs and over weights, and jvp give what torch's own layer gives."""
    layer, data = built(label, execution)
    native = torch.nn.Conv1d(*CASES[label][0], **CASES[label][1])
    native.load_state_dict(layer.state_dict())
    items = torch.stack([data, data.flip(0), -data])
    weights = torch.stack([native.weight, 2 * native.weight]).detach()
    for name, way in {
        "fx": lambda each: torch.fx.symbolic_trace(nn.Sequential(each))(data),
        "script": lambda each: torch.jit.script(nn.Sequential(each))(data),
        "vmap": lambda each: torch.func.vmap(each)(items),
        "vmap of grad": lambda each: torch.func.vmap(torch.func.grad(lambda x: each(x).square().sum()))(items),
        "weights": lambda each: torch.func.vmap(
            lambda w: torch.func.functional_call(each, {"weight": w, "bias": each.bias}, (data,))
        )(weights),
        "jvp": lambda each: torch.func.jvp(each, (data,), (data,))[1],
    }.items():
        for gradients in (False, True):
            with torch.set_grad_enabled(gradients), warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript's own
                torch.testing.assert_close(way(layer), way(native), rtol=1e-4, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


def test_every_rule_decides_somewhere(monkeypatch):
    """No rule is dead: each one decides for some layer above, and says what was measured."""
    decided = set()
    for execution in torch_rules.RULES:
        for label in CASES:
            layer, data = built(label, execution)
            if isinstance(layer, RuledConv1d):
                plan = layer._request.plan(data.shape[-1])
                for gradients in (False, True):
                    rule = selection.deciding(layer._request, plan, len(data), gradients=gradients)
                    decided.add(None if rule is None else rule.reason)
    for instructions, amd_cases in ONLY.items():
        monkeypatch.setattr(processor, "current", lambda this=processor.Processor(processor.AMD, instructions): this)
        for sizes, options, length, threads, name in (ON_AMD | amd_cases).values():
            monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
            layer = cp.Conv1d(*sizes, **options, backend="torch", execution="fast")
            if isinstance(layer, RuledConv1d):
                rule = selection.deciding(layer._request, layer._request.plan(length), 1, gradients=False)
                decided.add(None if rule is None else rule.reason)
                assert name == (selection.default(layer._request) if rule is None else rule.lowering)
    assert decided >= {rule.reason for rule in (*torch_rules.FAST, *torch_rules.EXACT)}
    assert all(rule.reason.endswith(".") for rule in torch_rules.RULES["fast"])

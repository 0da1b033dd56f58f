"""The torch backend keeps the conventions of a ``torch.nn.Module``, and its gradients are right."""

from __future__ import annotations

import copy
import io
import pickle
import shutil
import weakref

import pytest
import torch
from torch import nn

import convpolicy as cp

# label -> arguments beyond (4, 6, 3): native, native with another init, padded by a plan, padded by the length, gathered
LAYERS = {
    "native": {},
    "own init": {"weight_init": "xavier_normal"},
    "unequal pads": {"padding": (3, 1), "padding_mode": "reflect"},
    "by length": {"policy": "mindspore", "stride": 2, "bias": True},
    "symmetric": {"padding": (2, 1), "padding_mode": "symmetric"},
    "gathered": {"padding": (9, 7), "padding_mode": cp.Choice("reflect", overflow="periodic")},
    "constant": {"padding": "causal", "padding_mode": cp.Choice("constant", value=1.5), "dilation": 2},
    "groups": {"padding": "same_lower", "stride": 3, "groups": 2},
    "odd": {"padding": (3, 1), "padding_mode": "odd"},
    "extrapolated by length": {"policy": "mindspore", "stride": 2, "bias": True, "padding_mode": "extrapolate"},
    "ramps": {"padding": (2, 3), "padding_mode": cp.Choice("linear_ramp", left=1.5, right=[1.0, -2.0, 0.0, 3.0])},
    "mirrored and zeros": {"padding": (3, 1), "padding_mode": ("reflect", "zeros")},
    "per channel": {"padding": "causal", "padding_mode": cp.Choice("constant", value=[1.0, -2.0, 0.0, 3.0])},
}
layers = pytest.mark.parametrize("options", LAYERS.values(), ids=LAYERS)


def built(options, **more):
    """A layer of 4 → 6 channels, kernel 3."""
    return cp.Conv1d(4, 6, 3, backend="torch", **options, **more)


def random(*shape, dtype=torch.float32):
    """Random data, the same at every call."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


def composed(layer, data):
    """The same function from the plan, element by element, and a plain convolution: what the layer should compute."""
    request = layer._request if hasattr(layer, "_request") else None
    if request is None:
        return nn.functional.conv1d(data, layer.weight, layer.bias, layer.stride, layer.padding, layer.dilation, layer.groups)
    spec = request.spec
    plan = request.policy.plan(spec.kernel_size, spec.stride, spec.dilation, length=data.shape[-1])
    pads = []
    for side in plan.sides:
        constant = data.new_tensor(side.value).reshape(-1, 1).expand(*data.shape[:-1], 1)
        samples = [[data[..., s : s + 1] if s >= 0 else constant for s in term.sources] for term in side.terms]
        shares = [torch.tensor(term.coefficient, dtype=torch.float64).expand(side.width).tolist() for term in side.terms]
        pads.append([sum(shares[t][n] * samples[t][n] for t in range(len(shares))) for n in range(side.width)])
    padded = torch.cat([*pads[0], data, *pads[1]], -1)
    return nn.functional.conv1d(padded, layer.weight, layer.bias, spec.stride, 0, spec.dilation, spec.groups)


def test_the_native_layer_itself_where_it_can_be():
    """The class is torch.nn.Conv1d for equal pads, its own 'same' and any initial values; a subclass elsewhere."""
    native = (
        {},
        {"padding": 2},
        {"padding": "same"},
        {"policy": "mindspore"},
        {"padding": 1, "padding_mode": "circular"},
        {"padding": 1, "padding_mode": "reflect"},
        {"padding": 1, "padding_mode": "replicate"},
        {"weight_init": "zeros"},
        {"policy": "flax"},
        {"policy": "keras", "padding": "valid"},
    )
    for options in native:
        assert type(built(options)) is nn.Conv1d, options
        assert type(built(options, seed=3)) is nn.Conv1d, options
    for options in ({"padding": (1, 2)}, {"policy": "mindspore", "stride": 2}, {"padding": 1, "execution": "fast", "groups": 2}):
        layer = built(options)
        assert isinstance(layer, nn.Conv1d), options
    assert type(built({"padding": (1, 2)})) is not nn.Conv1d


def test_initial_values_of_a_plain_layer():
    """A torch.nn.Conv1d with a policy's initial values draws them again, in copies too, and nobody else's; it is freed at once."""
    layer = built({"weight_init": cp.Choice("constant", value=2.0), "policy": "keras"})
    assert type(layer) is nn.Conv1d
    assert layer.policy.weight_init == cp.Choice("constant", value=2.0)
    twins = copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), copy.deepcopy(nn.Sequential(layer))[0]
    for twin in (*twins, layer):
        with torch.no_grad():
            for each in (*twins, layer):
                each.weight.zero_()
        twin.reset_parameters()
        assert twin.weight.eq(2).all()
        assert sum(each.weight.any().item() for each in (*twins, layer)) == 1
        assert cp.capture(twin).policy == layer.policy
    dead = weakref.ref(layer)
    shallow = copy.copy(layer)
    del layer, each, twin
    assert dead() is None
    with pytest.raises(cp.ConvPolicyError, match=r"use copy\.deepcopy"):
        copy.deepcopy(shallow).reset_parameters()


@layers
def test_the_state_is_weight_and_bias(options):
    """State-dict keys are exactly weight and bias, in a plain layer's shapes, and go over to and from a plain layer."""
    layer = built(options)
    plain = nn.Conv1d(4, 6, 3, groups=options.get("groups", 1))
    assert list(layer.state_dict()) == list(plain.state_dict()) == ["weight", "bias"]
    layer.load_state_dict(plain.state_dict())
    assert torch.equal(layer.weight, plain.weight)
    plain.load_state_dict(built(options, seed=1).state_dict())
    stored = io.BytesIO()
    torch.save(layer.state_dict(), stored)
    stored.seek(0)
    assert torch.equal(torch.load(stored, weights_only=True)["weight"], layer.weight)


@layers
def test_copies_compute_the_same(options):
    """deepcopy, pickle and a copy in a Sequential give the same bits, and are apart: writing one leaves the other."""
    layer, data = built(options), random(2, 4, 17)
    expected = layer(data)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), copy.deepcopy(nn.Sequential(layer, nn.ReLU()))[0]):
        assert torch.equal(twin(data), expected)
        assert type(twin) is type(layer)
        with torch.no_grad():
            twin.weight.zero_()
        assert torch.equal(layer(data), expected)


@layers
def test_it_computes_its_plan(options):
    """Output and all three gradients are those of pads laid out one by one before a plain convolution, to the bit or rounding."""
    layer = built(options, dtype="float64")
    results = []
    for function in (layer, lambda data: composed(layer, data)):
        data = random(2, 4, 19, dtype=torch.float64).requires_grad_()
        layer.zero_grad()
        output = function(data)
        output.square().sum().backward()
        results.append([output.detach(), data.grad, layer.weight.grad.clone(), layer.bias.grad.clone()])
    for ours, theirs in zip(*results):
        torch.testing.assert_close(ours, theirs, rtol=1e-13, atol=1e-12)


@layers
def test_gradients_are_those_of_finite_differences(options):
    """torch.autograd.gradcheck in float64, for the input, the weight and the bias."""
    layer = built(options, dtype="float64")

    def function(data, weight, bias):
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, data)

    inputs = random(1, 4, 14, dtype=torch.float64), layer.weight.detach(), layer.bias.detach()
    assert torch.autograd.gradcheck(function, [value.clone().requires_grad_() for value in inputs])


@layers
def test_reset_parameters_draws_again(options):
    """reset_parameters draws from torch's global state: the same seed before it gives the same numbers, without one, others."""
    layer = built(options, seed=5)
    seen = []
    for seed in (1, 1, None):
        if seed is not None:
            torch.manual_seed(seed)
        layer.reset_parameters()
        seen.append(layer.weight.detach().clone())
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])
    torch.manual_seed(1)
    assert torch.equal(built(options).weight, seen[0])


@layers
def test_meta_then_to_empty(options):
    """On the meta device nothing is drawn; after to_empty and reset_parameters the layer is as if built there."""
    torch.manual_seed(0)
    state = torch.get_rng_state()
    layer = built(options, device="meta")
    assert torch.equal(torch.get_rng_state(), state)
    assert layer.weight.is_meta
    layer = layer.to_empty(device="cpu")
    layer.reset_parameters()
    torch.manual_seed(0)
    assert torch.equal(layer.weight, built(options).weight)
    with pytest.raises(cp.ConvPolicyError, match="seed must be None on device 'meta'"):
        built(options, device="meta", seed=0)


@pytest.mark.grid(every=2)
@layers
def test_compiled_without_a_break(options):
    """torch.compile(fullgraph=True): the same values and the same gradients for several lengths."""
    layer = built(options)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for length in (17, 18, 30):
        results = []
        for function in (layer, compiled):
            layer.zero_grad()
            data = random(2, 4, length).requires_grad_()
            output = function(data)
            output.square().sum().backward()
            results.append([output.detach(), data.grad, layer.weight.grad.clone(), layer.bias.grad.clone()])
        for ours, theirs in zip(*results):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)
    torch.compiler.reset()


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch's default compiler needs g++ on the machine")
@pytest.mark.parametrize("label", ["unequal pads", "by length", "symmetric"])
def test_compiled_to_machine_code(label):
    """torch.compile with its default compiler: the same values for several lengths."""
    layer = built(LAYERS[label])
    compiled = torch.compile(layer, fullgraph=True)
    for length in (17, 18, 30):
        data = random(2, 4, length)
        torch.testing.assert_close(compiled(data), layer(data), rtol=1e-5, atol=1e-5)
    torch.compiler.reset()


@layers
def test_narrow_dtypes_and_autocast(options):
    """bfloat16 and float16 layers give their dtype; under autocast a float32 layer gives bfloat16, close to the float32 output."""
    data = random(2, 4, 17)
    wide = built(options, seed=0)
    for dtype in (torch.bfloat16, torch.float16):
        layer = built(options, dtype=dtype)
        assert layer(data.to(dtype)).dtype == layer.weight.dtype == dtype
    with torch.autocast("cpu", torch.bfloat16):
        narrow = wide(data)
    assert narrow.dtype == torch.bfloat16
    terms = wide.weight[0].numel() + 1
    assert (narrow.float() - wide(data)).abs().max() <= 2.0**-8 * (terms + 2) * (wide.weight.abs().sum((1, 2)).max() * 4 + 1)


@layers
def test_batches(options):
    """Unbatched input is an item, an empty batch stays empty, eval and train are the same, vmap maps over a further axis."""
    layer, data = built(options), random(3, 4, 17)
    whole = layer(data)
    torch.testing.assert_close(layer(data[1]), whole[1], rtol=1e-5, atol=1e-6)
    assert layer(data[:0]).shape == (0, *whole.shape[1:])
    assert torch.equal(layer.eval()(data), layer.train()(data))
    further = random(2, 3, 4, 17)
    torch.testing.assert_close(torch.vmap(layer)(further)[1], layer(further[1]), rtol=1e-5, atol=1e-6)


def test_weight_norm_and_spectral_norm_apply():
    """torch's own parametrizations work on a padded layer: the weight is what they make of it, and training reaches them."""
    layer = nn.utils.parametrizations.weight_norm(built(LAYERS["unequal pads"]), dim=2)
    data = random(2, 4, 17)
    expected = composed(layer, data)
    torch.testing.assert_close(layer(data), expected, rtol=1e-5, atol=1e-6)
    layer(data).sum().backward()
    assert layer.parametrizations.weight.original0.grad.abs().sum() > 0


def test_repr_says_what_it_does():
    """Rule, mode and policy stand in the repr; a plain layer's is torch's own."""
    assert repr(built(LAYERS["unequal pads"])) == (
        "PaddedConv1d(4, 6, kernel_size=(3,), stride=(1,), padding=explicit(left=3, right=1), dilation=(1,), groups=1, bias=True, "
        "padding_mode=reflect, policy='torch')"
    )
    assert repr(built({"weight_init": "zeros"})) == repr(nn.Conv1d(4, 6, 3))
    assert repr(built({})) == repr(nn.Conv1d(4, 6, 3))


def test_too_short_or_misshapen_input():
    """A padded layer refuses, in one sentence, what no window fits into and what has other axes or channels."""
    layer = built({"padding": (1, 0)})
    for shape, says in (
        ((1, 4, 1), "input of length 1 is too short"),
        ((1, 3, 9), "input must have shape"),
        ((4,), "input must"),
    ):
        with pytest.raises(ValueError, match=says):
            layer(random(*shape))
    assert layer(random(1, 4, 2)).shape == (1, 6, 1)

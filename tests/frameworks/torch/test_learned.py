"""A learned constant of a torch layer: the parameter ``padding_value``, in training, in files, and in torch's tools."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap

import convpolicy as cp

Choice = cp.Choice
VALUES = {"a number": 0.5, "per channel": [0.5, -1.0, 2.0, 0.0]}
both = pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
executions = pytest.mark.parametrize("execution", ["exact", "fast"])


def built(value, **more):
    """A layer of 4 → 6 channels, kernel 3, whose constant is learned."""
    mode = Choice("constant", value=value, learned=True)
    return cp.Conv1d(4, 6, 3, backend="torch", **{"padding": (2, 1), "padding_mode": mode, **more})


def random(*shape, dtype=torch.float32):
    """Random data, (2, 4, 9) unless said, the same at every call."""
    return torch.randn(shape or (2, 4, 9), generator=torch.Generator().manual_seed(1), dtype=dtype)


def composed(layer, data, value=None):
    """What the layer should compute: the constant laid out beside the input, and a plain convolution."""
    value = (layer.padding_value if value is None else value).reshape(-1, 1)
    left, right = (value.expand(*data.shape[:-1], count) for count in (2, 1))
    return nn.functional.conv1d(torch.cat([left, data, right], -1), layer.weight, layer.bias)


@both
@executions
def test_the_state_has_one_key_more(value, execution):
    """weight, bias and padding_value, in the layer's dtype; a layer whose constant is not learned has weight and bias."""
    layer = built(value, execution=execution, dtype="float64")
    assert list(layer.state_dict()) == ["weight", "bias", "padding_value"]
    assert torch.equal(layer.padding_value, torch.tensor(value, dtype=torch.float64))
    fixed = built(value, padding_mode=Choice("constant", value=value), execution=execution)
    assert list(fixed.state_dict()) == [name for name, _value in fixed.named_parameters()] == ["weight", "bias"]
    assert not hasattr(fixed, "padding_value")


@both
@executions
def test_training_moves_it(value, execution):
    """A step goes against the gradient of the same function laid out by hand, and the next output is of the new constant."""
    layer, data = built(value, execution=execution), random()
    layer(data).square().mean().backward()
    (expected,) = torch.autograd.grad(composed(layer, data).square().mean(), layer.padding_value)
    torch.testing.assert_close(layer.padding_value.grad, expected, rtol=1e-5, atol=1e-6)
    before = layer.padding_value.detach().clone()
    torch.optim.SGD(layer.parameters(), 0.5).step()
    torch.testing.assert_close(layer.padding_value.detach(), before - 0.5 * expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(layer(data), composed(layer, data), rtol=1e-5, atol=1e-6)


@both
def test_gradients_twice(value):
    """torch.autograd.gradcheck and gradgradcheck in float64, for the input, the weight and the constant."""
    layer = built(value, dtype="float64")

    def function(data, weight, constant):
        return functional_call(layer, {"weight": weight, "padding_value": constant}, data)

    inputs = random(1, 4, 5, dtype=torch.float64), layer.weight.detach(), layer.padding_value.detach()
    inputs = [each.clone().requires_grad_() for each in inputs]
    assert torch.autograd.gradcheck(function, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)


@both
def test_gradients_per_sample(value):
    """vmap of grad gives each item's own gradient to the constant."""
    layer, data = built(value), random()
    state = {name: parameter.detach() for name, parameter in layer.named_parameters()}
    found = vmap(grad(lambda p, x: functional_call(layer, p, (x[None],)).square().sum()), in_dims=(None, 0))(state, data)
    for number, item in enumerate(data):
        layer.zero_grad()
        layer(item[None]).square().sum().backward()
        torch.testing.assert_close(found["padding_value"][number], layer.padding_value.grad, rtol=1e-4, atol=1e-4)


@both
@executions
def test_copies_and_files(value, execution):
    """deepcopy, pickle and a state dict of a file have its value; they are apart, and loading is strict."""
    layer, data, file = built(value, execution=execution), random(), io.BytesIO()
    with torch.no_grad():
        layer.padding_value.add_(1)
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other = built(value, execution=execution)
    other.load_state_dict(torch.load(file, weights_only=True), strict=True)
    expected = layer(data)
    twins = other, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))
    for twin in twins:
        assert torch.equal(twin(data), expected)
        with torch.no_grad():
            twin.padding_value.zero_()
        assert torch.equal(layer(data), expected)
    with pytest.raises(RuntimeError, match=r'Missing key.* "padding_value"'):
        other.load_state_dict(nn.Conv1d(4, 6, 3).state_dict())
    with pytest.raises(RuntimeError, match=r'Unexpected key.* "padding_value"'):
        nn.Conv1d(4, 6, 3).load_state_dict(layer.state_dict())


@both
def test_reset_meta_and_dtypes(value):
    """reset_parameters sets it to the policy's start value and draws no number for it; to_empty, half and double keep it a parameter."""
    start = torch.tensor(value)
    layer = built(value, device="meta")
    assert layer.padding_value.is_meta
    layer = layer.to_empty(device="cpu")
    torch.manual_seed(3)
    layer.reset_parameters()
    assert torch.equal(layer.padding_value, start)
    torch.manual_seed(3)
    assert torch.equal(layer.weight, built(value, padding_mode="zeros").weight)
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        twin = copy.deepcopy(layer).to(dtype)
        assert twin.padding_value.dtype == twin(random(dtype=dtype)).dtype == dtype
    with torch.no_grad():
        layer.padding_value.add_(1)
    layer.reset_parameters()
    assert torch.equal(layer.padding_value, start)


def test_beside_weight_normalisation():
    """The keys are weight_norm's own and padding_value; a training step reaches all of them, capture keeps the value."""
    layer, data = built(0.5, weight_norm=0), random()
    names = ["bias", "padding_value", "parametrizations.weight.original0", "parametrizations.weight.original1"]
    assert list(layer.state_dict()) == names
    layer(data).sum().backward()
    assert all(value.grad.abs().sum() > 0 for value in layer.parameters())
    with torch.no_grad():
        layer.padding_value.fill_(3.0)
    torch.testing.assert_close(cp.port(layer, "torch")(data), layer(data), rtol=1e-5, atol=1e-6)
    layer.reset_parameters()
    assert layer.padding_value == 0.5


@both
def test_traced_models_train_it(value):
    """torch.fx and torch.export keep it as a parameter, and a changed one changes the program's output."""
    layer, data = built(value), random()
    graph = torch.fx.symbolic_trace(nn.Sequential(layer))
    program = torch.export.export(layer, (data,), dynamic_shapes=({2: torch.export.Dim("length", min=4, max=99)},))
    assert "padding_value" in program.state_dict
    module = program.module()
    graph(data).sum().backward()
    assert layer.padding_value.grad.abs().sum() > 0
    with torch.no_grad():
        layer.padding_value.add_(1)
        module.padding_value.copy_(layer.padding_value)
    assert torch.equal(graph(random(2, 4, 13)), layer(random(2, 4, 13)))
    assert torch.equal(module(random(2, 4, 13)), layer(random(2, 4, 13)))


def test_nothing_to_pad():
    """Without pads the constant is a parameter whose gradient is 0."""
    layer = built(0.5, padding=0)
    found = cp.backends()["torch"].gradients(layer, random().numpy(), random(2, 6, 7).numpy())
    assert found["padding_value"] == 0
    torch.testing.assert_close(layer(random()), nn.functional.conv1d(random(), layer.weight, layer.bias))


def test_the_constant_of_one_side():
    """A mode per side learns the constant of its side alone."""
    mode = ("reflect", Choice("constant", value=0.5, learned=True))
    layer, data = built(0.5, padding_mode=mode), random()
    padded = torch.cat([data[..., 1:3].flip(-1), data, layer.padding_value.expand(2, 4, 1)], -1)
    torch.testing.assert_close(layer(data), nn.functional.conv1d(padded, layer.weight, layer.bias), rtol=1e-5, atol=1e-6)


# -- other backends, whole models, files ----------------------------------------------------------------------------------


@both
def test_capture_keeps_what_was_learned(value):
    """A captured layer starts from the learned value, built anew on torch it has every bit; NumPy's, which learns nothing, refuses."""
    layer, data = built(value), random()
    with torch.no_grad():
        layer.padding_value.mul_(-1.7).add_(0.3)
    captured = cp.capture(layer)
    assert torch.equal(captured.build("torch")(data), layer(data))
    assert torch.equal(captured.build("torch", execution="fast").padding_value, layer.padding_value)
    with pytest.raises(cp.ConvPolicyError, match="padding_mode must not be learned on backend 'numpy'"):
        captured.build("numpy")


def test_a_pruned_constant():
    """What torch's pruning leaves of it is what the next call pads with, and what capture keeps."""
    layer, data = built([0.5, -1.0, 2.0, 0.0]), random()
    nn.utils.prune.l1_unstructured(layer, "padding_value", 2)
    with torch.no_grad():
        layer.padding_value_orig.mul_(2)
    captured = cp.capture(layer)
    assert torch.equal(captured.build("torch").padding_value, torch.tensor([0.0, -2.0, 4.0, 0.0]))
    assert torch.equal(captured.build("torch")(data), layer(data))


def test_capture_refuses_a_constant_it_cannot_keep():
    """Of another dtype than the weight, or of another shape."""
    for other in (torch.zeros((), dtype=torch.float64), torch.zeros(3)):
        layer = built(0.5)
        layer.padding_value = nn.Parameter(other)
        with pytest.raises(cp.ConvPolicyError, match=r"its padding_value is a Parameter of torch.float\d\d and shape"):
            cp.capture(layer)


def test_sums_go_to_other_backends():
    """A layer of a sum, of two modes or of constants per channel is the NumPy layer that port makes of it."""
    for mode in ("odd", ("reflect", "zeros"), Choice("constant", value=[0.5, -1.0, 2.0, 0.0])):
        layer = cp.Conv1d(4, 6, 3, backend="torch", padding=(2, 1), padding_mode=mode, dtype="float64")
        data = random(dtype=torch.float64)
        ported = torch.from_numpy(cp.port(layer, "numpy")(data.numpy()))
        torch.testing.assert_close(ported, layer(data).detach(), rtol=1e-13, atol=1e-13)


def test_whole_models():
    """port_model says where each constant went; a backend that learns nothing refuses such layers and takes the others."""
    model = nn.Sequential(built(0.5), nn.ReLU(), nn.Conv1d(6, 4, 3), built([0.5, -1.0, 2.0, 0.0]))
    ported = cp.port_model(model, "torch")
    names = {old: (new.name, new.axes) for old, new in ported.parameters.items() if "padding_value" in old}
    assert names == {"0.padding_value": ("0.padding_value", ""), "3.padding_value": ("3.padding_value", "I")}
    assert set(ported.parameters) == set(model.state_dict())
    refused = cp.port_model(model, "numpy")
    assert set(refused.layers) == {"2"}
    assert all("must not be learned" in row.reason for row in refused.refused)


@both
def test_tuned_layers_go_on_learning(value):
    """tune puts no way in place that forgets the constant: trained afterwards, the layer is still the function laid out by hand."""
    model, data = nn.Sequential(built(value)), random()
    cp.tune(model, data, execution="fast")
    layer = model[0]
    for _ in range(2):
        torch.testing.assert_close(model(data), composed(layer, data), rtol=1e-5, atol=1e-5)
        model(data).square().mean().backward()
        assert layer.padding_value.grad.abs().sum() > 0
        torch.optim.SGD(layer.parameters(), 0.5).step()
    cp.untune(model)
    assert torch.equal(cp.capture(layer).build("torch")(data), layer(data))


def test_converted_files_keep_it(tmp_path):
    """convert moves the weight and keeps padding_value under its name, bit for bit."""
    model = nn.Sequential(built(0.5), nn.Conv1d(6, 4, 3), built([0.5, -1.0, 2.0, 0.0]))
    torch.save(model.state_dict(), tmp_path / "model.pt")
    cp.convert(tmp_path / "model.pt", tmp_path / "model.safetensors", source="torch", target="mindspore", layers=model)
    cp.convert(tmp_path / "model.safetensors", tmp_path / "back.pt", source="mindspore", target="torch", layers=model)
    back = torch.load(tmp_path / "back.pt", weights_only=True)
    assert all(torch.equal(back[name], value) for name, value in model.state_dict().items())
    model.load_state_dict(back, strict=True)

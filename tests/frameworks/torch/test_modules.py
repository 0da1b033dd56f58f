"""Torch's own module tests of Conv1d and ConvTranspose1d, with torch's own inputs, on every kind of layer."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from helpers.torch_modules import info_of
from helpers.torch_tools import KINDS, TRANSPOSED

pytestmark = pytest.mark.needs("onnx", "onnxruntime", "onnxscript")  # of the table of kinds

ALL = {**KINDS, **TRANSPOSED}
each = pytest.mark.parametrize("kind", ALL.values(), ids=ALL)


@pytest.fixture
def info(kind):
    """Torch's description of the class."""
    return info_of(kind.native)


def cases(info, kind, dtype=torch.float32, training=False, requires_grad=False):
    """Layers of a kind for the sizes that torch's tests build, and the inputs that they give them."""
    for case in info.module_inputs_func(info, device="cpu", dtype=dtype, requires_grad=requires_grad, training=training):
        sizes, words = case.constructor_input.args, {**case.constructor_input.kwargs, **kind.options}
        layer = kind.factory(*sizes, **words, backend="torch", dtype=dtype)
        yield layer.train(training), case.forward_input.args[0], case


def gradients(layer, data):
    """The gradients of a weighted sum of the output, of the input and of every parameter."""
    layer.zero_grad()
    data = data.detach().requires_grad_()
    output = layer(data)
    weights = torch.arange(output.numel(), dtype=output.dtype).reshape(output.shape).cos()
    (output * weights).sum().backward()
    return [data.grad, *(value.grad.clone() for value in layer.parameters())]


@each
@pytest.mark.parametrize("training", [False, True])
def test_forward(info, kind, training):
    """Unbatched inputs give an item of the batch's output, as torch's reference function says; the mode does not matter."""
    for layer, data, case in cases(info, kind, training=training):
        output = layer(data)
        assert output.shape[-2] == layer.out_channels
        if case.reference_fn is not None:
            torch.testing.assert_close(output, case.reference_fn(layer, data))


@each
def test_factory_keywords(info, kind):
    """Parameters have the dtype and the device asked for; nothing is drawn on the meta device."""
    for _layer, _data, case in cases(info, kind):
        words = {**case.constructor_input.kwargs, **kind.options}
        for dtype, device in ((torch.float64, "cpu"), (torch.float32, "meta")):
            layer = kind.factory(*case.constructor_input.args, **words, backend="torch", dtype=dtype, device=device)
            assert {(value.dtype, value.device.type) for value in layer.parameters()} == {(dtype, device)}


@each
def test_repr_pickles_and_state(info, kind):
    """str and repr work; a pickled and a saved layer gives the same output; a state dict goes over to a new layer."""
    for layer, data, case in cases(info, kind):
        assert str(layer) == repr(layer)
        expected, file = layer(data), io.BytesIO()
        torch.save(layer, file)
        file.seek(0)
        words = {**case.constructor_input.kwargs, **kind.options}
        other = kind.factory(*case.constructor_input.args, **words, backend="torch")
        other.load_state_dict(layer.state_dict())
        for twin in (pickle.loads(pickle.dumps(layer)), torch.load(file, weights_only=False), copy.deepcopy(layer), other):
            torch.testing.assert_close(twin(data), expected, rtol=0, atol=0)


@each
def test_input_stays_what_it_was(info, kind):
    """Nothing is written into the input, and its version counter says so."""
    for layer, data, _case in cases(info, kind):
        before, version = data.clone(), data._version
        layer(data)
        assert torch.equal(data, before)
        assert data._version == version


@each
def test_non_contiguous_tensors(info, kind):
    """An input and a weight of other strides give the same output and the same gradients."""
    for layer, data, _case in cases(info, kind, torch.float64):
        expected = layer(data).detach(), *gradients(layer, data)
        strided = torch.stack([data, data], -1)[..., 0]
        assert not strided.is_contiguous()
        found = layer(strided).detach(), *gradients(layer, strided)
        with torch.no_grad():
            layer.weight.set_(torch.stack([layer.weight, layer.weight], -1)[..., 0])
        assert not layer.weight.is_contiguous()
        again = layer(data).detach(), *gradients(layer, data)
        for values in (found, again):
            torch.testing.assert_close(values, expected)


@each
def test_memory_formats(info, kind):
    """A batch whose channels are innermost in memory gives the same output, and so does a layer moved to a memory format."""
    for layer, data, _case in cases(info, kind):
        if data.dim() == 3:
            innermost = data.transpose(1, 2).contiguous().transpose(1, 2)
            torch.testing.assert_close(layer(innermost), layer(data))
            torch.testing.assert_close(layer.to(memory_format=torch.contiguous_format)(data), layer(data))


@each
@pytest.mark.parametrize("check", [torch.autograd.gradcheck, torch.autograd.gradgradcheck])
def test_gradients(info, kind, check):
    """Torch's gradcheck and gradgradcheck, for the input, the weight and the bias, with forward-mode derivatives."""
    for layer, data, _case in cases(info, kind, torch.float64, training=True, requires_grad=True):
        names = [name for name, _value in layer.named_parameters()]

        def function(data, *values, layer=layer, names=names):
            return torch.func.functional_call(layer, dict(zip(names, values)), data)

        inputs = data, *(value.detach().clone().requires_grad_() for value in layer.parameters())
        more = {"check_forward_ad": True} if check is torch.autograd.gradcheck else {"check_fwd_over_rev": False}
        assert check(function, inputs, nondet_tol=info.gradcheck_nondet_tol, fast_mode=True, **more)


@each
def test_modes_do_not_differ(info, kind):
    """train() and eval() compute the same, as torch's table says of its class."""
    assert not info.train_and_eval_differ
    for layer, data, _case in cases(info, kind):
        assert torch.equal(layer.train()(data), layer.eval()(data))


@each
@pytest.mark.parametrize("swap", [False, True], ids=["write into", "swap"])
def test_to_other_dtypes_and_devices(info, kind, swap):
    """to() keeps the parameter objects where torch's own layer does, moves every one, and to_empty leaves none on meta."""
    torch.__future__.set_swap_module_params_on_conversion(swap)
    try:
        for layer, _data, _case in cases(info, kind):
            before = [id(value) for value in layer.parameters()]
            moved = layer.to(torch.float64)
            assert moved is layer
            assert [id(value) for value in layer.parameters()] == before
            assert {value.dtype for value in layer.parameters()} == {torch.float64}
            empty = copy.deepcopy(layer).to("meta").to_empty(device="cpu")
            assert not any(value.is_meta for value in empty.parameters())
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)


@each
def test_device_contexts(info, kind):
    """with torch.device("meta") puts every parameter there, and so does torch.set_default_device."""
    for _layer, _data, case in cases(info, kind):
        words = {**case.constructor_input.kwargs, **kind.options}
        with torch.device("meta"):
            layer = kind.factory(*case.constructor_input.args, **words, backend="torch")
        assert all(value.is_meta for value in layer.parameters())

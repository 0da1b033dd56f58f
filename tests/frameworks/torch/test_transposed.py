"""Transposed layers of the torch backend: class, calls, initial values, copies, and what is refused before any work."""

from __future__ import annotations

import copy
import itertools
import pickle
import weakref

import numpy as np
import pytest
import torch
from torch import nn

import convpolicy as cp
from convpolicy.frameworks.torch.cropped import CroppedConvTranspose1d

# label -> arguments beyond (4, 6, 4, stride=2): native, native with another init, cut on the right, appended, wrapped
LAYERS = {
    "native": {},
    "own init": {"weight_init": "xavier_normal", "padding": 1, "output_padding": 1},
    "causal": {"padding": "causal"},
    "cut and appended": {"padding": (1, -6)},
    "appended left": {"padding": (-3, 2)},
    "circular": {"padding": 1, "padding_mode": "circular"},
    "groups, dilated": {"padding": (0, 3), "groups": 2, "dilation": 2},
}
layers = pytest.mark.parametrize("options", LAYERS.values(), ids=LAYERS)


def built(options, **more):
    """A layer of 4 → 6 channels, kernel 4, stride 2."""
    return cp.ConvTranspose1d(4, 6, 4, 2, backend="torch", **options, **more)


def random(*shape, dtype=torch.float32):
    """Random data, the same at every call."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


def test_output_paddings_that_torch_refuses():
    """Strides, dilations and output_paddings up to 5: the policy refuses what torch does, and nothing else."""
    for stride, dilation, output_padding in itertools.product(range(1, 6), range(1, 6), range(6)):
        sizes, lengths = (1, 1, 3, stride, 0, output_padding), []
        for build in (nn.ConvTranspose1d, cp.ConvTranspose1d):
            try:
                layer = build(*sizes, dilation=dilation)
                data = random(1, 1, 4)
                lengths.append(layer(data if build is nn.ConvTranspose1d else data.numpy()).shape[2])
            except (RuntimeError, ValueError) as error:
                assert "output" in str(error)
                lengths.append(None)
        assert lengths[0] == lengths[1], (stride, dilation, output_padding)


def test_the_native_layer_itself_where_it_can_be():
    """torch.nn.ConvTranspose1d wherever left >= right and the difference is below max(stride, dilation); a subclass elsewhere."""
    for options in (
        {},
        {"padding": 2},
        {"padding": 2, "output_padding": 1},
        {"padding": (2, 1)},
        {"padding": (0, -1)},
        {"padding": (3, 1), "dilation": 3},
        {"padding": "same_lower"},
        {"padding": "symmetric"},
        {"weight_init": "zeros"},
    ):
        assert type(built(options)) is nn.ConvTranspose1d, options
        assert type(built(options, seed=3)) is nn.ConvTranspose1d, options
    for options in ({"padding": (1, 2)}, {"padding": (2, 0)}, {"padding": (-1, -1)}, {"padding": 1, "padding_mode": "circular"}):
        layer = built(options)
        assert type(layer) is CroppedConvTranspose1d, options
        assert isinstance(layer, nn.ConvTranspose1d)
    assert repr(built({})) == repr(nn.ConvTranspose1d(4, 6, 4, 2))
    assert repr(built({"padding": "causal"})) == (
        "CroppedConvTranspose1d(4, 6, kernel_size=(4,), stride=(2,), padding=causal, dilation=(1,), groups=1, bias=True, "
        "padding_mode=zeros, policy='torch')"
    )


def test_initial_values_of_a_plain_layer():
    """A torch.nn.ConvTranspose1d with a policy's initial values draws them again, in copies too, and is freed at once."""
    layer = built({"weight_init": cp.Choice("constant", value=2.0)})
    assert type(layer) is nn.ConvTranspose1d
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), layer):
        with torch.no_grad():
            twin.weight.zero_()
        twin.reset_parameters()
        assert twin.weight.eq(2).all()
    dead = weakref.ref(layer)
    del layer, twin
    assert dead() is None


@layers
def test_copies_state_and_resetting(options):
    """deepcopy and pickle give the same bits and are apart; a state dict goes over; reset_parameters draws from torch's state."""
    layer, data = built(options, seed=0), random(2, 4, 9)
    expected = layer(data)
    assert list(layer.state_dict()) == ["weight", "bias"]
    plain = nn.ConvTranspose1d(4, 6, 4, 2, groups=options.get("groups", 1))
    plain.load_state_dict(layer.state_dict())
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), copy.deepcopy(nn.Sequential(layer))[0]):
        assert torch.equal(twin(data), expected)
        with torch.no_grad():
            twin.weight.zero_()
        assert torch.equal(layer(data), expected)
    torch.manual_seed(1)
    layer.reset_parameters()
    torch.manual_seed(1)
    assert torch.equal(layer.weight, built(options).weight)
    empty = built(options, device="meta").to_empty(device="cpu")
    torch.manual_seed(1)
    empty.reset_parameters()
    assert torch.equal(empty.weight, layer.weight)
    with pytest.raises(cp.ConvPolicyError, match="seed must be None on device 'meta'"):
        built(options, device="meta", seed=0)


@layers
def test_gradients_are_those_of_finite_differences(options):
    """torch.autograd.gradcheck in float64 for the input, the weight and the bias; an unbatched input is an item."""
    layer = built(options, dtype="float64")

    def function(data, weight, bias):
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, data)

    inputs = random(1, 4, 5, dtype=torch.float64), layer.weight.detach(), layer.bias.detach()
    assert torch.autograd.gradcheck(function, [value.clone().requires_grad_() for value in inputs])
    torch.testing.assert_close(layer(inputs[0][0]), layer(inputs[0])[0])
    assert layer(inputs[0][:0]).shape == (0, *layer(inputs[0]).shape[1:])


@layers
def test_weight_norm(options):
    """Along the axis of (in, out/groups, kernel): the same function, and training reaches norm and direction."""
    plain, normed = built(options, seed=0), built(options, seed=0, weight_norm=0)
    assert [tuple(p.shape) for n, p in normed.named_parameters() if "original0" in n] == [(4, 1, 1)]
    torch.testing.assert_close(normed(random(2, 4, 9)), plain(random(2, 4, 9)))
    normed(random(2, 4, 9)).square().sum().backward()
    assert all(p.grad is not None for p in normed.parameters())
    normed.reset_parameters()
    captured = cp.capture(normed)
    assert captured.policy.weight_norm is None
    np.testing.assert_allclose(captured.weight, normed.weight.detach().numpy())


SIZED = {"padding": (1, 2), "output_padding": 0}


@pytest.mark.parametrize("fold", [lambda n: n, lambda n: [n], lambda n: (2, 6, n), lambda n: torch.Size([2, 6, n])])
def test_output_size(fold):
    """A subclass takes an int or a sequence as torch's layer does, and gives what the policy's plan for this size gives."""
    layer = cp.ConvTranspose1d(4, 6, 7, 3, (1, 3), backend="torch", seed=0)
    data = random(2, 4, 5)
    full = nn.functional.conv_transpose1d(data, layer.weight, layer.bias, 3)
    for size in (15, 16, 17):
        assert torch.equal(layer(data, output_size=fold(size)), full[..., 1 : 1 + size])
    assert layer(data).shape[-1] == 15
    for size in (14, 18):
        with pytest.raises(
            cp.ConvPolicyError, match=rf"output_size must be from 15 to 17 for an input of length 5, got {size}; pass"
        ):
            layer(data, fold(size))


def test_output_size_of_others():
    """Torch's own layer is untouched; a rule without output_padding and a wrong number of elements are refused in one sentence."""
    native, data = built({"padding": 1}), random(2, 4, 5)
    assert native(data, output_size=[11]).shape[-1] == 11
    with pytest.raises(ValueError, match="requested an output size of"):
        native(data, output_size=[12])
    with pytest.raises(cp.ConvPolicyError, match="output_size must be left out for crop rule 'causal'"):
        built({"padding": "causal"})(data, output_size=10)
    with pytest.raises(cp.ConvPolicyError, match="output_size must have 1 or 3 elements for an input of 3 dimensions, got 2"):
        built({"padding": (1, 2)})(data, output_size=(6, 10))


REFUSED = {
    "output_padding": ({"output_padding": 2}, r"output_padding must be below max\(stride, dilation\) = 2, got 2"),
    "negative output_padding": ({"output_padding": -1}, "output_padding must be at least 0, got -1"),
    "negative padding": ({"padding": -1}, "padding must be at least 0, got -1"),
    "mode": (
        {"padding_mode": "reflect"},
        "padding_mode of a transposed convolution must be one of zeros, circular, got 'reflect'",
    ),
    "another word": ({"padding": "same"}, "unknown crop rule 'same'"),
    "groups": ({"groups": 4}, "out_channels must be divisible by groups"),
}


@pytest.mark.parametrize(("options", "says"), REFUSED.values(), ids=REFUSED)
def test_what_torch_refuses_is_refused_before_any_work(options, says):
    """One sentence, nothing drawn and nothing imported; torch refuses the same arguments when it builds or when it first runs."""
    state = torch.get_rng_state()
    with pytest.raises(cp.ConvPolicyError, match=says) as caught:
        built(options)
    assert len(str(caught.value).splitlines()) == 1
    assert torch.equal(state, torch.get_rng_state())
    with pytest.raises((ValueError, RuntimeError, TypeError)):
        nn.ConvTranspose1d(4, 6, 4, 2, **options)(random(1, 4, 9))


def test_too_short_or_misshapen_input():
    """A subclass refuses, in one sentence, what leaves no output and what has other axes or channels."""
    layer = built({"padding": (2, 4)})
    for shape, says in (
        ((1, 4, 2), "input of length 2 is too short: 2 and 4 samples are cut from a full result of 6"),
        ((1, 3, 9), "input must have shape"),
        ((4,), "input must have shape"),
    ):
        with pytest.raises(ValueError, match=says):
            layer(random(*shape))
    assert layer(random(1, 4, 3)).shape == (1, 6, 2)


@layers
def test_capture_and_building_again(options):
    """A captured layer builds the same one again, to the bit, and its like in NumPy."""
    layer, data = built(options, seed=0), random(2, 4, 9)
    captured = cp.capture(layer)
    assert captured.spec.transposed
    assert captured.weight.shape == captured.spec.weight_shape
    again = captured.build("torch")
    assert type(again) is type(layer)
    assert torch.equal(again(data), layer(data))
    np.testing.assert_allclose(captured.build("numpy")(data.numpy()), layer(data).detach().numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("padding", ["keras_same", "tensorflow_same"])
def test_output_size_of_a_rule_that_cuts_both_sides(padding):
    """The cuts of each output length are those of the plan; TensorFlow's rule refuses one of them."""
    data, half = random(1, 3, 6), cp.policy("torch").half().evolve(padding=padding)
    for kernel, stride in ((5, 2), (6, 3), (8, 3), (9, 4)):
        layer = cp.ConvTranspose1d(3, 2, kernel, stride, padding=padding, backend="torch", seed=0)
        full = nn.functional.conv_transpose1d(data, layer.weight, layer.bias, stride)
        assert isinstance(layer, CroppedConvTranspose1d)
        sizes = 0
        for size in range(1, full.shape[-1] + stride):
            try:
                plan = half.plan(kernel, stride, length=6, output_size=size)
            except cp.ConvPolicyError:
                with pytest.raises((cp.ConvPolicyError, RuntimeError)):
                    layer(data, output_size=[size])
                continue
            sizes += 1
            assert torch.equal(layer(data, output_size=[size]), full[..., plan.left : full.shape[-1] - plan.right])
        assert sizes == stride - (padding == "tensorflow_same" and kernel % 2 == 0)

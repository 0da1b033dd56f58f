"""The torch backend's transposed layers against torch.nn.ConvTranspose1d, to the bit, and against the float64 reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.torch_transposed import cases, defined_cuts, random_arrays
from helpers.transposed import IN, KERNELS, OUT, grid, judge
from torch import nn

import convpolicy as cp
from convpolicy import reference

DTYPES = ("float32", "float64", "float16", "bfloat16")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Convolutions this small run three times as fast on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def data_of(seed, *shape):
    """Random numbers, the same for the same seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def native(sizes, padding=0, output_padding=0, **more):
    """Torch's own layer."""
    return nn.ConvTranspose1d(
        IN, OUT, sizes.kernel, sizes.stride, padding, output_padding, sizes.groups, sizes.bias, sizes.dilation, **more
    )


@pytest.mark.grid(every=3)
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_torch_policy_is_torchs_own_layer_to_the_bit(kernel):
    """Every size, padding and output_padding that torch accepts: the same class, and the same bits with the same weights."""
    for number, sizes in enumerate(grid(kernel)):
        for padding in {0, 1, sizes.effective // 2, sizes.effective - 1}:
            for more in {0, max(sizes.stride, sizes.dilation) - 1}:
                theirs = native(sizes, padding, more)
                ours = sizes.layer(padding, more or None, backend="torch", policy="torch")
                assert type(ours) is nn.ConvTranspose1d
                ours.load_state_dict(theirs.state_dict())
                for length in (2 * sizes.effective // sizes.stride + 2, 9 + sizes.effective):
                    x = data_of(number, 2, IN, length)
                    with torch.no_grad():
                        assert torch.equal(ours(x), theirs(x)), (sizes, padding, more, length)


@pytest.mark.grid(every=3)
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_cut_full_result_has_the_bits_of_code_that_slices(kernel):
    """What torch cannot cut, and every rule of code that slices, has the bits of torch's full result and a slice."""
    compared = 0
    for number, sizes in enumerate(grid(kernel)):
        for cut in ("causal", (0, 1), (1, 3)):
            left, right = defined_cuts(cut, sizes)
            if min(left, right) < 0 or left >= right:
                continue
            theirs, ours = native(sizes), sizes.layer(cut, backend="torch")
            assert type(ours) is not nn.ConvTranspose1d
            ours.load_state_dict(theirs.state_dict())
            for length in (2 * sizes.effective // sizes.stride + 5, 30):
                x = data_of(number, 2, IN, length)
                with torch.no_grad():
                    full = theirs(x)
                    assert torch.equal(ours(x), full[..., left : full.shape[-1] - right]), (sizes, cut, length)
                compared += 1
    assert compared > 100


class Sliced:
    """A plugin with a crop rule of code that computes the full result and cuts half of it on each side, as EnCodec at 48 kHz."""

    @staticmethod
    @cp.hookimpl
    def convpolicy_crop_rules():
        """Return the rule."""
        return [
            cp.CropRule("sliced", lambda k, s, d, length: (k - s - (k - s) // 2, (k - s) // 2), cuts_full=True),
        ]


def test_a_rule_that_cuts_the_full_result():
    """Its exact layer slices, to the bit, although torch could cut inside; with other bits on some processors, as a fast layer."""
    cp.register(Sliced, "sliced")
    try:
        for channels, kernel, stride, length in ((64, 16, 8, 1000), (32, 10, 5, 1000), (64, 4, 2, 3000)):
            ours, fast = (
                cp.ConvTranspose1d(channels, 32, kernel, stride, "sliced", backend="torch", execution=execution, seed=0)
                for execution in ("exact", "fast")
            )
            theirs = nn.ConvTranspose1d(channels, 32, kernel, stride)
            theirs.load_state_dict(ours.state_dict())
            left, right = kernel - stride - (kernel - stride) // 2, (kernel - stride) // 2
            x = data_of(kernel, 1, channels, length)
            with torch.no_grad():
                full = theirs(x)
                assert torch.equal(ours(x), full[..., left : full.shape[-1] - right])
                torch.testing.assert_close(fast(x), ours(x), rtol=1e-4, atol=1e-4)
                assert isinstance(ours, nn.ConvTranspose1d)
            assert cp.capture(ours).policy.padding == cp.Choice("sliced")
    finally:
        cp.unregister("sliced")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("padding", [1, "causal", (-1, 2), "same_upper"])
def test_the_same_seed_gives_torchs_own_initial_weights(padding, dtype):
    """With a seed, and without one after torch.manual_seed: the weights and the random state of torch's own construction."""
    for seed, kernel in enumerate((1, 2, 5, 9)):
        for sizes in list(grid(kernel))[::4]:
            torch.manual_seed(seed)
            expected = native(sizes, dtype=getattr(torch, dtype))
            state = torch.get_rng_state()
            torch.manual_seed(seed)
            unseeded = sizes.layer(padding, backend="torch", dtype=dtype)
            assert torch.equal(state, torch.get_rng_state())
            for ours in (unseeded, sizes.layer(padding, backend="torch", dtype=dtype, seed=seed)):
                assert list(ours.state_dict()) == list(expected.state_dict())
                for name, value in expected.state_dict().items():
                    assert value.dtype == ours.state_dict()[name].dtype
                    assert torch.equal(value, ours.state_dict()[name]), (sizes, name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("execution", ["exact", "fast"])
def test_every_way_of_cutting_is_the_reference(dtype, execution):
    """Random sizes, lengths, groups and bias for every rule and pair in both modes, within the bound of the dtype."""
    for number, (sizes, cut, mode, length) in enumerate(cases(seed=len(dtype) + int(dtype[-2:]), each=12)):
        layer = sizes.layer(cut, backend="torch", padding_mode=mode, dtype=dtype, execution=execution, seed=number)
        (x,) = random_arrays(number, (2, IN, length))
        x = x.astype(dtype)
        with torch.no_grad():
            output = layer(torch.from_numpy(x)).numpy()
        weight, bias = (None if p is None else p.detach().numpy() for p in (layer.weight, layer.bias))
        judge(output, x, weight, bias, defined_cuts(cut, sizes), sizes, mode, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_dtypes_are_the_reference(dtype):
    """float16 and bfloat16: within the bound of the narrow dtype, on weights and inputs that it holds exactly."""
    for number, (sizes, cut, mode, length) in enumerate(cases(seed=5, each=3)):
        layer = sizes.layer(cut, backend="torch", padding_mode=mode, dtype=dtype, seed=number)
        x = data_of(number, 2, IN, length).to(getattr(torch, dtype))
        with torch.no_grad():
            output = layer(x)
        assert output.dtype == x.dtype
        weight, bias = (None if p is None else p.detach().double().numpy() for p in (layer.weight, layer.bias))
        judge(output.double().numpy(), x.double().numpy(), weight, bias, defined_cuts(cut, sizes), sizes, mode, dtype=dtype)


def correlated(x, weight, sizes, cut):
    """The adjoint of a layer without bias, written with torch.nn.functional.conv1d: read the windows of what was not cut."""
    left, right = defined_cuts(cut, sizes)
    return F.conv1d(F.pad(x, (left, right)), weight, None, sizes.stride, 0, sizes.dilation, sizes.groups)


def test_it_is_the_adjoint_of_the_convolution():
    """⟨A x, y⟩ = ⟨x, Aᵀ y⟩ in float64 for every way of cutting, where Aᵀ is a Conv1d that pads what A cuts; gradients too."""
    for number, (sizes, cut, mode, length) in enumerate(cases(seed=8, each=6)):
        if mode != "zeros":
            continue
        layer = sizes._replace(bias=False).layer(cut, backend="torch", dtype="float64", seed=number)
        x = data_of(number, 2, IN, length).double().requires_grad_()
        output = layer(x)
        y = data_of(number + 1, *output.shape).double()
        back = correlated(y, layer.weight, sizes, cut)
        torch.testing.assert_close((output * y).sum(), (x * back).sum(), rtol=1e-12, atol=1e-11)
        gradient, weight_gradient = torch.autograd.grad((output * y).sum(), [x, layer.weight])
        torch.testing.assert_close(gradient, back, rtol=1e-12, atol=1e-11)
        (by_convolution,) = torch.autograd.grad((x.detach() * correlated(y, layer.weight, sizes, cut)).sum(), [layer.weight])
        torch.testing.assert_close(weight_gradient, by_convolution, rtol=1e-12, atol=1e-11)


WRONG = {  # fault -> what a wrong layer computes from (data, weight, bias, sizes, left, right), with the right shape
    "cut on the other side": lambda x, w, b, z, left, right: sliced(x, w, b, z, right, left),
    "unflipped": lambda x, w, b, z, left, right: sliced(x, w.flip(-1), b, z, left, right),
    "one sample late": lambda x, w, b, z, left, right: sliced(x, w, b, z, left - 1, right + 1),
    "bias twice": lambda x, w, b, z, left, right: sliced(x, w, 2 * b, z, left, right),
    "groups swapped": lambda x, w, b, z, left, right: sliced(x, w.roll(w.shape[0] // 2, 0), b, z, left, right),
}


def sliced(x, weight, bias, sizes, left, right):
    """The full result, cut or extended with the bias."""
    full = F.conv_transpose1d(x, weight, None, sizes.stride, 0, 0, sizes.groups, sizes.dilation)
    return F.pad(full, (-left, -right)) + bias[:, None]


@pytest.mark.parametrize("fault", WRONG)
def test_the_judge_rejects_wrong_layers(fault):
    """Right shapes with the cut on the other side, an unflipped kernel, a shift, a doubled bias or swapped groups are all noticed."""
    noticed = right = 0
    for number, (sizes, cut, mode, length) in enumerate(cases(seed=9, each=6)):
        left, after = defined_cuts(cut, sizes)
        is_same = (fault.startswith("cut") and left == after) or (fault.startswith("unflipped") and sizes.kernel == 1)
        if mode != "zeros" or is_same or not sizes.bias or length < 3:
            continue
        layer = sizes.layer(cut, backend="torch", seed=number)
        x = data_of(number, 2, IN, length)
        arrays = (x.numpy(), layer.weight.detach().numpy(), layer.bias.detach().numpy(), (left, after), sizes, mode)
        with torch.no_grad():
            judge(sliced(x, layer.weight, layer.bias, sizes, left, after).numpy(), *arrays)
            right += 1
            wrong = WRONG[fault](x, layer.weight, layer.bias, sizes, left, after)
        with pytest.raises(AssertionError):
            judge(wrong.numpy(), *arrays)
        noticed += 1
    assert noticed == right > 5


def test_swapped_fans_are_rejected():
    """Torch's bound is that of the output side: a layer with unequal channels has other weights where the fans are swapped."""
    for groups in (1, 2):
        torch.manual_seed(0)
        theirs = nn.ConvTranspose1d(16, 64, 5, groups=groups)
        ours = cp.ConvTranspose1d(16, 64, 5, groups=groups, backend="torch", seed=0)
        swapped = cp.Conv1d(16, 64, 5, groups=groups, backend="torch", seed=0)
        bound = (64 // groups * 5) ** -0.5
        assert torch.equal(ours.weight, theirs.weight)
        assert ours.weight.abs().max() <= bound < swapped.weight.abs().max()
        assert ours.weight.abs().max() > 0.99 * bound


def test_the_bound_of_the_judge_is_not_loose():
    """The error of a float32 layer is above a hundredth of the bound somewhere, so a hundred times the rounding is noticed."""
    largest = 0.0
    for number, (sizes, cut, mode, length) in enumerate(cases(seed=3, each=3)):
        layer = sizes.layer(cut, backend="torch", padding_mode=mode, seed=number)
        x = data_of(number, 2, IN, length)
        left, right = defined_cuts(cut, sizes)
        ideal = reference.conv_transpose1d(
            x.numpy(), layer.weight.detach().numpy(), None if layer.bias is None else layer.bias.detach().numpy(), left=left, right=right,
            mode=mode, stride=sizes.stride, dilation=sizes.dilation, groups=sizes.groups,
        )  # fmt: skip
        bound = reference.tolerance("float32", ideal.terms, ideal.magnitude)
        error = abs(layer(x).detach().numpy() - ideal.output)
        largest = max(largest, float((error / np.maximum(bound, 1e-30)).max()))
    assert 0.01 < largest <= 1

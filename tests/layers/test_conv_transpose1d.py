"""`ConvTranspose1d`: its signature, what its arguments mean, and bad input, which is one sentence before any work."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
from helpers.refusals import refused

import convpolicy as cp

Choice = cp.Choice
HALF = cp.policy("torch").transposed
SIZES = {"in_channels": 4, "out_channels": 6, "kernel_size": 3}
DATA = np.random.default_rng(0).standard_normal((2, 4, 9)).astype("float32")

# -- what it builds -------------------------------------------------------------------------------------------------------


def test_the_order_of_torch():
    """Positional arguments are those of torch.nn.ConvTranspose1d, then the keywords of Conv1d."""
    parameters = inspect.signature(cp.ConvTranspose1d).parameters.values()
    positional = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    assert positional == [
        "in_channels", "out_channels", "kernel_size", "stride", "padding", "output_padding", "groups", "bias", "dilation", "padding_mode",
    ]  # fmt: skip
    keywords = {each.name for each in parameters if each.kind is each.KEYWORD_ONLY}
    assert keywords == {each.name for each in inspect.signature(cp.Conv1d).parameters.values() if each.kind is each.KEYWORD_ONLY}
    layer = cp.ConvTranspose1d(4, 6, 3, 2, 1, 1, 2, False, 2, "zeros", seed=0)
    assert (layer.weight.shape, layer.bias, layer.weight.dtype) == ((4, 3, 3), None, "float32")
    assert layer(DATA).shape == (2, 6, 8 * 2 - 2 + 4 + 1 + 1)


def test_defaults_are_the_policys():
    """Without arguments padding, bias and initializers are those of the half; an argument takes the place of one of them."""
    plain = cp.ConvTranspose1d(4, 6, 3, seed=1)
    assert plain.policy == HALF
    assert [np.array_equal(plain.weight, w) for w in (HALF.initial(4, 6, 3, seed=1)["weight"],)] == [True]
    own = HALF.evolve(name="own", bias=False, weight_init=2.0, padding="causal")
    layer = cp.ConvTranspose1d(4, 6, 3, policy=own, seed=1)
    assert (layer.policy, layer.bias, set(layer.weight.ravel())) == (own, None, {2.0})
    changed = cp.ConvTranspose1d(4, 6, 3, policy=own, bias=True, bias_init=3.0, padding=1, weight_init=np.ones((4, 6, 3)), seed=1)
    assert set(changed.bias) == {3.0}
    assert set(changed.weight.ravel()) == {1.0}
    assert changed.plan(9).left == changed.plan(9).right == 1
    whole = cp.policy("torch").evolve(name="whole", transposed=own)
    assert cp.ConvTranspose1d(4, 6, 3, policy=whole, seed=1).policy == own


OUTPUT_PADDINGS = [((3, 2), 1, 1), ((4, 3), 1, 2), ((3, 1), 0, 0), ((5, 2), 3, 1)]


@pytest.mark.parametrize(("sizes", "padding", "more"), OUTPUT_PADDINGS)
def test_output_padding_keeps_more_on_the_right(sizes, padding, more):
    """The longer output begins with the shorter one: what is added is added at the end."""
    short, long = (cp.ConvTranspose1d(4, 6, *sizes, padding, number, seed=0) for number in (0, more))
    assert short.plan(9).length_out + more == long.plan(9).length_out
    assert np.array_equal(short(DATA), long(DATA)[..., : short.plan(9).length_out])
    assert long.policy.padding == Choice("explicit", left=padding, right=padding, output_padding=more)


# -- bad input ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def built():
    """Return a list of what the backend ``spy``, which refuses no size, was asked to build."""
    requests = []

    class Spy:
        @cp.hookimpl
        def convpolicy_backends(self):
            build = lambda request, seed, device: requests.append(request)  # noqa: E731 - a function of a backend
            return [cp.Backend("spy", build, build_transposed=build), cp.Backend("forward-only", build)]

    cp.register(Spy(), "spy")
    yield requests
    cp.unregister("spy")


ARGUMENTS = [
    *[({name: 2.0}, TypeError, f"{name} must be an integer, got 2.0 of type float") for name in (*SIZES, "stride", "dilation", "groups")],
    *[({name: 0}, ValueError, f"{name} must be at least 1, got 0") for name in (*SIZES, "stride", "dilation", "groups")],
    *[({name: 2**63}, ValueError, f"{name} must be at most 9223372036854775807") for name in (*SIZES, "stride", "dilation", "padding")],
    *[({name: (3, 3)}, ValueError, f"{name} must be one number for one spatial axis, got (3, 3)") for name in ("kernel_size", "stride", "dilation", "output_padding")],
    ({"groups": 3}, ValueError, "in_channels must be divisible by groups, got in_channels=4 and groups=3"),
    ({"groups": 4}, ValueError, "out_channels must be divisible by groups, got out_channels=6 and groups=4"),
    # output_padding
    ({"output_padding": 1}, ValueError, "crop rule 'explicit': output_padding must be below max(stride, dilation) = 1, got 1; pass less"),
    ({"output_padding": 2, "stride": 2, "dilation": 2}, ValueError, "output_padding must be below max(stride, dilation) = 2, got 2"),
    ({"output_padding": 5, "stride": 3}, ValueError, "output_padding must be below max(stride, dilation) = 3, got 5"),
    ({"output_padding": -1, "stride": 2}, ValueError, "explicit: output_padding must be at least 0, got -1"),
    ({"output_padding": 1.0, "stride": 2}, TypeError, "explicit: output_padding must be an integer, got 1.0"),
    ({"output_padding": True, "stride": 2}, TypeError, "explicit: output_padding must be an integer, got True of type bool"),
    ({"output_padding": "same", "stride": 2}, TypeError, "explicit: output_padding must be an integer, got 'same'"),
    ({"output_padding": 1, "padding": "causal", "stride": 2}, ValueError, "crop rule 'causal' has no parameter 'output_padding'; it has: none"),
    ({"output_padding": 0, "padding": "same_upper"}, ValueError, "crop rule 'same_upper' has no parameter 'output_padding'; it has: odd_side"),
    # padding
    ({"padding": -1}, ValueError, "padding must be at least 0, got -1"),
    ({"padding": 1.5}, TypeError, "padding must be an integer, got 1.5 of type float"),
    ({"padding": math.nan}, TypeError, "padding must be an integer, got nan"),
    ({"padding": True}, TypeError, "padding must be an integer, got True of type bool"),
    ({"padding": (1, 2, 3)}, ValueError, "padding must be one number for one spatial axis, got (1, 2, 3)"),
    ({"padding": (1, 0.5)}, TypeError, "padding right must be an integer, got 0.5"),
    ({"padding": "same"}, LookupError, "unknown crop rule 'same'. Did you mean 'same_upper'? Known: ", ""),
    ({"padding": "cousal"}, LookupError, "unknown crop rule 'cousal'. Did you mean 'causal'?", ""),
    ({"padding": "torch_same"}, LookupError, "unknown crop rule 'torch_same'"),
    ({"padding": Choice("explicit", lefft=1)}, ValueError, "crop rule 'explicit' has no parameter 'lefft'", "mean 'left'?"),
    ({"padding": "symmetric", "stride": 4}, ValueError, "crop rule 'symmetric': the effective kernel must be at least the stride, got 3 and 4"),
    # modes that no framework has for transposed convolutions
    *[
        ({"padding_mode": mode}, ValueError, f"padding_mode of a transposed convolution must be one of zeros, circular, got '{mode}'")
        for mode in ("reflect", "replicate", "symmetric", "constant", "odd")
    ],
    ({"padding_mode": ("circular", "zeros")}, ValueError, "padding_mode of a transposed convolution must be one of zeros, circular, got"),
    ({"padding_mode": "wrap"}, LookupError, "unknown padding mode 'wrap'. Did you mean 'circular'?"),
    ({"padding_mode": 3}, TypeError, "padding_mode must be a name, a Choice or a mapping with 'name', got 3"),
    # policies, backends and initial values
    ({"policy": "trch"}, LookupError, "unknown policy 'trch'", "Did you mean 'torch'?"),
    ({"policy": cp.Policy("mine")}, ValueError, "policy 'mine' describes no transposed convolution; pass another policy, or add one with"),
    ({"policy": 3}, LookupError, "unknown policy 3"),
    ({"backend": "spi"}, LookupError, "unknown backend 'spi'"),
    ({"backend": "forward-only"}, ValueError, "backend must have transposed convolutions, got 'forward-only'; pick one of: ", "numpy"),
    ({"dtype": "int8"}, ValueError, "dtype must be one of float32, float64 for backend 'spy', got 'int8'"),
    ({"execution": "quick"}, ValueError, "execution must be one of exact, fast, auto, got 'quick'"),
    ({"weight_init": np.ones((6, 4, 3))}, ValueError, "weight_init: ", "(4, 6, 3)", "(6, 4, 3)"),
    ({"bias_init": np.ones(4)}, ValueError, "bias_init: ", "(6,)", "(4,)"),
    ({"weight_init": "unifrm"}, LookupError, "unknown initializer 'unifrm'. Did you mean 'uniform'?"),
    ({"weight_norm": 3}, ValueError, "weight_norm must be None, False or an axis of the weight, 0, 1 or 2, got 3"),
    ({"seed": "x"}, TypeError, "seed must be an integer, got 'x'"),
    ({"bias": 1}, TypeError, "bias must be of type bool, got 1"),
    ({"strides": 2}, TypeError, "ConvTranspose1d has no argument 'strides'", "pass stride="),
    ({"pads": 2}, TypeError, "ConvTranspose1d has no argument 'pads'; pass padding="),
    ({"output_size": 9}, TypeError, "ConvTranspose1d has no argument 'output_size'"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "builtin", "says"), [(row[0], row[1], row[2:]) for row in ARGUMENTS])
def test_bad_arguments(built, arguments, builtin, says):
    """One sentence with the argument, the value, what is allowed and the fix, before a backend is asked to build anything."""
    refused(lambda: cp.ConvTranspose1d(**{**SIZES, "backend": "spy", **arguments}), builtin, *says)
    assert built == []


def test_the_spy_is_asked_for_what_is_right(built):
    """The fixture above can fail: a right call reaches the backend, as a request of a transposed layer."""
    cp.ConvTranspose1d(**SIZES, backend="spy", seed=0)
    assert [request.spec for request in built] == [cp.ConvSpec(4, 6, 3, transposed=True)]


INPUTS = [
    (np.zeros((2, 3, 9), "float32"), ValueError, "input must have shape (batch, 4, length) or (4, length), got (2, 3, 9)"),
    (np.zeros((9, 4), "float32"), ValueError, "input must have shape (batch, 4, length) or (4, length), got (9, 4)"),
    (np.zeros((2, 4, 9)), TypeError, "input must be float32 like the layer, got float64"),
    ([[1.0], [1.0, 2.0]], TypeError, "input must be an array of numbers, got rows of different lengths"),
    (np.zeros((2, 4, 2), "float32"), ValueError, "input of length 2 is too short: 3 and 3 samples are cut from a full result of 5, which leaves no output; pass a longer input or cut less."),
    (np.zeros((2, 4, 0), "float32"), ValueError, "length 0"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "builtin", "says"), INPUTS)
def test_bad_inputs(data, builtin, says):
    """Another shape or dtype, ragged rows, and crops that are larger than the result, with all numbers."""
    layer = cp.ConvTranspose1d(**SIZES, stride=2, padding=3, seed=0)
    refused(lambda: layer(data), builtin, says)

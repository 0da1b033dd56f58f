"""Bad input: one sentence that names the argument and what came, as the builtin a caller would catch, before any work."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.refusals import refused

import convpolicy as cp

Choice = cp.Choice
TORCH = cp.policy("torch")
SIZES = {"in_channels": 4, "out_channels": 6, "kernel_size": 3}
DATA = np.random.default_rng(0).standard_normal((2, 4, 9)).astype("float32")


@pytest.fixture
def built():
    """Return a list of what the backend ``spy``, which refuses no size, was asked to build."""
    requests = []

    class Spy:
        @cp.hookimpl
        def convpolicy_backends(self):
            return [cp.Backend("spy", lambda request, seed, device: requests.append(request))]

    cp.register(Spy(), "spy")
    yield requests
    cp.unregister("spy")


# arguments of Conv1d -> the builtin, what the sentence says of argument and value, and the nearest name where there is one
ARGUMENTS = [
    *[
        ({name: value}, TypeError, f"{name} must be an integer, got {value!r} of type {type(value).__name__}")
        for name in ("in_channels", "out_channels", "kernel_size", "stride", "dilation", "groups")
        for value in (2.0, "3", True, 1j, b"3")
    ],
    *[
        ({name: np.True_}, TypeError, f"{name} must be an integer, got {np.True_!r} of type bool")
        for name in ("in_channels", "out_channels", "kernel_size", "stride", "dilation", "groups")
    ],
    *[({name: None}, TypeError, f"{name} must be an integer, got None") for name in SIZES],
    *[
        ({name: 2**63}, ValueError, f"{name} must be at most 9223372036854775807, got 9223372036854775808")
        for name in (*SIZES, "stride", "dilation", "groups", "padding")
    ],
    ({"padding": (1, 2**63)}, ValueError, "padding right must be at most 9223372036854775807"),
    ({"padding": Choice("explicit", left=2**63)}, ValueError, "explicit: left must be at most 9223372036854775807"),
    *[
        ({name: value}, ValueError, f"{name} must be at least 1, got {value}")
        for name in ("in_channels", "out_channels", "kernel_size", "stride", "dilation", "groups")
        for value in (0, -1, np.int64(-3), -(10**30))
    ],
    *[
        ({name: value}, ValueError, f"{name} must be one number for one spatial axis, got {value!r}")
        for name in ("kernel_size", "stride", "dilation")
        for value in ((3, 3), [], (1, 2, 3))
    ],
    ({"groups": 3}, ValueError, "in_channels must be divisible by groups, got in_channels=4 and groups=3"),
    ({"groups": 4}, ValueError, "out_channels must be divisible by groups, got out_channels=6 and groups=4"),
    ({"padding": -1}, ValueError, "padding must be at least 0, got -1"),
    ({"padding": (-(2**63), 0)}, ValueError, "padding left must be at least -9223372036854775807, got -9223372036854775808"),
    ({"padding": (1, 2, 3)}, ValueError, "padding must be one number for one spatial axis, got (1, 2, 3)"),
    ({"padding": (1, 2.0)}, TypeError, "padding right must be an integer, got 2.0 of type float"),
    ({"padding": 1.5}, TypeError, "padding must be an integer, got 1.5 of type float"),
    ({"padding": True}, TypeError, "padding must be an integer, got True of type bool"),
    ({"padding": math.nan}, TypeError, "padding must be an integer, got nan of type float"),
    ({"padding": {"left": 1}}, TypeError, "padding must be a name, a Choice or a mapping with 'name', got {'left': 1}"),
    ({"padding": "cousal"}, LookupError, "unknown padding rule 'cousal'. Did you mean 'causal'? Known: causal, ", ""),
    ({"padding": "smae"}, LookupError, "unknown padding rule 'smae'", "half, mimi, mindspore-right, moshi, nemo_causal, nemo_future, paddle_same, reverse_causal, same, ", "Did you mean 'same'?"),
    ({"padding": ""}, LookupError, "unknown padding rule ''"),
    ({"padding": Choice("explicit", lefft=1)}, ValueError, "padding rule 'explicit' has no parameter 'lefft'", "mean 'left'?"),
    ({"padding": Choice("valid", left=1)}, ValueError, "padding rule 'valid' has no parameter 'left'; it has: none"),
    ({"padding": Choice("explicit", left=-1)}, ValueError, "explicit: left must be at least 0, got -1"),
    ({"padding": Choice("explicit", left=math.inf)}, TypeError, "explicit: left must be an integer, got inf"),
    ({"padding": Choice("same_upper", odd_side="up")}, ValueError, "odd_side must be one of left, right, got 'up'"),
    ({"padding": "same", "stride": 2}, ValueError, "padding rule 'torch_same': stride must be 1, got 2"),
    ({"padding": "torch-left", "stride": 3}, ValueError, "padding rule 'torch-left': stride must be 1, got 3"),
    ({"padding_mode": "reflekt"}, LookupError, "unknown padding mode 'reflekt'. Did you mean 'reflect'? Known: circular, ", ""),
    ({"padding_mode": 0}, TypeError, "padding_mode must be a name, a Choice or a mapping with 'name', got 0 of type int"),
    ({"padding_mode": Choice("reflect", overflow="wrap")}, ValueError, "overflow must be one of error, periodic", "got 'wrap'"),
    ({"padding_mode": Choice("constant", value="1")}, TypeError, "constant: value must be a number, got '1' of type str"),
    ({"padding_mode": Choice("constant", value=True)}, TypeError, "constant: value must be a number, got True of type bool"),
    ({"padding_mode": Choice("constant", value=[1.0])}, ValueError, "one for each of the 4 input channels, got 1 values"),
    ({"padding_mode": Choice("constant", right=[1.0] * 5)}, ValueError, "one for each of the 4 input channels, got 5 values"),
    ({"padding_mode": ("zeros", Choice("constant", value=[1.0] * 3))}, ValueError, "of the 4 input channels, got 3 values"),
    ({"padding_mode": Choice("constant", value=[[1.0] * 4])}, ValueError, "constant: value must be a number or an array of shape (channels,)"),
    ({"padding_mode": Choice("constant", value=[])}, ValueError, "must be a number or an array of shape (channels,), got shape (0,)"),
    ({"padding_mode": Choice("linear_ramp", value=[1.0, math.nan, 0, 0])}, ValueError, "linear_ramp: value must be finite, got array"),
    ({"padding_mode": ("zeros",)}, ValueError, "padding_mode must be one mode or a pair of them, left and right, got ('zeros',)"),
    ({"padding_mode": ("zeros", "reflekt")}, LookupError, "unknown padding mode 'reflekt'", "Did you mean 'reflect'?"),
    ({"padding_mode": ("zeros", 3)}, TypeError, "padding_mode right must be a name, a Choice or a mapping"),
    ({"padding_mode": ("per_side", "zeros")}, ValueError, "padding_mode left must be the mode of one side, got 'per_side', which is a pair of modes"),
    ({"padding_mode": ("zeros", ("odd", "zeros"))}, TypeError, "padding_mode right must be a name, a Choice or a mapping"),
    ({"padding_mode": Choice("constant", learned=True)}, ValueError, "must not be learned on backend 'spy', whose layers have no"),
    ({"padding_mode": Choice("constant", left=0, right=1, learned=True)}, ValueError, "must learn one constant, 'padding_value'"),
    ({"padding_mode": Choice("zeros", learned=True)}, ValueError, "padding mode 'zeros' has no parameter 'learned'"),
    ({"padding_mode": Choice("constant", value=10**400)}, ValueError, "constant: value must fit a float"),
    ({"bias": 1}, TypeError, "bias must be of type bool, got 1 of type int"),
    ({"bias": "no"}, TypeError, "bias must be of type bool, got 'no' of type str"),
    ({"policy": "torhc"}, LookupError, "unknown policy 'torhc'. Did you mean 'torch'? Known: flax, ", ""),
    ({"policy": "mindspore@1"}, LookupError, "no policy for mindspore 1; known: mindspore for >=2.1,<2.11; mindspore@2.0 for ==2.0.*"),
    *[({"policy": value}, LookupError, f"unknown policy {value!r}; known: ") for value in (None, 3, [], {"name": "torch"})],
    ({"policy": cp.Policy("p", padding="nope")}, LookupError, "unknown padding rule 'nope'"),
    ({"policy": cp.Policy("p", layout="NCW")}, ValueError, "layout must name a layout of weights, got 'NCW'"),
    ({"backend": "nunpy"}, LookupError, "unknown backend 'nunpy'. Did you mean 'numpy'? Known: flax, flax-linen, keras, keras-jax, keras-torch, mindspore, numpy, paddle, ", ""),
    *[({"backend": value}, LookupError, f"unknown backend {value!r}; known: ") for value in (None, ["numpy"])],
    ({"weight_init": "he_unifrom"}, LookupError, "unknown initializer 'he_unifrom'", "Did you mean 'he_uniform'?"),
    ({"weight_init": True}, TypeError, "weight_init must be a name, a Choice or a mapping with 'name', got True of type bool"),
    ({"weight_init": [1.0]}, TypeError, "weight_init must be a name, a Choice or a mapping with 'name', got [1.0] of type list"),
    ({"weight_init": np.array(["a"])}, TypeError, "weight_init: array: values must be an array of real numbers, got dtype <U1"),
    ({"bias_init": np.zeros(6, complex)}, TypeError, "bias_init: array: values must be an array of real numbers, got dtype complex"),
    ({"weight_init": np.full((6, 4, 3), math.nan)}, ValueError, "values must contain only finite numbers, got NaN or infinity"),
    ({"bias_init": math.inf}, ValueError, "constant: value must be finite, got inf"),
    ({"bias_init": 10**400}, ValueError, "bias_init must fit a float"),
    ({"weight_init": Choice("normal", std=-1)}, ValueError, "normal: std must be at least 0, got -1"),
    ({"weight_init": Choice("normal", std=math.nan)}, ValueError, "normal: std must be finite, got nan"),
    ({"weight_init": Choice("normal", sd=1)}, ValueError, "initializer 'normal' has no parameter 'sd'", "Did you mean 'std'?"),
    ({"weight_init": Choice("he_normal", fan="in")}, ValueError, "he_normal: fan must be one of fan_in, fan_out", "got 'in'"),
    *[
        ({"dtype": value}, ValueError, f"dtype must be one of float32, float64 for backend 'spy', got {value!r}")
        for value in ("int32", "bfloat16", 3, np.int8, [])
    ],
    *[({"execution": value}, ValueError, f"execution must be one of exact, fast, auto, got {value!r}") for value in ("quick", None)],
    ({"seed": -1, "policy": "mindspore"}, ValueError, "seed must be at least 0, got -1"),
    ({"seed": 2**32, "policy": "mindspore"}, ValueError, "seed must be at most 4294967295, got 4294967296"),
    ({"seed": 2**64, "policy": "torch"}, ValueError, "seed must be at most 18446744073709551615, got 18446744073709551616"),
    ({"seed": -1, "policy": cp.Policy("mine")}, ValueError, "seed must be at least 0, got -1"),
    *[({"seed": value}, TypeError, f"seed must be an integer, got {value!r}") for value in (1.0, True, "1")],
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "builtin", "says"), [(a, b, s) for a, b, *s in ARGUMENTS], ids=[f"{row[0]}" for row in ARGUMENTS]
)
def test_arguments_of_conv1d(built, arguments, builtin, says):
    """Refused before the backend is asked, and before a random number is taken; the same call without it builds."""
    call = SIZES | {"backend": "spy"} | arguments
    state = np.random.get_state()[1:3]
    refused(lambda: cp.Conv1d(**call), builtin, *says)
    assert built == []
    assert [np.array_equal(a, b) for a, b in zip(np.random.get_state()[1:3], state)] == [True, True]
    cp.Conv1d(**SIZES, backend="spy")
    assert len(built) == 1


VALUES = [
    ({"weight_init": np.zeros((6, 4, 2))}, "weight_init: initializer 'array': values must have shape (6, 4, 3), got (6, 4, 2)"),
    ({"weight_init": np.zeros((6, 4, 3)), "groups": 2}, "values must have shape (6, 2, 3), got (6, 4, 3)"),
    ({"weight_init": np.zeros((4, 6, 3))}, "values must have shape (6, 4, 3), got (4, 6, 3)"),
    ({"weight_init": np.zeros(72)}, "values must have shape (6, 4, 3), got (72,)"),
    ({"bias_init": np.zeros(4)}, "bias_init: initializer 'array': values must have shape (6,), got (4,)"),
    ({"bias_init": np.zeros((6, 1))}, "values must have shape (6,), got (6, 1)"),
    ({"weight_init": "array"}, "values must have shape (6, 4, 3), got None"),
    ({"bias_init": "orthogonal"}, "bias_init: initializer 'orthogonal': it needs a weight of three axes, got shape (6,)"),
    ({"bias_init": "dirac"}, "bias_init: initializer 'dirac': it needs a weight of three axes, got shape (6,)"),
    ({"weight_init": Choice("truncated_normal", lower=2, upper=1)}, "lower must be below upper, got 2.0 and 1.0"),
    (
        {"weight_init": Choice("truncated_normal", lower=5, upper=6)},
        "must contain at least 0.001 of the distribution, got [5.0, 6.0]",
    ),
    (
        {"weight_init": Choice("uniform", low=1, high=0)},
        "low must be at most high and not infinitely far from it, got 1.0 and 0.0",
    ),
    ({"weight_init": Choice("uniform", low=1)}, "weight_init: initializer 'uniform': low and high must be passed together"),
    ({"weight_init": 1e39}, "weight_init: initializer 'constant' must draw finite values of float32, got NaN or infinity"),
    ({"bias_init": np.full(6, -1e39)}, "bias_init: initializer 'array' must draw finite values of float32, got NaN or infinity"),
    (
        {"weight_init": Choice("normal", std=1e300)},
        "must draw finite values of float32, got NaN or infinity with normal(std=1e+300)",
    ),
    ({"weight_init": Choice("he_normal", negative_slope=1e200)}, "initializer 'he_normal': negative_slope must be at most"),
]


@pytest.mark.parametrize(("arguments", "says"), VALUES, ids=[says[-30:] for _, says in VALUES])
def test_initial_values_that_do_not_fit(arguments, says):
    """Weights of the wrong shape and laws that hold no number are refused by the layer and by ``Policy.initial``."""
    refused(lambda: cp.Conv1d(**SIZES, **arguments), ValueError, says)
    groups = arguments.get("groups", 1)
    changed = TORCH.evolve(**{field: value for field, value in arguments.items() if field != "groups"})
    refused(lambda: changed.initial(**SIZES, groups=groups), ValueError, says)


def with_wrong_weight():
    """Return a layer whose weight was replaced by one of another shape."""
    layer = cp.Conv1d(**SIZES)
    layer.weight = np.zeros((6, 3, 4), "float32")
    return layer


INPUTS = [
    (lambda: cp.Conv1d(**SIZES)(DATA[0, 0]), ValueError, "input must have shape (batch, 4, length) or (4, length), got (9,)"),
    (lambda: cp.Conv1d(**SIZES)(DATA[None]), ValueError, "(batch, 4, length) or (4, length), got (1, 2, 4, 9)"),
    (lambda: cp.Conv1d(**SIZES)(DATA[:, :3]), ValueError, "(batch, 4, length) or (4, length), got (2, 3, 9)"),
    (lambda: cp.Conv1d(**SIZES)(DATA.transpose(0, 2, 1)), ValueError, "(4, length), got (2, 9, 4); put the channels before"),
    (lambda: cp.Conv1d(**SIZES)(DATA.astype("float64")), TypeError, "input must be float32 like the layer, got float64"),
    (lambda: cp.Conv1d(**SIZES)(DATA.astype("int64")), TypeError, "input must be float32 like the layer, got int64"),
    (lambda: cp.Conv1d(**SIZES, dtype="float64")(DATA), TypeError, "input must be float64 like the layer, got float32"),
    (lambda: cp.Conv1d(**SIZES)(None), TypeError, "input must be float32 like the layer, got object"),
    (lambda: cp.Conv1d(**SIZES)([[1.0], [1.0, 2.0]]), TypeError, "input must be an array of numbers, got rows of different lengths"),
    (lambda: cp.Conv1d(**SIZES)(DATA[..., :2]), ValueError, "input of length 2 is too short: padded to 2 samples", "of 3"),
    (lambda: cp.Conv1d(**SIZES, padding=2, dilation=4)(DATA[..., :4]), ValueError, "padded to 8 samples", "window of 9"),
    (lambda: cp.Conv1d(**SIZES, padding=4, padding_mode="reflect")(DATA[..., :4]), ValueError,
     "padding mode 'reflect' reaches at most 3 for length 4, the plan needs 4"),
    (lambda: cp.Conv1d(**SIZES, padding=(0, 5), padding_mode="circular")(DATA[..., :4]), ValueError,
     "padding mode 'circular' reaches at most 4 for length 4, the plan needs 5"),
    (lambda: cp.Conv1d(**SIZES, padding=5, padding_mode="symmetric")(DATA[..., :4]), ValueError, "at most 4 for length 4"),
    (lambda: cp.Conv1d(**SIZES, padding=5, padding_mode="replicate")(DATA[..., :0]), ValueError, "at most 0 for length 0"),
    (lambda: cp.Conv1d(**SIZES, padding=5, padding_mode=Choice("reflect", overflow="periodic"))(DATA[..., :0]), ValueError,
     "padding mode 'reflect' reaches at most 0 for length 0, the plan needs 5"),
    (lambda: with_wrong_weight()(DATA), ValueError, "weight must have shape (6, 4, 3), got (6, 3, 4)"),
    (lambda: cp.Conv1d(**SIZES, device="cuda"), ValueError, "device must be None or 'cpu' for backend 'numpy', got 'cuda'"),
]  # fmt: skip
CALLS = [
    (lambda: TORCH.plan(3, length=-1), ValueError, "length must be at least 0, got -1"),
    (lambda: TORCH.plan(3, length=2.5), TypeError, "length must be an integer, got 2.5 of type float"),
    (lambda: TORCH.plan(3, length=None), TypeError, "length must be an integer, got None"),
    (lambda: TORCH.plan(0, length=5), ValueError, "kernel_size must be at least 1, got 0"),
    (lambda: TORCH.plan(3, 0, length=5), ValueError, "stride must be at least 1, got 0"),
    (lambda: TORCH.evolve(padding=3, padding_mode="reflect").plan(3, length=3), ValueError, "reaches at most 2 for length 3"),
    (lambda: TORCH.plan(3, length=5).receptive_interval(3), ValueError, "output must be below length_out=3, got 3"),
    (lambda: TORCH.plan(3, length=5).receptive_interval(-1), ValueError, "output must be at least 0, got -1"),
    (lambda: TORCH.initial(4, 6, 3, 3), ValueError, "got in_channels=4 and groups=3"),
    (
        lambda: TORCH.initial(4, 6, 3, dtype="float8"),
        ValueError,
        "dtype must be one of float32, float64, float16, bfloat16, got 'float8'",
    ),
    (lambda: TORCH.initial(4, 6, 3, seed=None), TypeError, "seed must be an integer, got None"),
    (
        lambda: TORCH.evolve(paddding=1),
        ValueError,
        "a policy has no field 'paddding'. Did you mean 'padding'? It has: name, ",
        "",
    ),
    (lambda: TORCH.evolve(provider="me"), ValueError, "a policy has no field 'provider'"),
    (lambda: TORCH.evolve(name=3), TypeError, "name must be of type str, got 3 of type int"),
    (lambda: TORCH.evolve(layout="NCW"), ValueError, "layout must name a layout of weights, got 'NCW'"),
    (lambda: TORCH.evolve(data_layout="OIW"), ValueError, "data_layout must name a layout of data, got 'OIW'"),
    (lambda: TORCH.evolve(padding_names=((1, 2),)), TypeError, "padding_names must map names to padding rules, got ((1, 2),)"),
    (lambda: TORCH.evolve(padding_names=("same",)), TypeError, "padding_names must map names to padding rules, got ('same',)"),
    (lambda: TORCH.evolve(padding_names="ab"), TypeError, "padding_names must map names to padding rules, got 'ab'"),
    (lambda: TORCH.evolve(padding_names=3), TypeError, "padding_names must map names to padding rules, got 3"),
    (lambda: cp.Policy(3), TypeError, "name must be of type str, got 3 of type int"),
    (lambda: cp.Policy("p", padding=3), TypeError, "padding must be of type Choice, got 3 of type int"),
    (lambda: cp.policy("keras@2"), LookupError, "no policy for keras 2; known: keras for >=3,<4"),
    (lambda: cp.compare("torch", "flaxx", kernel_size=3, length=5), LookupError, "unknown policy 'flaxx'", "'flax'?"),
    (lambda: cp.compare("torch", "flax", kernel_size=0, length=5), ValueError, "kernel_size must be at least 1, got 0"),
    (lambda: cp.compare("torch", "flax", kernel_size=3, length="5"), TypeError, "length must be an integer, got '5'"),
    (lambda: cp.compare("torch", cp.Policy("p", padding="nope"), kernel_size=3, length=5), LookupError, "rule 'nope'"),
    (lambda: Choice(3), TypeError, "a Choice's name must be text, got 3 of type int"),
    (lambda: Choice("normal", std={}), TypeError, "normal: std must be a number, a name or an array, got {} of type dict"),
    (lambda: Choice("array", values=[[1], [1, 2]]), TypeError, "array: values must be an array of numbers, got rows of"),
    (lambda: Choice("array", values=[None]), TypeError, "array: values must be an array of real numbers, got dtype object"),
    (lambda: cp.Param(kind="text"), ValueError, "a Param's kind must be one of number, integer, offset, flag", "got 'text'"),
    (lambda: cp.PaddingRule(3, max), TypeError, "the name of a padding rule must be text, got 3 of type int"),
    (lambda: cp.unregister([]), LookupError, "unknown plugin []; known: commands"),
    (lambda: cp.register(object(), 3), TypeError, "name must be text, got 3 of type int"),
]


@pytest.mark.parametrize(
    ("call", "builtin", "says"), [(c, b, s) for c, b, *s in INPUTS + CALLS], ids=[row[2] for row in INPUTS + CALLS]
)
def test_inputs_and_other_calls(call, builtin, says):
    """What layers, plans, policies, comparisons, choices and plugins are given is refused in the same way."""
    refused(call, builtin, *says)

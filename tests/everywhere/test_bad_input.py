"""Bad input on PyTorch and MindSpore: the same sentences as on NumPy, and nothing built or drawn before them."""

from __future__ import annotations

import mindspore
import numpy as np
import pytest
import torch
from helpers.refusals import refused

import convpolicy as cp

pytestmark = pytest.mark.needs("torch", "mindspore")

Choice = cp.Choice
BACKENDS = ("torch", "mindspore")
TENSORS = {"torch": torch.from_numpy, "mindspore": mindspore.Tensor}
DATA = np.random.default_rng(0).standard_normal((2, 4, 9)).astype("float32")


def build(backend, **arguments):
    """Build a layer of four channels in and six out."""
    return cp.Conv1d(4, 6, arguments.pop("kernel_size", 3), backend=backend, **arguments)


def random_states():
    """Everything an unseeded layer draws from: NumPy's global state, which is MindSpore's too, and torch's."""
    _, keys, position, *_ = np.random.get_state()
    return keys.tolist(), position, torch.get_rng_state().tolist()


@pytest.fixture
def nothing_is_built(monkeypatch):
    """Fail as soon as a layer of either framework is constructed."""

    def never(self, *_arguments, **_keywords):
        raise AssertionError("a layer was built")

    monkeypatch.setattr(torch.nn.Module, "__init__", never)
    monkeypatch.setattr(mindspore.nn.Cell, "__init__", never)


ARGUMENTS = [
    ({"kernel_size": 0}, ValueError, "kernel_size must be at least 1, got 0"),
    ({"kernel_size": "3"}, TypeError, "kernel_size must be an integer, got '3' of type str"),
    ({"stride": -1}, ValueError, "stride must be at least 1, got -1"),
    ({"dilation": 1.5}, TypeError, "dilation must be an integer, got 1.5 of type float"),
    ({"groups": 3}, ValueError, "in_channels must be divisible by groups, got in_channels=4 and groups=3"),
    ({"stride": 2**63}, ValueError, "stride must be at most 9223372036854775807, got 9223372036854775808"),
    ({"padding": 2**70}, ValueError, "padding must be at most 9223372036854775807"),
    ({"padding": (1, 2, 3)}, ValueError, "padding must be one number for one spatial axis, got (1, 2, 3)"),
    ({"padding": "smae"}, LookupError, "unknown padding rule 'smae'", "Did you mean 'same'?"),
    ({"padding": "torch_same", "stride": 2}, ValueError, "padding rule 'torch_same': stride must be 1, got 2"),
    ({"padding_mode": "reflekt"}, LookupError, "unknown padding mode 'reflekt'", "Did you mean 'reflect'?"),
    ({"bias": 1}, TypeError, "bias must be of type bool, got 1 of type int"),
    ({"weight_init": "he_unifrom"}, LookupError, "unknown initializer 'he_unifrom'", "Did you mean 'he_uniform'?"),
    ({"seed": 2**64}, ValueError, "seed must be at most 18446744073709551615, got 18446744073709551616"),
    ({"dtype": "int32"}, ValueError, "dtype must be one of float32, float64, float16", "got 'int32'"),
    ({"policy": "keras@2"}, LookupError, "no policy for keras 2; known: keras for >=3,<4"),
]


@pytest.mark.usefixtures("nothing_is_built")
@pytest.mark.parametrize(
    ("arguments", "builtin", "says"), [(a, b, s) for a, b, *s in ARGUMENTS], ids=[f"{row[0]}" for row in ARGUMENTS]
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_arguments_are_refused_before_any_work(backend, arguments, builtin, says):
    """No layer of the framework is constructed and no random state moves."""
    before = random_states()
    refused(lambda: build(backend, **arguments), builtin, *says)
    assert random_states() == before


def test_building_is_noticed(nothing_is_built):
    """The check above can fail: a call that is not refused does construct a layer."""
    for backend in BACKENDS:
        with pytest.raises(AssertionError, match="a layer was built"):
            build(backend)


VALUES = [
    ({"weight_init": np.zeros((6, 4, 2))}, "weight_init: initializer 'array': values must have shape (6, 4, 3), got (6, 4, 2)"),
    ({"weight_init": np.zeros((6, 4, 1, 3))}, "values must have shape (6, 4, 3), got (6, 4, 1, 3)"),
    ({"bias_init": np.zeros(4), "bias": True}, "bias_init: initializer 'array': values must have shape (6,), got (4,)"),
    ({"bias_init": "dirac", "bias": True}, "bias_init: initializer 'dirac': it needs a weight of three axes, got shape (6,)"),
    (
        {"weight_init": Choice("uniform", low=1, high=0)},
        "low must be at most high and not infinitely far from it, got 1.0 and 0.0",
    ),
    ({"weight_init": 1e39}, "weight_init: initializer 'constant' must draw finite values of float32, got NaN or infinity"),
    ({"weight_init": 7e4, "dtype": "float16"}, "must draw finite values of float16, got NaN or infinity with constant(value=7"),
]


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize(("arguments", "says"), VALUES, ids=[says[-30:] for _, says in VALUES])
@pytest.mark.parametrize("backend", BACKENDS)
def test_initial_values_that_do_not_fit(backend, arguments, says, seed):
    """Weights of the wrong shape are refused whether seeded or not."""
    refused(lambda: build(backend, seed=seed, **arguments), ValueError, says)


INPUTS = [
    ({}, DATA[0, 0, 0], "input must have shape (batch, 4, length) or (4, length), got ()"),
    ({}, DATA[0, 0], "input must have shape (batch, 4, length) or (4, length), got (9,)"),
    ({}, DATA[None], "(4, length), got (1, 2, 4, 9)"),
    ({}, DATA[:, :3], "(4, length), got (2, 3, 9)"),
    ({}, DATA.transpose(0, 2, 1), "(4, length), got (2, 9, 4); put the channels before the length"),
    ({}, DATA[..., :0], "input of length 0 is too short: padded to 2 samples it is shorter than one window of 3"),
    ({"dilation": 4, "padding": (0, 2)}, DATA[..., :6], "padded to 8 samples it is shorter than one window of 9"),
    ({"padding_mode": "reflect"}, DATA[..., :2], "padding mode 'reflect' reaches at most 1 for length 2, the plan needs 2"),
    ({"padding_mode": "circular"}, DATA[..., :1], "padding mode 'circular' reaches at most 1 for length 1, the plan needs 2"),
    ({"padding_mode": "symmetric"}, DATA[..., :1], "padding mode 'symmetric' reaches at most 1 for length 1"),
    ({"padding_mode": "replicate"}, DATA[..., :0], "padding mode 'replicate' reaches at most 0 for length 0"),
]


@pytest.mark.parametrize(("arguments", "data", "says"), INPUTS, ids=[says[-35:] for _, _, says in INPUTS])
@pytest.mark.parametrize("backend", BACKENDS)
def test_input_of_a_layer_that_pads_by_a_plan(backend, arguments, data, says):
    """Wrong axes, wrong channels and too short an input are refused with the sizes wanted and the sizes that came."""
    layer = build(backend, **{"padding": "causal"} | arguments)
    refused(lambda: layer(TENSORS[backend](np.array(data, order="C"))), ValueError, says)


@pytest.mark.parametrize(
    "data", [DATA[0, 0], DATA[None], DATA[:, :3], DATA[..., :2]], ids=["1 axis", "4 axes", "channels", "short"]
)
def test_a_plain_torch_layer_raises_torchs_own_errors(data):
    """Where the layer is ``torch.nn.Conv1d`` itself, with nothing in its way, torch's own check speaks."""
    layer = build("torch")
    assert type(layer) is torch.nn.Conv1d
    with pytest.raises(RuntimeError):
        layer(torch.from_numpy(data.copy()))


@pytest.mark.parametrize("dtype", ["float64", "int64"])
@pytest.mark.parametrize("padding", [0, "causal"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_input_of_another_dtype_is_the_frameworks_to_refuse(backend, padding, dtype):
    """Nothing is converted silently: the framework's own error, which may depend on its casting modes, comes through."""
    layer = build(backend, padding=padding)
    with pytest.raises((TypeError, RuntimeError)):
        layer(TENSORS[backend](DATA.astype(dtype)))


def test_devices():
    """A device where the backend takes none, and a seed for a layer without values, are refused."""
    refused(lambda: build("mindspore", device="CPU"), ValueError, "device must be None for backend 'mindspore', got 'CPU'")
    refused(lambda: build("torch", device="meta", seed=1), ValueError, "seed must be None on device 'meta'", "got one")


@pytest.mark.parametrize(
    ("device", "builtin"), [("cpuu", ValueError), ("", ValueError), ("cuda:99", ValueError), (-1, ValueError), (1.5, TypeError)]
)
@pytest.mark.parametrize("arguments", [{}, {"padding": "causal"}, {"weight_init": "zeros"}, {"seed": 1}], ids=str)
def test_a_device_that_torch_has_not(device, builtin, arguments):
    """Each of the three kinds of layer, seeded or not, refuses it in one sentence and leaves torch's random state alone."""
    before = random_states()
    refused(
        lambda: build("torch", device=device, **arguments), builtin, f"device must be available in this torch, got {device!r}"
    )
    assert random_states() == before

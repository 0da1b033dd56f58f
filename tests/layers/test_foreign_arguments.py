"""Arguments and names as other frameworks write them: the error names the right one, and the signature stays torch's."""

from __future__ import annotations

import inspect

import pytest

import convpolicy as cp

SIZES = {"in_channels": 1, "out_channels": 1, "kernel_size": 3}
MEANT = {  # argument of another framework -> what the error says
    "has_bias": "Conv1d has no argument 'has_bias', which is the name in mindspore; pass bias=.",
    "use_bias": "Conv1d has no argument 'use_bias', which is the name in flax and keras; pass bias=.",
    "dilation_rate": "which is the name in keras; pass dilation=.",
    "kernel_dilation": "which is the name in flax; pass dilation=.",
    "strides": "which is the name in flax and keras; pass stride=.",
    "filters": "which is the name in keras; pass out_channels=.",
    "kernel_initializer": "which is the name in keras; pass weight_init=.",
    "weight_attr": "which is the name in paddle; pass weight_init=.",
    "group": "which is the name in mindspore; pass groups=.",
    "pad_mode": "Conv1d has no argument 'pad_mode'; pass padding=.",
    "auto_pad": "pass padding=.",
    "wieght_init": "Conv1d has no argument 'wieght_init'. Did you mean 'weight_init'? It has: in_channels, ",
    "activation": "Conv1d has no argument 'activation'; it has: in_channels, ",
}


@pytest.mark.parametrize("name", MEANT)
def test_a_foreign_argument_is_translated(name):
    """An argument of another framework's layer is a TypeError that says what to pass instead."""
    with pytest.raises(cp.InvalidTypeError) as error:
        cp.Conv1d(**SIZES, **{name: 1})
    assert MEANT[name] in str(error.value)


def test_the_signature_is_kept():
    """`inspect` and `help` show the arguments of torch's Conv1d first, and no catch-all; what Python refuses it refuses still."""
    parameters = inspect.signature(cp.Conv1d).parameters
    assert list(parameters)[:5] == ["in_channels", "out_channels", "kernel_size", "stride", "padding"]
    assert not {parameter.kind for parameter in parameters.values()} & {inspect.Parameter.VAR_KEYWORD}
    with pytest.raises(TypeError, match="kernel_size"):
        cp.Conv1d(1, 1)


NAMES = [
    ({"policy": "tf"}, "unknown policy 'tf'. Did you mean 'tensorflow'? Known: "),
    ({"policy": "PyTorch"}, "Did you mean 'torch'?"),
    ({"policy": "jax@1"}, "Did you mean 'flax'?"),
    ({"policy": "numpy"}, "Did you mean the backend 'numpy'?"),
    ({"backend": "tf"}, "Did you mean 'keras'?"),
    ({"padding": "SAME"}, "unknown padding rule 'SAME'. Did you mean 'same'? Known: "),
    ({"padding": cp.Choice("SAME_UPPER")}, "Did you mean 'same_upper'?"),
    ({"padding": "edge"}, "Did you mean the padding mode 'replicate'?"),
    ({"padding": "reflect"}, "Did you mean the padding mode 'reflect'?"),
    ({"padding_mode": "edge"}, "unknown padding mode 'edge'. Did you mean 'replicate'? Known: "),
    ({"padding_mode": "mirror"}, "Did you mean 'reflect'?"),
    ({"padding_mode": "wrap"}, "Did you mean 'circular'?"),
    ({"padding_mode": "constant0"}, "Did you mean 'zeros'?"),
    ({"padding_mode": "causal"}, "Did you mean the padding rule 'causal'?"),
    ({"weight_init": "glorot"}, "Did you mean 'glorot_uniform'?"),
]


@pytest.mark.parametrize(("arguments", "says"), NAMES, ids=[str(row[0]) for row in NAMES])
def test_a_foreign_name_gets_a_hint(arguments, says):
    """The hint comes before the list of known names."""
    with pytest.raises(LookupError) as error:
        cp.Conv1d(**SIZES, **arguments)
    assert says in str(error.value)


def test_dir_is_the_public_names():
    """Tab completion shows every verb, and nothing that was only imported."""
    assert set(dir(cp)) == {*cp.__all__, "__version__"}
    assert all(hasattr(cp, name) for name in dir(cp))

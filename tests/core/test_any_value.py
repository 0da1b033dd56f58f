"""Numbers too long to print, values without a repr, paths that are none: refused in one sentence, whatever the argument."""

from __future__ import annotations

import numpy as np
import pytest

import convpolicy as cp

HUGE = 10**5000  # longer than Python's limit for the text of an integer


class Wordless:
    """A value that cannot be printed."""

    def __repr__(self):
        raise RuntimeError("no words")

    __str__ = __repr__


VALUES = {
    "huge": (HUGE, "an integer of 5001 digits"),
    "minus": (-HUGE, "an integer of 5001 digits"),
    "wordless": (Wordless(), "an object of class Wordless"),
    "inside": ([HUGE, HUGE, HUGE], "an object of class list"),
}
ARGUMENTS = (
    "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias", "padding_mode", "policy",
    "backend", "weight_init", "bias_init", "seed", "dtype", "device", "execution", "weight_norm",
)  # fmt: skip


@pytest.mark.parametrize("argument", ARGUMENTS)
@pytest.mark.parametrize("value", VALUES)
def test_any_value_of_a_layer(argument, value):
    """Each argument refuses it, and says what it was."""
    came, says = VALUES[value]
    words = {"in_channels": 2, "out_channels": 2, "kernel_size": 3, argument: came}
    with pytest.raises(cp.ConvPolicyError) as error:
        cp.Conv1d(**words)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000
    if argument not in ("weight_init", "bias_init"):  # which read numbers and arrays of them
        assert says in str(error.value)


CALLS = {
    "plan": lambda value: cp.policy("torch").plan(3, length=value),
    "kernel": lambda value: cp.policy("torch").plan(value, length=3),
    "initial": lambda value: cp.policy("torch").initial(2, 2, 2, seed=value),
    "initial dtype": lambda value: cp.policy("torch").initial(2, 2, 2, dtype=value),
    "chain": lambda value: cp.chain([("torch", 3)]).plans(value),
    "chain of": cp.chain,
    "compare": lambda value: cp.compare("torch", value, kernel_size=3, length=9),
    "policy": cp.policy,
    "stream": lambda value: cp.random_stream("torch", value),
    "words": lambda value: cp.Policy("mine", mode_names=value),
    "choice": lambda value: cp.policy("torch").evolve(padding={"name": "explicit", "left": value}),
    "parameter": lambda value: cp.policy("torch").evolve(padding_mode=cp.Choice("constant", value=value)),
    "file": cp.load_policy,
    "save": cp.policy("torch").save,
    "build": lambda value: cp.capture(cp.Conv1d(1, 1, 1)).build(value),
    "capture": cp.capture,
    "unregister": cp.unregister,
    "register": lambda value: cp.register(object(), value),
    "from_dict": lambda value: cp.Policy.from_dict({"schema": value, "name": "a"}),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("value", VALUES)
def test_any_value_of_a_call(call, value):
    """A ConvPolicyError in one line."""
    with pytest.raises(cp.ConvPolicyError) as error:
        CALLS[call](VALUES[value][0])
    assert "\n" not in str(error.value)


def test_arrays_where_names_belong():
    """An array is no name, and is not compared element by element."""
    for argument in ("execution", "dtype", "backend", "policy", "padding_mode", "device"):
        with pytest.raises(cp.ConvPolicyError):
            cp.Conv1d(2, 2, 3, **{argument: np.zeros(3)})


NAMES = ["torch", "mindspore", "mindspore@2.0", "tensorflow", "paper/encodec"]


@pytest.mark.parametrize("name", NAMES)
def test_a_built_in_name_is_not_a_new_policy(name):
    """``Policy(name)`` for ``policy(name)`` is refused, however it is written; changed copies keep the name."""
    cp.plugins()
    for make in (
        lambda: cp.Policy(name),
        lambda: cp.Policy(name, bias=False, padding="causal"),
        lambda: cp.Policy.from_dict({"schema": 1, "name": name}),
        lambda: cp.Policy("mine").evolve(name=name),
    ):
        with pytest.raises(cp.InvalidValueError, match="the name of a built-in policy; call"):
            make()
    assert cp.policy(name).evolve(bias=False).name == name
    assert cp.Policy.from_dict(cp.policy(name).to_dict()) == cp.policy(name)


def test_a_built_in_name_before_anything_is_loaded(run_python):
    """A policy made before the registry is loaded is refused when it is used."""
    code = "import convpolicy as cp\np = cp.Policy('torch')\ntry:\n    p.plan(3, length=9)\nexcept cp.InvalidValueError as error:\n    print(error)"
    assert "call convpolicy.policy('torch') for that one" in run_python(code)


@pytest.fixture
def run_python():
    """What a fresh Python prints."""
    import subprocess
    import sys

    return lambda code: (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    )


def test_words_in_another_order_are_the_same_policy():
    """As files write tables after words; a word twice is refused."""
    words = {"A": {"name": "circular", "overflow": "periodic"}, "B": "zeros"}
    one, two = (cp.policy("torch").evolve(mode_names=dict(order)) for order in (words.items(), reversed(words.items())))
    assert (one, hash(one)) == (two, hash(two))
    assert one != cp.policy("torch").evolve(mode_names=words | {"B": "circular"})
    for field, part in (("mode_names", "zeros"), ("init_names", "zeros"), ("padding_names", "valid")):
        with pytest.raises(cp.InvalidValueError, match=f"{field} must have every name once, got 'x' more than once"):
            cp.Policy("mine", **{field: (("x", part), ("x", part))})

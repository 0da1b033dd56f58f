"""Functions of a plugin's parts that fail, or that have another signature: a PluginError that names the part and the plugin."""

from __future__ import annotations

import numpy as np
import pytest

import convpolicy as cp


def broken(*arguments, **keywords):
    """Fail."""
    raise KeyError("seven")


def alone(only):
    """A function of one argument."""


MODE = cp.PaddingMode("sea", lambda positions, length: positions % length)
PARTS = {  # what is wrong -> hook, part, fields of a policy that uses it, what the error says
    "mode, other arguments": ("modes", cp.PaddingMode("sea", alone), {"padding_mode": "sea"},
                              r"padding mode 'sea' \(ocean\): source failed for length 9: TypeError: alone\(\) takes 1.*it must be \(positions, length\) -> indices"),
    "mode fails": ("modes", cp.PaddingMode("sea", broken), {"padding_mode": "sea"}, r"'sea' \(ocean\): source failed .*KeyError: 'seven'"),
    "no pairs": ("modes", cp.PaddingMode("sea", lambda at, n: [(1.0, at * 0, 3)]), {"padding_mode": "sea"},
                 r"'sea' \(ocean\) must return pairs of a coefficient and indices, got a tuple of 3; it is \(positions, length\) -> "),
    "not finite": ("modes", cp.PaddingMode("sea", lambda at, n: [(np.inf, at * 0)]), {"padding_mode": "sea"},
                   r"'sea' \(ocean\) must return finite coefficients, got inf"),
    "coefficient of another shape": ("modes", cp.PaddingMode("sea", lambda at, n: [(np.ones(7), at * 0)]), {"padding_mode": "sea"},
                                     r"must return coefficients of the shape of positions, \(1,\), got shape \(7,\)"),
    "indices of another shape": ("modes", cp.PaddingMode("sea", lambda at, n: [(1.0, at * 0), (1.0, np.zeros(4, int))]),
                                 {"padding_mode": "sea"}, r"must return indices of the shape of positions, \(1,\), got shape \(4,\)"),
    "a term outside": ("modes", cp.PaddingMode("sea", lambda at, n: [(1.0, at * 0), (1.0, at * 0 + n)]), {"padding_mode": "sea"},
                       r"'sea' \(ocean\) must return integers in \[0, 9\) or -1, got \[9\]"),
    "limit fails": ("modes", cp.PaddingMode("sea", MODE.source, limit=broken), {"padding_mode": "sea"},
                    r"'sea' \(ocean\): limit failed for length 9: KeyError: 'seven'"),
    "limit is text": ("modes", cp.PaddingMode("sea", MODE.source, limit=str), {"padding_mode": "sea"},
                      r"'sea' \(ocean\): limit failed for length 9: InvalidTypeError: limit must be an integer, got '9'"),
    "rule, other arguments": ("rules", cp.PaddingRule("sea", alone), {"padding": "sea"}, r"padding rule 'sea' \(ocean\) failed for kernel 3"),
    "rule, three numbers": ("rules", cp.PaddingRule("sea", lambda *_: (0, 1, 2)), {"padding": "sea"},
                            r"padding rule 'sea' \(ocean\) must return \(left, right\), got \(0, 1, 2\)\."),
    "rule, one number": ("rules", cp.PaddingRule("sea", lambda *_: 1), {"padding": "sea"}, r"must return \(left, right\), got 1\."),
    "rule fails": ("rules", cp.PaddingRule("sea", broken), {"padding": "sea"}, r"'sea' \(ocean\) failed for kernel 3.*length None: KeyError: 'seven'\.$"),
    "no pair": ("modes", cp.PaddingMode("sea", lambda at, n: [0.5, at * np.ones(2, int)]), {"padding_mode": "sea"},
                r"'sea' \(ocean\) must return indices, or a list of \(coefficient, indices\), got \[0\.5, array"),
    "needs_length fails": ("rules", cp.PaddingRule("sea", lambda *_: (1, 1), needs_length=broken), {"padding": "sea"},
                           r"padding rule 'sea' \(ocean\): needs_length failed for kernel 3.*KeyError: 'seven'"),
    "initializer, other arguments": ("inits", cp.Initializer("sea", alone), {"weight_init": "sea"}, r"initializer 'sea' \(ocean\) failed for shape"),
    "check fails": ("inits", cp.Initializer("sea", alone, check=broken), {"weight_init": "sea"},
                    r"initializer 'sea' \(ocean\): check failed for shape \(2, 2, 3\): KeyError: 'seven'"),
    "stream, other arguments": ("streams", cp.RandomStream("sea", lambda: None), {"random_stream": "sea"},
                                r"random stream 'sea' \(ocean\) failed to start with seed 0: TypeError"),
}  # fmt: skip


class Plugin:
    """A plugin with one part."""

    def __init__(self, kind, part):
        self.parts = {kind: [part]}

    @cp.hookimpl
    def convpolicy_padding_modes(self):
        return self.parts.get("modes", [])

    @cp.hookimpl
    def convpolicy_padding_rules(self):
        return self.parts.get("rules", [])

    @cp.hookimpl
    def convpolicy_initializers(self):
        return self.parts.get("inits", [])

    @cp.hookimpl
    def convpolicy_random_streams(self):
        return self.parts.get("streams", [])


@pytest.mark.parametrize("fault", PARTS)
def test_a_function_that_fails_names_its_plugin(fault):
    """Whatever it raises; the same policy without the part works."""
    kind, part, fields, says = PARTS[fault]
    cp.register(Plugin(kind, part), "ocean")
    try:
        policy = cp.policy("torch").evolve(padding=1).evolve(**fields)
        with pytest.raises(cp.ConvPolicyError, match=says) as error:
            cp.Conv1d(2, 2, 3, policy=policy, seed=0)(np.zeros((2, 9), "float32"))
        assert type(error.value).__name__ == "PluginError"
        assert "\n" not in str(error.value)
    finally:
        cp.unregister("ocean")


class Silent(Exception):
    """An error whose text cannot be read."""

    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit, Silent, KeyboardInterrupt])
@pytest.mark.parametrize(
    "fault", ["mode fails", "limit fails", "needs_length fails", "check fails", "rule", "initializer", "stream"]
)
def test_a_function_that_leaves(fault, error):
    """One that ends the process, or raises what nobody can print, is a PluginError too; Ctrl-C passes through."""

    def leaving(*arguments, **keywords):
        raise error

    kind, part, fields = {
        "mode fails": ("modes", cp.PaddingMode("sea", leaving), {"padding_mode": "sea"}),
        "no pairs": (
            "modes",
            cp.PaddingMode("sea", lambda at, n: [(1.0, at * 0, 3)]),
            {"padding_mode": "sea"},
            r"'sea' \(ocean\) must return pairs of a coefficient and indices, got a tuple of 3; it is \(positions, length\) -> ",
        ),
        "not finite": (
            "modes",
            cp.PaddingMode("sea", lambda at, n: [(np.inf, at * 0)]),
            {"padding_mode": "sea"},
            r"'sea' \(ocean\) must return finite coefficients, got inf",
        ),
        "coefficient of another shape": (
            "modes",
            cp.PaddingMode("sea", lambda at, n: [(np.ones(7), at * 0)]),
            {"padding_mode": "sea"},
            r"must return coefficients of the shape of positions, \(1,\), got shape \(7,\)",
        ),
        "indices of another shape": (
            "modes",
            cp.PaddingMode("sea", lambda at, n: [(1.0, at * 0), (1.0, np.zeros(4, int))]),
            {"padding_mode": "sea"},
            r"must return indices of the shape of positions, \(1,\), got shape \(4,\)",
        ),
        "a term outside": (
            "modes",
            cp.PaddingMode("sea", lambda at, n: [(1.0, at * 0), (1.0, at * 0 + n)]),
            {"padding_mode": "sea"},
            r"'sea' \(ocean\) must return integers in \[0, 9\) or -1, got \[9\]",
        ),
        "limit fails": ("modes", cp.PaddingMode("sea", MODE.source, limit=leaving), {"padding_mode": "sea"}),
        "needs_length fails": ("rules", cp.PaddingRule("sea", lambda *_: (1, 1), needs_length=leaving), {"padding": "sea"}),
        "check fails": ("inits", cp.Initializer("sea", alone, check=leaving), {"weight_init": "sea"}),
        "rule": ("rules", cp.PaddingRule("sea", leaving), {"padding": "sea"}),
        "initializer": ("inits", cp.Initializer("sea", leaving), {"weight_init": "sea"}),
        "stream": ("streams", cp.RandomStream("sea", leaving), {"random_stream": "sea"}),
    }[fault]
    cp.register(Plugin(kind, part), "ocean")
    try:
        policy = cp.policy("torch").evolve(padding=1).evolve(**fields)
        with pytest.raises(error if error is KeyboardInterrupt else cp.ConvPolicyError) as caught:
            cp.Conv1d(2, 2, 3, policy=policy, seed=0)(np.zeros((2, 9), "float32"))
        assert error is KeyboardInterrupt or "(ocean)" in str(caught.value)
    finally:
        cp.unregister("ocean")


@pytest.mark.parametrize(
    ("name", "param"), [("value", cp.Param(kind="array")), ("left", cp.Param(kind="flag")), ("overflow", cp.Param(1.0))]
)
def test_a_parameter_of_a_mode_with_a_meaning_of_its_own(name, param):
    """A constant or an overflow rule of another kind is refused when the mode is made."""
    with pytest.raises(
        cp.InvalidValueError, match=f"the parameter '{name}' of padding mode 'sea' must be of kind .*, got '{param.kind}'"
    ):
        cp.PaddingMode("sea", MODE.source, params={name: param})
    assert cp.PaddingMode("sea", MODE.source, params={"value": cp.Param(1.5)}).params["value"].default == 1.5


def test_a_parameter_of_its_own_reaches_the_function():
    """``source`` gets it by keyword, at its default or as chosen, beside the width where it asks for that."""

    def shelf(positions, length, depth, width):
        return [(depth, np.full_like(positions, width % length))]

    part = cp.PaddingMode("sea", shelf, needs_width=True, params={"depth": cp.Param(2.0), "value": cp.Param(0.0)})
    cp.register(Plugin("modes", part), "ocean")
    try:
        for words, depth in (({}, 2.0), ({"depth": -0.5}, -0.5)):
            plan = cp.policy("torch").evolve(padding=(3, 1), padding_mode=cp.Choice("sea", **words)).plan(1, length=5)
            assert plan.padded(np.arange(1.0, 6.0)[None])[0].tolist() == [depth * 4] * 3 + [1, 2, 3, 4, 5] + [depth * 2]
    finally:
        cp.unregister("ocean")


@pytest.mark.parametrize("params", [{"value": 3}, {5: cp.Param()}, ["value"], None])
def test_parameters_that_are_none(params):
    """A part is refused when it is made, not when somebody lists it."""
    with pytest.raises(cp.InvalidTypeError, match="params must map names to Param, got"):
        cp.PaddingRule("sea", alone, params=params)


MASKED = np.ma.masked_array(np.ones((1, 2, 9), "float32"), mask=np.arange(18).reshape(1, 2, 9) == 3)


@pytest.mark.parametrize("call", [
    lambda: cp.Conv1d(2, 2, 3)(MASKED),
    lambda: cp.Conv1d(2, 2, 3)(MASKED[0]),
    lambda: cp.Conv1d(2, 1, 9, weight_init=MASKED),
    lambda: cp.Policy("mine", bias_init=cp.Choice("array", values=MASKED)),
    lambda: cp.layouts()["WIO"].from_oiw(MASKED),
    lambda: cp.layouts()["NWC"].from_ncw(MASKED),
    lambda: cp.why(cp.Conv1d(2, 2, 3), cp.Conv1d(2, 2, 3), MASKED),
    lambda: cp.why(cp.Conv1d(2, 2, 3), MASKED, MASKED.filled(0)),
])  # fmt: skip
def test_a_masked_array_is_refused(call):
    """Its masked numbers would be computed with."""
    with pytest.raises(
        cp.InvalidTypeError, match=r"must be an array without a mask, got a masked array; pass array.filled\(number\)"
    ):
        call()

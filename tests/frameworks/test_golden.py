"""Stored measurements of the real frameworks, old versions too, against the core alone: no framework is imported here.

``tests/golden/measure.py`` made the files; test_golden_everywhere.py runs it again on the frameworks installed now.
"""

from __future__ import annotations

import functools
import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
from helpers.paths import GOLDEN

import convpolicy as cp
from convpolicy.frameworks.keras import depthwise

# stored file -> the policy that claims it
CLAIMED = {
    "torch-2.13.0": "torch", "torch-1.9.0": "torch@1.9.0", "mindspore-2.0.0": "mindspore@2.0.0",
    "mindspore-2.7.0": "mindspore@2.7.0", "mindspore-2.8.0": "mindspore@2.8.0", "mindspore-2.9.0": "mindspore@2.9.0",
    "mindspore-2.10.0": "mindspore", "keras-3.15.1": "keras", "keras-torch-3.15.1": "keras-torch",
    "keras-jax-3.15.1": "keras-jax", "flax-0.12.0": "flax", "flax-linen-0.12.0": "flax-linen", "paddle-3.3.1": "paddle",
}  # fmt: skip
NARROW_BEFORE_2 = ("float16", "bfloat16")  # torch 1.9 draws these from fewer bits; the policy holds for float32 and float64


@functools.cache
def stored(name: str) -> dict:
    """One stored measurement."""
    return json.loads((GOLDEN / f"{name}.json").read_text())


def checksum(array) -> str:
    """As measure.py makes it: over float64 in C order."""
    return hashlib.sha256(np.ascontiguousarray(array, "<f8").tobytes()).hexdigest()


def drawn_layers(policy, seed: int, dtype: str, shapes):
    """Every layer of a measurement, in order, from one stream; linen's are top-level modules, so each starts afresh."""
    stream = cp.random_stream(policy.name, seed)
    layout = policy.part("layout")[0]
    for ins, outs, kernel, groups in shapes:
        stream = cp.random_stream(policy.name, seed) if policy.name == "flax-linen" else stream
        yield layout.pack(policy.initial(ins, outs, kernel, groups, stream=stream, dtype=dtype), groups)


def test_every_stored_file_is_claimed():
    """Every stored measurement is compared with a policy; every policy with a framework has one, or `verify` alone measures it."""
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(CLAIMED)
    framework = {name for name in cp.policies() if cp.policy(name).framework} - {"tensorflow"}  # which is keras
    framework -= {*depthwise.NAMES.values(), "flax-transpose-kernel", "flax-linen-transpose-kernel"}  # whose Conv1d is flax's
    assert framework == {cp.policy(name).name for name in CLAIMED.values()}


@pytest.mark.parametrize("name", CLAIMED)
def test_initial_weights_are_the_frameworks_own(name):
    """Weight and bias of twelve layers in a row, for every seed and dtype measured: every bit."""
    golden = stored(name)
    policy = cp.policy(CLAIMED[name]).evolve(bias=True)
    values = 0
    for measured in golden["weights"]:
        if name == "torch-1.9.0" and measured["dtype"] in NARROW_BEFORE_2:
            continue
        drawn = drawn_layers(policy, measured["seed"], measured["dtype"], golden["shapes"])
        for shape, ours, theirs in zip(golden["shapes"], drawn, measured["layers"]):
            case = (measured["seed"], measured["dtype"], shape)
            assert list(ours) == list(theirs), case
            for parameter, array in ours.items():
                assert list(array.shape) == theirs[parameter]["shape"], case
                assert array.astype(float).reshape(-1)[:3].tolist() == theirs[parameter]["first"], (*case, parameter)
                assert checksum(array) == theirs[parameter]["sha256"], (*case, parameter)
                values += array.size
    assert values > 6 * 100_000


@pytest.mark.parametrize("name", [name for name in CLAIMED if stored(name)["same"]])
def test_same_padding_is_the_frameworks_own(name):
    """First and last window of every size measured: the very samples and zeros that the framework's 'same' put there."""
    policy = cp.policy(CLAIMED[name]).evolve(padding="same")
    compared = refused = 0
    for case in stored(name)["same"]:
        kernel, stride, dilation, length = case["sizes"]
        if case["windows"] is None:
            refused += 1
            continue
        plan = policy.plan(kernel, stride, dilation, length=length)
        padded = [0] * plan.left + list(range(1, length + 1)) + [0] * plan.right
        taps = range(0, plan.effective_kernel, dilation)
        assert plan.length_out == case["windows"]["count"], case
        assert [padded[tap] for tap in taps] == case["windows"]["first"], case
        last = (plan.length_out - 1) * stride
        assert [padded[last + tap] for tap in taps] == case["windows"]["last"], case
        compared += 1
    assert compared >= 60
    assert refused in (0, 60, 120)


@pytest.mark.parametrize(("name", "field", "wrong"), [
    ("torch-2.13.0", "weight_init", cp.Choice("he_uniform", negative_slope=2.25)),
    ("mindspore-2.10.0", "random_stream", "torch"),
    ("mindspore-2.0.0", "weight_init", cp.Choice("normal", std=0.010001)),
    ("torch-2.13.0", "bias_init", "zeros"),
])  # fmt: skip
def test_another_law_or_stream_is_noticed(name, field, wrong):
    """A policy with a wrong distribution, scale or stream fails the comparison above; equal in law is not equal in bits."""
    golden = stored(name)
    policy = cp.policy(CLAIMED[name]).evolve(bias=True, **{field: wrong})
    measured = golden["weights"][0]
    stream = policy.start_stream(measured["seed"])
    layout = policy.part("layout")[0]
    ours = [layout.pack(policy.initial(*shape, stream=stream), shape[3]) for shape in golden["shapes"]]
    equal = [checksum(o[p]) == t[p]["sha256"] for o, t in zip(ours, measured["layers"]) for p in t]
    assert not all(equal)


def test_drawing_imports_no_framework():
    """A process that draws from every policy's stream has none of the frameworks loaded."""
    code = (
        "import sys, convpolicy as cp\n"
        "for name in cp.policies(): cp.policy(name).initial(3, 6, 5, groups=3, seed=1)\n"
        "print(sorted({'torch', 'mindspore', 'keras', 'tensorflow', 'jax', 'flax', 'paddle', 'scipy'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_a_copy_of_the_layers_in_another_order_differs():
    """A stream has state: the second layer of a stream is not the first of another."""
    for name in ("torch", "mindspore", "keras", "flax", "paddle"):
        stream = cp.random_stream(name, 3)
        first, second = (cp.policy(name).initial(3, 4, 5, stream=stream)["weight"] for _ in range(2))
        assert np.array_equal(first, cp.policy(name).initial(3, 4, 5, seed=3)["weight"])
        assert not np.array_equal(first, second)

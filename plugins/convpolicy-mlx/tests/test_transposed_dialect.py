"""Code written for ``mlx.nn.ConvTranspose1d``, and its code written for others, is executed and computes what the source layer does."""

from __future__ import annotations

import importlib.util
import random

import numpy as np
import pytest
from translating import CUSTOMARY, Batch

import convpolicy as cp
from convpolicy import testing

OTHERS = [name for name in ("torch", "keras", "flax") if importlib.util.find_spec(name) is not None]
PAIRS = [pair for other in OTHERS for pair in ((other, "mlx"), ("mlx", other))]
CALLS = {
    "mlx": "nn.ConvTranspose1d(4, 8, {kernel}, {stride}, dilation={dilation}, bias={bias}, {crop})",
    "torch": "nn.ConvTranspose1d(4, 8, {kernel}, {stride}, dilation={dilation}, bias={bias}, {crop})",
    "keras": "layers.Conv1DTranspose(8, {kernel}, {stride}, use_bias={bias}, {crop})",
    "flax": "nnx.ConvTranspose(4, 8, ({kernel},), {stride}, kernel_dilation={dilation}, use_bias={bias}, {crop}, rngs=nnx.Rngs(0))",
}
CROPS = {
    "mlx": [f"padding={padding}, output_padding={more}" for padding in (0, 1, 2, 4) for more in (0, 1, 2)],
    "torch": [f"padding={padding}, output_padding={more}" for padding in (0, 1, 2, 4) for more in (0, 1)],
    "keras": ['padding="same"', 'padding="valid"', 'padding="same", output_padding=1'],
    "flax": [f"padding={padding}" for padding in ('"SAME"', '"VALID"', '"CIRCULAR"', "[(1, 2)]", 0)],
}
ROUNDS = 3  # random sizes for each crop
LENGTHS = (9, 12)
FAULTS = {  # what is replaced in the translation of torch's layer, by what
    "output_padding dropped": (", output_padding=1", ""),
    "padding dropped": (", padding=1", ""),
    "padding of MLX beyond the kernel": (", padding=1", ", padding=4"),
}


def calls(framework, rounds):
    """Yield (call, sizes): every crop with random sizes, ``rounds`` times."""
    draw = random.Random(3)
    for _round in range(rounds):
        for crop in CROPS[framework]:
            sizes = {"kernel": draw.choice((1, 2, 3, 4, 5)), "stride": draw.choice((1, 2, 3)), "bias": draw.choice((True, False))}
            sizes["dilation"] = 1 if framework == "keras" else draw.choice((1, 1, 2))
            yield CALLS[framework].format(**sizes, crop=crop), sizes


def weights_of(kernel):
    """Random weights (in, out, kernel) of a layer of 4 -> 8 channels."""
    draw = np.random.default_rng(kernel)
    return {name: draw.standard_normal(shape, dtype=np.float32) for name, shape in (("weight", (4, 8, kernel)), ("bias", (8,)))}


def translated(code, source, target):
    """The translation, or None where it is refused."""
    try:
        return cp.translate(code, source, target, in_channels=4)
    except cp.ConvPolicyError:
        return None


@pytest.fixture(scope="module")
def batch(request):
    """Everything this file executes: the batch, and the keys of its results."""
    rounds = ROUNDS if request.config.getoption("--grid") else 1
    ran, grid, wrong = Batch(), {pair: [] for pair in PAIRS}, {}
    inputs = [np.random.default_rng(length).standard_normal((2, 4, length), dtype=np.float32) for length in LENGTHS]
    for source in ("mlx", *OTHERS):
        for call, sizes in calls(source, rounds):
            weights = weights_of(sizes["kernel"])
            own = ran.add(source, CUSTOMARY[source] + f"layer = {call}", weights, inputs)
            for target in (target for name, target in PAIRS if name == source):
                code = translated(call, source, target)
                key = None if code is None else ran.add(target, code, weights, inputs)
                grid[source, target].append((call, code, sizes, own, key))
    if "torch" in OTHERS:
        call = "nn.ConvTranspose1d(4, 8, 3, 2, padding=1, output_padding=1)"
        own = ran.add("torch", CUSTOMARY["torch"] + f"layer = {call}", weights_of(3), inputs)
        right = cp.translate(call, "torch", "mlx")
        for fault, (old, new) in FAULTS.items():
            assert right.count(old) == 1, (fault, right)
            wrong[fault] = own, ran.add("mlx", right.replace(old, new), weights_of(3), inputs)
    ran.run()
    return ran, grid, wrong


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_crop(batch, source, target):
    """Outputs are equal up to rounding; what is refused, the source refuses, or the target cannot do."""
    ran, grid, _wrong = batch
    computed = 0
    for call, code, sizes, own, key in grid[source, target]:
        there = ran[own]
        if key is None:
            strided = target == "keras" and sizes["stride"] > 1 and sizes["dilation"] > 1
            assert strided or isinstance(there, str), call
        elif target == "keras" and sizes["dilation"] > 1:
            assert "TensorFlow cannot run a dilated transposed convolution" in code
        elif not isinstance(there, str) and all(output.size for output in there):
            assert ran.alike(own, key, transposed=True), (call, code, ran[key])
            computed += 1
    assert computed >= len(grid[source, target]) // 3


@pytest.mark.skipif("torch" not in OTHERS, reason="torch is not installed")
@pytest.mark.parametrize("fault", FAULTS)
def test_wrong_translations_are_rejected(batch, fault):
    """The comparison fails for each of them."""
    ran, _grid, wrong = batch
    assert not ran.alike(*wrong[fault], transposed=True), ran[wrong[fault][1]]


def test_what_mlx_means_by_a_wide_padding():
    """From the effective kernel on, MLX cuts input samples; the translation cuts the same, and names are assumed to stay below."""
    code = cp.translate("nn.ConvTranspose1d(4, 8, 2, 3, padding=2)", "mlx", "torch")
    left, right = cp.policy("mlx").half().evolve(padding=2).static_pads(2, 3, 1)
    assert f"padding={left})" in code
    assert left == right == 4
    page = cp.translate_page("nn.ConvTranspose1d(4, 8, k, s, padding=p)", "mlx", "torch")[0].code
    assert "padding=p" in page
    assert "padding is assumed to be below the effective kernel" in page
    wide = cp.translate("nn.ConvTranspose1d(4, 8, 2, 3, padding=2)", "torch", "mlx")
    assert "padding=" not in wide
    assert "lambda x: x[:, 2 : x.shape[1] - 2]" in wide
    names = cp.translate_page("nn.ConvTranspose1d(4, 8, k, s, padding=p)", "torch", "mlx")[0].code
    assert "lambda x: x[:, p : max(x.shape[1] - p, 0)]" in names


@pytest.mark.parametrize(("call", "message"), [
    ("nn.ConvTranspose1d(4, 8, 3, padding=(1,))", "padding must be an integer, got .1,., which mlx.nn.ConvTranspose1d refuses"),
    ("nn.ConvTranspose1d(4, 8, 3, groups=2)", "has no argument 'groups'"),
])  # fmt: skip
def test_what_mlx_refuses_is_refused(call, message):
    """With the argument, what came, and the fix; and groups, which the class lacks, cannot be written."""
    with pytest.raises(cp.InvalidValueError, match=message):
        cp.translate(call, "mlx", "torch")
    with pytest.raises(cp.InvalidValueError, match=r"groups must be left out for mlx, whose nn\.ConvTranspose1d has no such"):
        cp.translate("nn.ConvTranspose1d(4, 8, 3, groups=2)", "torch", "mlx")


def test_the_kit():
    """The conformance kit reads back what the dialect writes, transposed layers included."""
    testing.check_dialect("mlx", max_examples=20)

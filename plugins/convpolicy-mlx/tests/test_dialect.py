"""Code written for MLX, and code of MLX written for others, is executed and computes what the source layer does."""

from __future__ import annotations

import importlib.util

import attrs
import numpy as np
import pytest
from translated_calls import INITIALIZERS, LENGTHS, ROUNDS, WIDE, calls
from translating import CUSTOMARY, Batch, output_of

import convpolicy as cp
from convpolicy.translation.reading import Request
from convpolicy.translation.writing import write
from convpolicy_mlx.dialect import dialect

OTHERS = [name for name in CUSTOMARY if name != "mlx" and importlib.util.find_spec(name) is not None]
PAIRS = [pair for other in OTHERS for pair in ((other, "mlx"), ("mlx", other))]
FAULTS = {  # title -> source call, what is replaced in the translation, by what
    "sides swapped": ('nn.Conv1d(4, 8, 4, padding="same", padding_mode="reflect")', "(1, 2)", "(2, 1)"),
    "mode dropped": ('nn.Conv1d(4, 8, 4, padding=2, padding_mode="reflect")', ', mode="reflect"', ""),
    "another mode": ('nn.Conv1d(4, 8, 4, padding=2, padding_mode="reflect")', '"reflect"', '"symmetric"'),
    "circular from the wrong end": ('nn.Conv1d(4, 8, 4, padding=2, padding_mode="circular")', "mx.arange(-2,", "mx.arange(-1,"),
    "stride dropped": ("nn.Conv1d(4, 8, 4, stride=2)", ", stride=2", ""),
    "dilation dropped": ("nn.Conv1d(4, 8, 4, dilation=2)", ", dilation=2", ""),
    "bias dropped": ("nn.Conv1d(4, 8, 4)", "nn.Conv1d(4, 8, 4)", "nn.Conv1d(4, 8, 4, bias=False)"),
}
ACTIVATIONS = ("relu", "relu6", "sigmoid", "tanh", "elu", "selu", "silu", "swish", "gelu", "leaky_relu", "softmax", "softplus")


def weights_of(sizes):
    """Random weights of a layer of 4 -> 8 channels."""
    draw = np.random.default_rng([sizes["kernel"], sizes["groups"]])
    shapes = {"weight": (8, 4 // sizes["groups"], sizes["kernel"]), "bias": (8,)}
    return {name: draw.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}


def inputs_of(sizes):
    """Random inputs (batch, channels, length), the first no longer than the effective kernel, or 3."""
    effective = max((sizes["kernel"] - 1) * sizes["dilation"] + 1, 3)
    return [np.random.default_rng(more).standard_normal((2, 4, effective + more), dtype=np.float32) for more in LENGTHS]


def translated(code, source, target, **more):
    """The translation, or None where it is refused."""
    try:
        return cp.translate(code, source, target, in_channels=4, **more)
    except cp.ConvPolicyError:
        return None


@pytest.fixture(scope="module")
def batch(request):
    """Everything this file executes: the batch, and the keys of its results."""
    rounds = ROUNDS if request.config.getoption("--grid") else 1
    ran, grid, drawn, special = Batch(), {pair: [] for pair in PAIRS}, [], {}
    for source in ("mlx", *OTHERS):
        targets = [target for name, target in PAIRS if name == source]
        for call, sizes in calls(source, rounds):
            weights, inputs = weights_of(sizes), inputs_of(sizes)
            own = ran.add(source, CUSTOMARY[source] + f"layer = {call}", weights, inputs)
            for target in targets:
                code = translated(call, source, target)
                key = None if code is None else ran.add(target, code, weights, inputs)
                grid[source, target].append((call, code, sizes, own, key))
        data = np.zeros((1, 64, 9), np.float32)
        for words in INITIALIZERS[source]:
            call = WIDE[source].format(words)
            own = ran.add(source, CUSTOMARY[source] + f"layer = {call}", None, [data])
            for target in targets:
                code = cp.translate(call, source, target, in_channels=64)
                drawn.append((call, code, own, ran.add(target, code, None, [data])))
    sizes = {"kernel": 4, "stride": 1, "dilation": 1, "groups": 1}
    weights, inputs = weights_of(sizes), inputs_of(sizes)
    codes = {("torch", fault): (call, cp.translate(call, "torch", "mlx"), old, new) for fault, (call, old, new) in FAULTS.items()}
    for (source, title), (call, code, old, new) in codes.items():
        assert code.count(old) == 1, (title, code)
        key = ran.add("mlx", code.replace(old, new), weights, inputs)
        special[title] = (ran.add(source, CUSTOMARY[source] + f"layer = {call}", weights, inputs), key)
    if "keras" in OTHERS:
        for name in ACTIVATIONS:
            call = f'layers.Conv1D(8, 4, padding="causal", activation="{name}")'
            key = ran.add("mlx", cp.translate(call, "keras", "mlx", in_channels=4), weights, inputs)
            special[name] = (ran.add("keras", CUSTOMARY["keras"] + f"layer = {call}", weights, inputs), key)
    names = "dim, k, p, s, b = 4, 4, 2, 1, True\n"
    for call in (
        'nn.Conv1d(dim, 2 * dim, k, s, p, bias=b, padding_mode="zeros")',
        'nn.Conv1d(dim, 8, k, padding=2, padding_mode="circular", bias=b)',
    ):
        code = cp.translate_page(call, "torch", "mlx")[0].code.replace("layer1", "layer")
        special[call] = (
            ran.add("torch", CUSTOMARY["torch"] + names + f"layer = {call}", weights, inputs),
            ran.add("mlx", names + code, weights, inputs),
        )
    ran.run()
    return ran, grid, drawn, special


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_padding(batch, source, target):
    """Outputs for three lengths are equal up to rounding; what is refused, the source refuses, or the target cannot do."""
    ran, grid, *_others = batch
    computed = 0
    for call, code, sizes, own, key in grid[source, target]:
        there = ran[own]
        if key is None:
            strided = target == "keras" and sizes["stride"] > 1 and sizes["dilation"] > 1
            assert strided or isinstance(there, str), call
        elif isinstance(there, str):  # a reflection wider than the shortest input
            assert "pad" in there.lower(), (call, there)
        else:
            assert ran.alike(own, key), (call, code, ran[key])
            computed += 1
    assert computed >= len(grid[source, target]) // 3


@pytest.mark.parametrize("title", [*FAULTS, *ACTIVATIONS])
def test_faults_are_rejected_and_activations_are_equal(batch, title):
    """The comparison fails for each wrong translation, and holds for each activation."""
    ran, _grid, _drawn, special = batch
    if title not in special:
        pytest.skip("Keras is not installed")
    own, key = special[title]
    assert ran.alike(own, key) == (title in ACTIVATIONS), ran[key]


def test_sizes_that_are_names(batch):
    """A translated page runs where its names are defined."""
    ran, _grid, _drawn, special = batch
    for title, (own, key) in special.items():
        if title not in (*FAULTS, *ACTIVATIONS):
            assert ran.alike(own, key), (title, ran[own], ran[key])


def largest_gap(a, b):
    """The two-sample Kolmogorov-Smirnov statistic."""
    both = np.sort(np.concatenate([a, b]))
    ranks = [np.searchsorted(np.sort(sample), both, side="right") / sample.size for sample in (a, b)]
    return np.abs(ranks[0] - ranks[1]).max()


def same_distribution(a, b):
    """Whether two samples may be of one distribution: Smirnov's bound with an error of 1e-9, and for constants equality."""
    a, b = a.ravel().astype(float), b.ravel().astype(float)
    if a.size != b.size or not np.ptp(a) or not np.ptp(b):
        return a.size == b.size and bool(np.allclose(np.unique(a), np.unique(b), rtol=2.0**-22, atol=0))
    return largest_gap(a, b) <= np.sqrt(-np.log(1e-9 / 2) / a.size)


def test_initial_values_have_the_same_distribution(batch):
    """Weight and bias against those that the source framework draws; the comparison tells wrong distributions apart."""
    ran, _grid, drawn, _special = batch
    for call, code, own, key in drawn:
        there, here = ran[own], ran[key]
        assert not isinstance(there, str), (call, there)
        assert not isinstance(here, str), (call, code, here)
        for role in ("weight", "bias"):
            if f"# initial {role}:" not in code:
                assert same_distribution(there[role], here[role]), (role, call, code)
            else:
                assert "Dirac" in call, (call, code)
    draw = np.random.default_rng(0)
    sample = draw.normal(0, 0.05, 30720)
    assert same_distribution(sample, draw.normal(0, 0.05, 30720))
    assert not any(same_distribution(sample, draw.normal(mean, std, 30720)) for mean, std in ((0, 0.055), (0.005, 0.05)))


REFUSED = {
    "nn.Conv1d(4, 8, (3,))": r"kernel_size must be an integer, got \(3,\), which mlx.nn.Conv1d refuses",
    "nn.Conv1d(4, 8, 3, padding=(1, 1))": r"padding must be an integer, got \(1, 1\)",
    "nn.Conv1d(4, 8, 3, padding='same')": "padding must be an integer, got 'same'",
    "nn.Conv1d(4, 8, 3, padding=-1)": "padding must be 0 or more, got -1, which crops the input in MLX",
    "nn.Conv1d(4, 8, 3, padding_mode='reflect')": "mlx.nn.Conv1d has no argument 'padding_mode'",
    "mx.conv_transpose1d(x, w)": "mlx.core.conv_transpose1d cannot be translated: it has no weights; write mlx.nn.ConvTranspose1d",
}


@pytest.mark.parametrize("call", REFUSED)
def test_what_mlx_refuses_is_refused(call):
    """With the argument, what came, and the fix."""
    with pytest.raises(cp.InvalidValueError, match=REFUSED[call]):
        cp.translate(call, "mlx", "torch")


def asked(mode):
    """What a call with 5 and 7 samples of a mode asks for."""
    policy = cp.policy("torch").evolve(padding=(5, 7), padding_mode=mode)
    sizes = {"in_channels": 4, "out_channels": 8, "kernel_size": 3, "stride": 1, "dilation": 1, "groups": 1}
    return Request("torch", sizes, policy)


@pytest.mark.parametrize("mode", ["reflect", "symmetric", "circular"])
def test_pads_wider_than_the_input(mode):
    """MLX folds as often as the periodic modes of convpolicy do."""
    request = asked(cp.Choice(mode, overflow="periodic"))
    snippet = write(request, dialect())
    assert "wider than the input" not in snippet.code
    own = cp.Conv1d(4, 8, 3, padding=(5, 7), padding_mode=request.policy.padding_mode, seed=0)
    names: dict = {}
    exec(snippet.code, names)
    cp.backends()["mlx"].assign(names["layer"].layers[1], {"weight": own.weight, "bias": own.bias})
    for length in range(1, 15):
        data = np.random.default_rng(length).standard_normal((2, 4, length), dtype=np.float32)
        assert np.allclose(output_of("mlx", names["layer"], data), own(data), rtol=0, atol=1e-5)


def test_what_mlx_cannot_express_is_refused():
    """A padding mode that MLX does not have, and samples cut away, which ``mx.pad`` refuses when the layer runs."""
    with pytest.raises(cp.InvalidValueError, match=r"one of zeros, replicate, reflect, .* for mlx, got 'constant\(value=1.0\)'"):
        write(asked(cp.Choice("constant", value=1.0)), dialect())
    cut = attrs.evolve(asked("zeros"), policy=cp.policy("torch").evolve(padding=cp.Choice("crop", left=1, right=2)))
    with pytest.raises(cp.InvalidValueError, match=r"padding must add 0 samples or more to be written for mlx, got -1 and -2"):
        write(cut, dialect())


def test_a_dtype_is_a_statement():
    """The class has no argument for it; the layer that the code builds has it, also behind a layer that pads."""
    for call, path in (
        ("nn.Conv1d(4, 8, 3, dtype=torch.float16)", ""),
        ("nn.Conv1d(4, 8, 3, padding=1, padding_mode='reflect', dtype=torch.bfloat16)", ".layers[1]"),
    ):
        names = {}
        exec(cp.translate(call, "torch", "mlx"), names)
        layer = eval(f"layer{path}", names)
        assert str(layer.weight.dtype) == str(layer.bias.dtype) == f"mlx.core.{call.rpartition('torch.')[2][:-1]}"


def test_a_page_is_read_by_its_imports():
    """Whatever name a file imports MLX by."""
    page = "import mlx.nn as layers\nfrom mlx.nn import Conv1d as C\na = layers.Conv1d(4, 8, 3)\nb = C(4, 8, n, 2, p)\n"
    first, second = cp.translate_page(page, "mlx", "torch")
    assert "a = nn.Conv1d(4, 8, 3)" in first.code
    assert "b = nn.Conv1d(4, 8, n, stride=2, padding=p)" in second.code


def test_what_stands_around_a_call():
    """A cast is the dtype, other layers are listed, and a name that is not certainly MLX's is refused."""
    page = "import mlx.nn as nn\nimport mlx.core as mx\na = nn.Conv1d(4, 8, 3)\na.set_dtype(mx.float16)\nb = nn.ConvTranspose1d(4, 8, 3)\nc = nn.Linear(3, 4)\nd = mx.conv1d(x, w)\n"
    rows = cp.translate_page(page, "mlx", "torch" if "torch" in OTHERS else OTHERS[0])
    assert [row.code is not None for row in rows] == [True, True, False, False]
    assert "float16" in rows[0].code
    assert (
        "may not be mlx.nn.Conv1d"
        in cp.translate_page("from .layers import Conv1d\na = Conv1d(4, 8, 3)", "mlx", "torch")[0].reason
    )

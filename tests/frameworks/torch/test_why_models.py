"""`why` of two torch models: the module that differs, the setting that differs in it, and the line that mends it."""

from __future__ import annotations

import copy
import itertools

import attrs
import numpy as np
import pytest
import torch
from helpers.torch_faults import FAULTS, LENGTHS, faulty, network, numbers
from torch import nn

import convpolicy as cp
from convpolicy.diagnosis.models import units
from convpolicy.diagnosis.models.comparing import follows
from convpolicy.diagnosis.models.units import Unit
from convpolicy.models.readers import reader_of
from convpolicy.models.recording import record


@pytest.fixture(scope="module")
def a():
    """The model that is compared with."""
    return network()


def state(model):
    """What must not change: parameters, buffers, modes and hooks."""
    return (
        {name: value.clone() for name, value in model.state_dict().items()},
        [module.training for module in model.modules()],
        [(len(module._forward_hooks), len(module._forward_pre_hooks)) for module in model.modules()],
        nn.Module.__call__,
    )


def same(one, other):
    """Compare two states."""
    return one[1:] == other[1:] and all(torch.equal(one[0][name], value) for name, value in other[0].items())


def test_equal_models(a):
    """A copy is equal to the bit in every module; the models are left as they were."""
    b = network()
    before = state(a), state(b)
    diagnosis = cp.why(a, b, numbers())
    assert (diagnosis.verdict, diagnosis.causes, diagnosis.notes) == ("equal to the bit", (), ())
    assert {row.verdict for row in diagnosis.rows} == {"equal"}
    assert len(diagnosis.rows) == 22
    assert same(before[0], state(a))
    assert same(before[1], state(b))


@pytest.mark.parametrize("name", sorted(set(FAULTS) - LENGTHS - {"dtype"}))
def test_one_fault(a, name):
    """The module and what differs in it; the line that it prints mends it."""
    b = faulty(name)
    diagnosis = cp.why(a, b, numbers())
    _change, path, aspect = FAULTS[name]
    found = {(cause.path_b or cause.path_a, cause.aspect) for cause in diagnosis.causes}
    assert (path, aspect) in found
    assert {at for at, _aspect in found} == {path}
    assert not diagnosis.equal
    wrong = [row for row in diagnosis.rows if row.verdict in ("differs", "only in a", "only in b", "unseen")]
    assert {row.path_b or row.path_a for row in wrong} <= {path}
    if diagnosis.fix and "…" not in diagnosis.fix:
        exec(diagnosis.fix, {"model": b, "nn": nn, "diagnosis": diagnosis})
        assert cp.why(a, b, numbers()).equal, diagnosis.fix


@pytest.mark.parametrize("name", sorted(LENGTHS))
def test_faults_that_change_the_length(name):
    """In front of modules that take any length."""
    one, other = (
        nn.Sequential(*list(model)[:11], nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 4))
        for model in (network(), faulty(name))
    )
    other[-1].load_state_dict(one[-1].state_dict())
    diagnosis = cp.why(one.eval(), other.eval(), numbers())
    found = {(cause.path_b, cause.aspect) for cause in diagnosis.causes}
    assert FAULTS[name][1:] in found
    assert {path for path, _aspect in found} == {FAULTS[name][1]}


PAIRS = [
    ("batch norm", "gelu"),
    ("statistics", "dropout"),
    ("kernel", "layer norm"),
    ("function", "linear"),
    ("nearest", "transposed"),
]


@pytest.mark.parametrize("names", PAIRS, ids="+".join)
def test_two_faults(a, names):
    """Both are named, each in its module, although the second inherits the error of the first."""
    diagnosis = cp.why(a, faulty(*names), numbers())
    found = {(cause.path_b, cause.aspect) for cause in diagnosis.causes}
    assert found >= {FAULTS[name][1:] for name in names}
    assert {path for path, _aspect in found} == {FAULTS[name][1] for name in names}


def test_another_dtype(a):
    """A model in bfloat16: the dtype is the cause, and nothing else."""
    diagnosis = cp.why(a, network().bfloat16(), numbers())
    assert {cause.aspect for cause in diagnosis.causes} == {"dtype"}


def test_momentum_is_a_note(a):
    """What matters in training only does not make models differ."""
    b = network()
    b[1].momentum = 0.01
    diagnosis = cp.why(a, b, numbers())
    assert diagnosis.equal
    assert diagnosis.notes == ("1: momentum is 0.99 in b and 0.9 in a; it matters in training only",)


def test_an_epsilon_that_does_not_show_is_a_note():
    """Next to a large variance another epsilon changes nothing here, and would next to a small one."""
    pair = [network(), network()]
    for model, eps in zip(pair, (1e-5, 1e-6), strict=True):
        model[1].running_var *= 1e6
        model[1].eps = eps
    diagnosis = cp.why(*pair, numbers())
    assert diagnosis.equal
    assert diagnosis.notes == ("1: eps is 1e-06 in b and 1e-05 in a; it changes this output by no more than rounding",)


class Twice(nn.Module):
    """Code of its own between the modules."""

    def __init__(self, factor):
        super().__init__()
        self.first, self.second, self.factor = nn.Linear(8, 8), nn.Linear(8, 8), factor

    def forward(self, x):
        return self.second(self.first(x) * self.factor)


def test_code_that_is_no_module():
    """A difference that no module makes is said to arise in code that is not seen, before the right module."""
    one, other = Twice(1.0), Twice(1.1)
    other.load_state_dict(one.state_dict())
    diagnosis = cp.why(one, other, numbers()[0, :, :8])
    assert [(cause.path_b, cause.aspect) for cause in diagnosis.causes] == [("second", "unseen")]


def test_modules_by_name(a):
    """Two branches of one shape that run in another order and under other names are matched by ``names``."""

    class Branches(nn.Module):
        def __init__(self, seeds, order):
            super().__init__()
            self.order = order
            for name, seed in seeds.items():
                torch.manual_seed(seed)
                self.add_module(name, nn.Linear(8, 8))

        def forward(self, x):
            outputs = {name: self.get_submodule(name)(x) for name in self.order}
            return torch.cat([outputs[name] for name, _module in sorted(self.named_children(), key=lambda pair: pair[0] in "lp")])

    def own_errors(a, b, names=None):
        return [row.own for row in cp.why(a, b, x, names=names).rows if row.own is not None]

    x = numbers()[0, :, :8]
    one, other = Branches({"k": 1, "l": 2}, "kl"), Branches({"p": 2, "q": 1}, "pq")
    assert own_errors(one, other) == [0.0, 0.0]  # equal weights are found in any order
    for parameter in other.parameters():
        parameter.data += 1e-3
    assert min(own_errors(one, other)) > 0.1
    assert 1e-4 < max(own_errors(one, other, {"k": "q"})) < 0.1


def test_a_function_with_named_arrays(a):
    """Arrays of another program, with their axes in another order, in place of the first model."""

    def program(x, function=nn.GELU("tanh")):
        with torch.no_grad():
            conv = a[0](torch.from_numpy(x))
            normal = a[1](conv)
            return {"conv": conv.numpy().transpose(0, 2, 1), "normal": normal.numpy(), "out": function(a[2](normal)).numpy()}

    b = nn.Sequential(a[0], a[1], a[2], nn.GELU()).eval()
    names = {"conv": "0", "normal": "1", "out": "3"}
    diagnosis = cp.why(program, b, numbers(), names=names)
    assert [row.verdict for row in diagnosis.rows] == ["equal", "equal", "differs"]
    assert cp.why(lambda x: program(x, nn.GELU()), b, numbers(), names=names).equal
    with pytest.raises(ValueError, match="names must say which module of b is 'conv'"):
        cp.why(program, b, numbers())
    with pytest.raises(TypeError, match="a must return a dict from name to array"):
        cp.why(lambda x: x, b, numbers())


def test_tokens_stay_integers():
    """An embedding receives integers; an embedding with two rows exchanged is found."""
    one = nn.Sequential(nn.Embedding(20, 8), nn.Linear(8, 3))
    other = copy.deepcopy(one)
    other[0].weight.data[[3, 4]] = other[0].weight.data[[4, 3]]
    tokens = np.arange(20).reshape(2, 10)
    assert cp.why(one, copy.deepcopy(one), tokens).equal
    (cause,) = cp.why(one, other, tokens).causes
    assert (cause.path_b, cause.aspect, cause.text) == ("0", "weight", "weight: its rows have another order")


def test_formulas(a, monkeypatch):
    """Every formula gives what its module computed, and one that is a little off does not."""
    recording = record("a", reader_of(a), numbers())
    made = [Unit((call,), recording.reader) for call in recording.leaves()]

    def agreeing():
        found = {unit.title: follows(unit.computed(unit.inputs), unit.output, unit.dtype) for unit in made}
        return {title: answer for title, answer in found.items() if title != "flatten"}

    assert set(agreeing().values()) == {True}
    assert len(agreeing()) == 15
    for kind, formula in units.FORMULAS.items():

        def off(x, settings, arrays, formula=formula):
            result = formula(x, settings, arrays)
            return attrs.evolve(result, values=result.values * 1.0001 + 1e-4)

        monkeypatch.setitem(units.FORMULAS, kind, off)
    assert {title for title, answer in agreeing().items() if answer} == {"convolution"}


def test_the_report(a):
    """The text names path, kind and cause and holds a row for each pair; the plain data are JSON."""
    import json

    diagnosis = cp.why(a, faulty("batch norm"), numbers())
    text = str(diagnosis)
    assert text.splitlines()[0].startswith("One cause. Largest difference of the outputs: ")
    assert "  1 (batch norm): eps is 0.001 in b and 1e-05 in a" in text
    assert "model.get_submodule('1').eps = 1e-05" in text
    assert len(text.splitlines()) == 6 + len(diagnosis.rows)
    plain = json.loads(json.dumps(diagnosis.to_dict()))
    assert (plain["equal"], plain["fix"], len(plain["rows"])) == (False, diagnosis.fix, len(diagnosis.rows))
    assert "<table" in diagnosis._repr_html_()
    assert list(itertools.islice(diagnosis.changed, 1)) == []


class Cut(nn.Module):
    """Drops outputs at both ends, as the positional convolution of wav2vec 2.0 does at one."""

    def __init__(self, left, right):
        super().__init__()
        self.left, self.right = left, right

    def forward(self, x):
        return x[..., self.left : x.shape[-1] - self.right]


@pytest.mark.parametrize(
    ("cut", "stride", "own", "right"),
    [((0, 1), 1, (7, 8), (8, 7)), ((2, 3), 1, (5, 6), (6, 5)), ((1, 0), 3, (8, 5), (5, 8))],
)
def test_a_convolution_whose_output_is_cut(cut, stride, own, right):
    """It is one with less padding: the change of b has the padding that is left, and its line mends b."""
    torch.manual_seed(0)
    conv, layer = nn.Conv1d(4, 4, 16, stride, 8), cp.Conv1d(4, 4, 16, stride=stride, padding=own, backend="torch")
    layer.load_state_dict(conv.state_dict())
    a, b = nn.Sequential(conv, Cut(*cut), nn.GELU()), nn.Sequential(layer, nn.GELU())
    diagnosis = cp.why(a, b, numbers())
    assert [(cause.path_a, cause.path_b, cause.text) for cause in diagnosis.causes] == [
        ("0 + 1", "0", f"in b: padding={right} instead of {own}")
    ]
    exec(diagnosis.fix, {"model": b, "diagnosis": diagnosis})
    assert cp.why(a, b, numbers()).equal
    assert cp.why(a, nn.Sequential(nn.Conv1d(4, 4, 16, stride, 8), nn.GELU()), numbers()).causes

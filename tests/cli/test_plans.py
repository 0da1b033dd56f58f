"""``convpolicy plan`` and ``compare``: policies with settings, sizes with defaults, drawings that show what differs."""

from __future__ import annotations

import pytest
from helpers.command_line import json_of, run

import convpolicy as cp
from convpolicy.cli.plans import LEGEND, ROWS
from convpolicy.cli.policies import policy_of
from convpolicy.comparison.drawing import draw

MEANT = {  # what is written -> the policy and the changes meant
    "torch:padding=1": ("torch", {"padding": 1}),
    "torch:2": ("torch", {"padding": 2}),
    "torch:3,1": ("torch", {"padding": (3, 1)}),
    "torch:padding=3,1,bias=False": ("torch", {"padding": (3, 1), "bias": False}),
    "keras:same": ("keras", {"padding": "same"}),
    "flax:REFLECT": ("flax", {"padding": "REFLECT"}),
    "mindspore@2.0:valid, bias=true": ("mindspore@2.0", {"padding": "valid", "bias": True}),
    "torch:causal,padding_mode=reflect,zeros": ("torch", {"padding": "causal", "padding_mode": ("reflect", "zeros")}),
    "torch:padding_mode=constant(value=1.5),padding=2": (
        "torch",
        {"padding_mode": cp.Choice("constant", value=1.5), "padding": 2},
    ),
    "torch:same_static(odd_side=left)": ("torch", {"padding": cp.Choice("same_static", odd_side="left")}),
    "torch:weight_init=0.5,bias_init=normal(std=0.1)": (
        "torch",
        {"weight_init": 0.5, "bias_init": cp.Choice("normal", std=0.1)},
    ),
    "paper/encodec:weight_norm=None,layout=WIO": ("paper/encodec", {"weight_norm": None, "layout": "WIO"}),
}


@pytest.mark.parametrize("word", MEANT)
def test_settings_are_evolves(word):
    """Each setting is that of `Policy.evolve`, in any order, also with commas in it; the policy is called as it was written."""
    name, changes = MEANT[word]
    assert policy_of(word) == cp.policy(name).evolve(**changes).evolve(name=word)


def test_files_take_settings(tmp_path):
    """A file is found whatever colons its name has; settings follow its suffix."""
    path = tmp_path / "a:b.toml"
    mine = cp.policy("flax").evolve(name="mine", padding="causal")
    mine.save(path)
    assert policy_of(str(path)) == mine
    assert policy_of(f"{path}:padding=2") == mine.evolve(padding=2).evolve(name="mine:padding=2")
    assert policy_of("torch") is cp.policy("torch")


REFUSED = {
    "torch:": "padding needs a value in 'torch:'",
    "torch:bias=": "bias needs a value",
    "torch:pading=1": "no setting 'pading', as in 'torch:pading=1'. Did you mean 'padding'? It has: padding,",
    "torch:padding=1,padding=2": "'padding' occurs twice",
    "torch:bias=maybe": "bias must be True or False, got 'maybe'",
    "torch:reflect": "unknown padding rule 'reflect'. Did you mean the padding mode 'reflect'?",
    "torch:cousal": "Did you mean 'causal'?",
    "torch:padding=half(": "padding must be a name or name(",
    "torhc:same": "unknown policy 'torhc'",
    f"torch:weight_init={'-' * 5000}1": "unknown initializer '-----",
    "torch:weight_norm=5": "weight_norm must be None, False or an axis",
    "missing.toml:same": "missing.toml: No such file",
}


@pytest.mark.parametrize("word", REFUSED)
def test_bad_settings_are_one_sentence(word):
    """Status 2, and one line on stderr that says what is wrong."""
    result = run("plan", word)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert REFUSED[word] in result.stderr


def test_sizes_have_defaults():
    """Without sizes a plan has kernel size 4, stride 1 and length 10, at which frameworks pad differently; the help says so."""
    assert json_of("plan", "mindspore")["kernel_size"] == 4
    assert run("plan", "mindspore").stdout.startswith(str(cp.policy("mindspore").plan(4, length=10)))
    plans = {(plan.left, plan.right) for plan in (cp.policy(name).plan(4, length=10) for name in ("torch", "mindspore"))}
    assert plans == {(0, 0), (1, 2)}
    shown = run("plan", "--help").stdout
    assert "[default: 4]" in shown
    assert "[default: 10]" in shown
    assert run("init", "torch").stdout.startswith("parameter")


def test_equal_drawings_are_drawn_once():
    """Two policies that read the same samples get one drawing; its head names both."""
    words = ("compare", "torch:padding=1", "keras:same", "--stride", "2")
    shown = run(*words).stdout
    plan = cp.policy("keras").evolve(padding="same").plan(4, 2, length=10)
    assert shown.count("output 0") == 1
    assert (
        f"torch:padding=1 and keras:same read the same samples at length {plan.length}\n{draw(plan, rows=ROWS)}\n\n{LEGEND}\n"
        in shown
    )


def test_other_drawings_stand_side_by_side():
    """Two short drawings stand in one row of 80 columns, the name of each above it; long ones below one another."""
    shown = run("compare", "torch", "mindspore").stdout
    drawn = shown.partition("\n\n")[2].splitlines()
    edge = drawn[0].index("mindspore")
    left, right = ([line[:edge].rstrip() for line in drawn[:-2]], [line[edge:] for line in drawn[:-2]])
    for name, block in (("torch", left), ("mindspore", right)):
        assert "\n".join(block) == f"{name}\n{draw(cp.policy(name).plan(4, length=10), rows=ROWS)}"
    assert max(map(len, drawn)) <= 80
    assert "\n\nmindspore\n" in run("compare", "torch", "mindspore", "--length", "40").stdout


def test_a_refused_plan_is_not_drawn():
    """Where one policy refuses the sizes, the table has its sentence and only the other is drawn."""
    shown = run("compare", "torch:same", "keras:same", "--stride", "2").stdout
    assert "refused: padding rule 'torch_same'" in shown
    assert shown.count("output 0") == 1
    assert "\n\nkeras:same\n" in shown

"""Transposed convolutions on the command line: the option, the setting, and what they draw and count."""

from __future__ import annotations

import json

import pytest
from helpers.command_line import json_of, run

import convpolicy as cp
from convpolicy.cli.plans import LEGENDS
from convpolicy.cli.policies import policy_of
from convpolicy.comparison.drawing import draw

TORCH = cp.policy("torch").half()


@pytest.mark.parametrize(
    ("words", "padding"),
    [
        (["torch", "--transposed"], 0),
        (["torch:transposed"], 0),
        (["torch:transposed,padding=3,1"], (3, 1)),
        (["torch:transposed,causal"], "causal"),
        (["torch", "--transposed", "--padding=3,-1"], (3, -1)),
        (["torch:transposed,padding=2,output_padding=1"], cp.Choice("explicit", left=2, right=2, output_padding=1)),
        (
            ["torch", "--transposed", "--padding=2", "--output-padding=1"],
            cp.Choice("explicit", left=2, right=2, output_padding=1),
        ),
    ],
)
def test_plan(words, padding):
    """The option and the setting give the plan of the transposed half, as text with its drawing and as JSON."""
    sizes = ["--kernel-size=7", "--stride=3", "--length=6"]
    plan = TORCH.evolve(padding=padding).plan(7, 3, length=6)
    assert run("plan", *words, *sizes).stdout == f"{plan}\n\n{draw(plan)}\n\n{LEGENDS[True]}\n"
    assert cp.TransposedPlan.from_dict(json_of("plan", *words, *sizes)) == plan


def test_a_policy_with_settings_is_renamed_and_still_transposed():
    """It no longer claims to be the framework; without settings it is the half itself."""
    assert policy_of("torch:transposed") == TORCH == policy_of("torch", transposed=True)
    changed = policy_of("torch:transposed,bias=False")
    assert (changed.name, changed.bias, changed.framework, changed.is_transposed) == ("torch:bias=False", False, "", True)


def test_a_file_of_a_transposed_policy(tmp_path):
    """`save` and `load_policy` keep the kind, and the command line reads the file."""
    path = tmp_path / "mine.toml"
    mine = TORCH.evolve(name="mine", padding="causal")
    mine.save(path)
    assert cp.load_policy(path) == mine == policy_of(str(path))
    assert json_of("plan", str(path), "--stride=2") == json.loads(json.dumps(mine.plan(4, 2, length=10).to_dict()))
    with pytest.raises(cp.ConvPolicyError, match="policy key 'transposed' must be a table, got True"):
        cp.Policy.from_dict(mine.to_dict())
    with pytest.raises(cp.ConvPolicyError, match="policy key 'transposed' must be true"):
        cp.TransposedPolicy.from_dict(cp.policy("torch").to_dict())


def test_chain():
    """An encoder and its decoder in one chain: fractions for the strides of the decoder."""
    layers = ["torch:causal:4:2", "torch:causal:6:3", "torch:transposed,causal:6:3", "torch:transposed,causal:4:2"]
    found = json_of("chain", *layers, "--length=12")
    assert [row["stride"] for row in found["layers"]] == [2, 6, 2, 1]
    assert [row["length_out"] for row in found["layers"]] == [6, 2, 6, 12]
    decoder = json_of("chain", *layers[2:], "--length=2")
    assert [row["stride"] for row in decoder["layers"]] == ["1/3", "1/6"]
    assert "1/6" in run("chain", *layers[2:]).stdout


def test_init():
    """The statistics are those of the transposed weights."""
    drawn = TORCH.initial(6, 4, 3, seed=5)
    rows = json_of("init", "torch", "--transposed", "--in=6", "--out=4", "--kernel-size=3", "--seed=5")
    assert [row["shape"] for row in rows] == [[6, 4, 3], [4]]
    assert rows[0]["max"] == pytest.approx(float(drawn["weight"].max()))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["plan", "torch", "--output-padding=1"], "output_padding must be left out for a policy of Conv1d, got 1"),
        (["plan", "torch:transposed,output_padding=3"], "output_padding must be below max(stride, dilation) = 1, got 3"),
        (["plan", "torch:transposed,causal", "--output-padding=1"], "crop rule 'causal' has no parameter 'output_padding'"),
        (["plan", "torch:transposed,smae_upper"], "Did you mean 'same_upper'?"),
        (["plan", "torch:transposed,layout=OIW"], "layout must name a layout of weights of transposed convolutions"),
        (["explore", "torch:transposed", "keras"], "A and B must be policies of Conv1d, got 'torch:transposed'"),
    ],
)
def test_bad_input(words, sentence):
    """One sentence on stderr and exit status 2."""
    result = run(*words)
    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.split())

"""The command line, run as a user runs it: output, JSON, exit status, and errors as one sentence on stderr."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import attrs
import click
import pytest
from helpers.command_line import json_of, run

import convpolicy as cp
from convpolicy import registry
from convpolicy.cli.kinds import LISTS
from convpolicy.cli.plans import LEGEND
from convpolicy.comparison.drawing import draw


def run_process(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m convpolicy`` in a separate process, with a pipe as its output."""
    return subprocess.run(
        [sys.executable, "-m", "convpolicy", *words],
        env=os.environ | {"PYTHONUTF8": "1"} | environment, capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip


README_COMPARISON = """\
              torch  mindspore
left          0      1
right         0      2
length_out    637    640
padding rule  valid  same_upper
bias          True   False
weight axes   OIW    OI1W

torch
            |123456789abcdefghijklmnopqr … jklmnopqrstuvwxyz123456789a|
output 0    |^^^^                        …                            |
output 1    | ^^^^                       …                            |
…
output 635  |                            …                       ^^^^ |
output 636  |                            …                        ^^^^|

mindspore
            0|123456789abcdefghijklmnopq … lmnopqrstuvwxyz123456789a|00
output 0    ^|^^^                        …                          |
output 1     |^^^^                       …                          |
…
output 638   |                           …                       ^^^|^
output 639   |                           …                        ^^|^^

between | |: the input; outside: padding; ^: what an output reads
"""


@pytest.mark.parametrize("start", [[sys.executable, "-m", "convpolicy"], [str(Path(sys.executable).with_name("convpolicy"))]])
def test_the_first_command_of_the_readme(start):
    """``convpolicy compare torch mindspore …`` prints this in a pipe, as the script and as the module."""
    words = [*start, "compare", "torch", "mindspore", "--kernel-size", "4", "--length", "640"]
    environment = os.environ | {"PYTHONUTF8": "1"}
    result = subprocess.run(words, env=environment, capture_output=True, text=True, encoding="utf-8", check=True)
    assert result.stdout == README_COMPARISON
    assert result.stderr == ""


def test_compare_is_the_librarys_comparison(tmp_path):
    """Names and files, with stride and dilation: the JSON is `cp.compare`'s; ``--all`` adds the rows that are equal."""
    mine = cp.policy("flax").evolve(name="mine", padding="causal", padding_mode="reflect")
    mine.save(tmp_path / "mine.toml")
    sizes = ("--kernel-size", "3", "--length", "20", "--stride", "2", "--dilation", "2")
    words = ("compare", "torch", str(tmp_path / "mine.toml"), *sizes)
    expected = cp.compare("torch", mine, kernel_size=3, length=20, stride=2, dilation=2)
    assert json_of(*words) == json.loads(json.dumps(expected.to_dict()))
    assert [line.split("  ")[0] for line in run(*words, "--all").stdout.splitlines()[1:14]] == [
        "left", "right", "length_out", "padding rule", "padding mode", "bias", "weight_init", "bias_init", "weight axes",
        "data axes", "weight name", "bias name", "weight_norm",
    ]  # fmt: skip
    long = cp.compare("torch", mine, kernel_size=3, length=80, stride=2, dilation=2)
    assert draw(long.plans[1], rows=4) in run(*words, "--length", "80").stdout
    assert run("compare", "keras", "tensorflow", *sizes[:-2]).stdout.startswith("keras and tensorflow do the same\n")


PADDINGS = [
    ("2", 2),
    ("3,1", (3, 1)),
    ("same", "same"),
    ("causal", "causal"),
    ("same_static(odd_side=left)", cp.Choice("same_static", odd_side="left")),
]
PADDING_MODES = [
    ("circular", "circular"),
    ("constant(value=-1.5)", cp.Choice("constant", value=-1.5)),
    ("constant(value=nan)", cp.Choice("constant", value=float("nan"))),
    ("reflect(overflow=periodic)", cp.Choice("reflect", overflow="periodic")),
    ("odd", "odd"),
    ("reflect, zeros", ("reflect", "zeros")),
    ("constant(left=1, right=[2, 3]),odd", (cp.Choice("constant", left=1, right=[2, 3]), "odd")),
    ("per_side(left=reflect, right=constant(value=2.5))", ("reflect", cp.Choice("constant", value=2.5))),
]


@pytest.mark.parametrize(("padding", "meant"), PADDINGS)
@pytest.mark.parametrize(("mode", "meant_mode"), PADDING_MODES)
def test_plan_takes_what_tables_print(padding, meant, mode, meant_mode):
    """Numbers, pairs, framework names and parts with parameters reach the plan; JSON and drawing are those of the plan."""
    words = (
        "plan",
        "torch",
        "--kernel-size",
        "4",
        "--dilation",
        "2",
        "--length",
        "9",
        "--padding",
        padding,
        "--padding-mode",
        mode,
    )
    plan = cp.policy("torch").evolve(padding=meant, padding_mode=meant_mode).plan(4, 1, 2, length=9)
    expected = json.loads(json.dumps(plan.to_dict()))
    if "nan" in mode:
        expected["value"] = "nan"
    assert json_of(*words) == expected
    assert run(*words).stdout == f"{plan}\n\n{draw(plan)}\n\n{LEGEND}\n"


def test_show_is_the_policy(tmp_path):
    """A policy shown as JSON reads back as itself, from a name and from a file; the table names every field and its source."""
    for name in cp.policies():
        assert cp.Policy.from_dict(json_of("show", name)) == cp.policy(name)
        table = run("show", name).stdout
        shown = table.partition("\n\n")[0]  # a paper's policy is explained below its table
        fields = [field.name for field in attrs.fields(cp.Policy) if field.name != "paper"]
        assert [line.split()[0] for line in shown.splitlines()[1:]] == fields
        assert cp.policy(name).source in table
    path = tmp_path / "mine.json"
    cp.policy("torch").evolve(name="mine", weight_init=0.5).save(path)
    assert json_of("show", str(path)) == cp.load_policy(path).to_dict()


def test_list_names_everything_registered():
    """Every part of every kind, with its plugin, in the table and in JSON; one kind alone on request."""
    kinds = {
        "padding rule": cp.padding_rules(), "crop rule": cp.crop_rules(), "padding mode": cp.padding_modes(), "initializer": cp.initializers(),
        "layout": cp.layouts(), "backend": cp.backends(), "random stream": cp.random_streams(),
        "wrapper": cp.wrappers(), "streaming form": cp.streaming_forms(), "dialect": registry.current().parts("dialect"), "file format": registry.current().parts("file format"),
    }  # fmt: skip
    expected = {(kind, name, part.provider) for kind, parts in kinds.items() for name, part in parts.items()}
    frameworks = {name: re.split("[-@]", name)[0] for name in cp.policies()} | {"tensorflow": "keras"}
    expected |= {("policy", name, "papers" if "/" in name else frameworks[name]) for name in cp.policies()}
    assert {(line["kind"], line["name"], line["provider"]) for line in json_of("list")} == expected
    table = {(kind, *line.split()[:2]) for word, kind in LISTS.items() for line in run("list", word).stdout.splitlines()[1:]}
    assert table == expected
    lines = run("list").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert {name.strip() for line in lines for name in line.split(",")} >= {
        name.partition(".")[0] if kind == "wrapper" else name for kind, name, _provider in expected
    }
    assert {line["name"] for line in json_of("list", "modes")} == set(cp.padding_modes())
    assert run("list", "rules").stdout.splitlines()[1].split()[:2] == ["causal", "padding_rules"]


def test_backends_say_whether_they_are_installed(monkeypatch):
    """A backend whose framework is missing is listed as not installed."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert "not installed" not in run("list", "backends").stdout
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "mindspore" else object())
    lines = run("list", "backends").stdout.splitlines()
    assert [line.split()[0] for line in lines if line.endswith("(not installed)")] == ["mindspore"]


REFUSED = [
    (("show", "torhc"), "unknown policy or part 'torhc'. Did you mean 'torch'?", "convpolicy find"),
    (("show", "mirror"), "Did you mean 'reflect'?", ""),
    (("show", "zeros", "--kind", "layout"), "unknown layout 'zeros'", "known: "),
    (("show", "torch@1.0"), "no policy for torch 1.0", "known: "),
    (("show", "missing.toml"), "missing.toml: No such file", ""),
    (("plan", "torch", "--kernel-size", "0", "--length", "5"), "kernel_size must be at least 1, got 0", ""),
    (("plan", "torch", "--kernel-size", "3", "--length", "-5"), "length must be at least 0, got -5", ""),
    (("plan", "torch", "--kernel-size", "3", "--length", "5", "--padding", "1,2,3"), "padding must be one number for one spatial axis", "(1, 2, 3)"),
    (("plan", "torch", "--kernel-size", "3", "--length", "5", "--padding", "1,"), "padding must be integers", "'1,'"),
    (("plan", "torch", "--kernel-size", "3", "--length", "5", "--padding", "cousal"), "unknown padding rule", "'causal'"),
    (("plan", "torch", "--kernel-size", "3", "--length", "5", "--padding", "half("), "padding must be a name or name(", "'half('"),
    (("plan", "torch", "--kernel-size", "3", "--length", "5", "--padding-mode", "constant(value=1,value=2)"), "occurs twice", "value"),
    (("plan", "torch", "--kernel-size", "3", "--length", "5", "--padding", "half(left)"), "must have the form parameter=value", "left"),
    (("plan", "torch", "--kernel-size", "3", "--length", "1", "--padding", "2", "--padding-mode", "reflect"), "reaches at most 0", ""),
    (("plan", "torch", "--kernel-size", "3", "--length", "9", "--padding", "same", "--stride", "2"), "torch_same", "stride"),
    (("compare", "torch", "flaxx", "--kernel-size", "3", "--length", "1"), "unknown policy 'flaxx'", "'flax'"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "says", "hints"), REFUSED)
def test_bad_input_is_one_sentence_on_stderr_and_status_2(words, says, hints):
    """What the library refuses: its sentence on stderr, nothing on stdout, exit status 2."""
    result = run(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("convpolicy: ")
    assert result.stderr.count("\n") == 1
    assert says in result.stderr
    assert hints in result.stderr


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("a.toml", 'schema = 1\nname = "a"\npaddding = "valid"\n', "'paddding'"),
        ("a.toml", 'schema = 9\nname = "a"\n', "'schema' must be 1, got 9"),
        ("a.toml", "schema = = 1", "broken toml syntax"),
        ("a.json", "{", "broken json syntax"),
    ],
)
def test_a_bad_policy_file_is_named(tmp_path, file, text, says):
    """A file with a wrong key, a wrong schema or broken syntax: the sentence names file and fault, without a traceback."""
    (tmp_path / file).write_text(text)
    result = run("show", str(tmp_path / file))
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert str(tmp_path / file) in result.stderr
    assert says in result.stderr


@pytest.mark.parametrize("words", [("comapre",), ("plan", "torch", "--kernel", "3"), ("compare", "torch"), ("list", "rulez")])
def test_a_mistyped_command_is_status_2(words):
    """Unknown commands, options and lists, and missing arguments, are refused by click the same way."""
    result = run(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: " in result.stderr


class Greeter:
    """A plugin that adds a command."""

    @cp.hookimpl
    def convpolicy_commands(self, cli):
        @cli.command()
        @click.argument("policy")
        def greet(policy):
            click.echo(f"hello {cp.policy(policy).name}")


class Stumbler:
    """A plugin whose hook fails."""

    @cp.hookimpl
    def convpolicy_commands(self, cli):
        raise RuntimeError("no such luck")


def test_a_plugin_adds_a_command():
    """The command of a plugin runs, with the same errors; it is gone with the plugin, and one that fails is only reported."""
    cp.register(Greeter(), "greeter")
    cp.register(Stumbler(), "stumbler")
    try:
        assert run("greet", "flax").stdout == "hello flax\n"
        assert run("greet", "flex").exit_code == 2
        state = {line.split()[0]: line.split()[-2:] for line in run("plugins").stdout.splitlines()}
        assert state["greeter"] == ["ok", "0"]
        assert state["stumbler"] == ["broken", "0"]
        reports = {report["name"]: report for report in json_of("plugins")}
        assert reports["stumbler"]["errors"] == ["plugin 'stumbler': convpolicy_commands raised RuntimeError: no such luck."]
        assert reports["greeter"]["hooks"] == ["convpolicy_commands"]
        assert reports["padding_rules"]["builtin"]
        assert "padding rule causal" in reports["padding_rules"]["parts"]
    finally:
        cp.unregister("greeter")
        cp.unregister("stumbler")
    assert run("greet", "flax").exit_code == 2


def test_a_broken_plugin_is_named_on_stderr_and_strict_stops():
    """A plugin listed but not installed: other commands warn on stderr and go on; CONVPOLICY_STRICT=1 makes it status 2."""
    result = run_process("show", "torch", CONVPOLICY_LOAD_PLUGINS="absent")
    assert result.returncode == 0
    assert result.stderr == "convpolicy: plugin 'absent' is broken; see: convpolicy plugins\n"
    strict = run_process("show", "torch", CONVPOLICY_LOAD_PLUGINS="absent", CONVPOLICY_STRICT="1")
    assert (strict.returncode, strict.stdout) == (2, "")
    assert strict.stderr.startswith("convpolicy: plugin 'absent' is listed in CONVPOLICY_LOAD_PLUGINS but not installed")


def test_a_terminal_without_the_signs_gets_question_marks():
    """Where stdout cannot show √, as in the code page of a Western Windows, the command still succeeds."""
    words = [sys.executable, "-m", "convpolicy", "show", "torch"]
    environment = os.environ | {"PYTHONUTF8": "0", "PYTHONIOENCODING": "cp1252:strict"}
    result = subprocess.run(words, env=environment, capture_output=True, check=False)
    assert result.returncode == 0
    assert "uniform ±?(1/fan_in)" in result.stdout.decode("cp1252")

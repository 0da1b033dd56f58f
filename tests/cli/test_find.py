"""``convpolicy find``: what people type, and the part that they mean, first."""

from __future__ import annotations

import pytest
from helpers.command_line import json_of, run

FOUND = {  # query -> kind and name of the first answer, and its command
    "tf SAME stride 2": ("padding rule", "same_upper", "convpolicy plan tensorflow:same --stride 2"),
    "pytorch same": ("padding rule", "torch_same", "convpolicy plan torch:same"),
    "jax SAME_LOWER": ("padding rule", "same_lower", "convpolicy plan flax:SAME_LOWER"),
    "keras causal kernel_size=3": ("padding rule", "causal", "convpolicy plan keras:causal --kernel-size 3"),
    "edge": ("padding mode", "replicate", "convpolicy plan torch:padding=3,padding_mode=replicate"),
    "mirror": ("padding mode", "reflect", "convpolicy plan torch:padding=3,padding_mode=reflect"),
    "wrap padding": ("padding mode", "circular", "convpolicy plan torch:padding=3,padding_mode=circular"),
    "relfect": ("padding mode", "reflect", "convpolicy plan torch:padding=3,padding_mode=reflect"),
    "glorot": ("initializer", "glorot_uniform", "convpolicy show glorot_uniform"),
    "wavenet": ("policy", "paper/wavenet", "convpolicy plan paper/wavenet"),
    "tf": ("policy", "tensorflow", "convpolicy plan tensorflow"),
    ".ckpt": ("file format", ".ckpt", "convpolicy show .ckpt"),
}


@pytest.mark.parametrize("query", FOUND)
def test_the_nearest_comes_first(query):
    """The first answer is what was meant, with a command that runs."""
    kind, name, call = FOUND[query]
    first = json_of("find", query)[0]
    assert (first["kind"], first["name"], first["call"]) == (kind, name, call)
    assert run("find", *query.split()).stdout.startswith(f"{kind} {name}")
    assert run(*call.split()[1:]).exit_code == 0


def test_every_command_runs():
    """Whatever is found, the command that is printed with it works."""
    calls = {answer["call"] for answer in json_of("find", "same", "constant", "kernel", "3")}
    assert len(calls) > 10
    assert [call for call in calls if run(*call.split()[1:]).exit_code != 0] == []


def test_nothing_is_found():
    """One sentence on stderr, status 1; the JSON is empty."""
    result = run("find", "xyzzyq")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no name or description matches 'xyzzyq'" in result.stderr
    assert run("find", "xyzzyq", "--json").stdout == "[]\n"


def test_a_long_answer_is_cut():
    """At most twelve answers are printed, and the number of the others."""
    shown = run("find", "causal").stdout
    assert len([line for line in shown.splitlines() if line.startswith("  convpolicy ")]) == 12
    assert f"{len(json_of('find', 'causal')) - 12} more; use more search terms" in shown

"""Command lines of any words: status 0, 1 or 2, one sentence on stderr, and JSON that is JSON."""

from __future__ import annotations

import json
import pathlib
import random

import numpy as np
from click.testing import CliRunner

import convpolicy as cp
from convpolicy.cli import group

NAME = "command lines"
NUMBERS = (
    "0",
    "1",
    "2",
    "3",
    "4",
    "9",
    "-1",
    "1.5",
    "007",
    "1e3",
    "",
    "x",
    "9" * 30,
    "9" * 4400,
    "²",
    "1,2",
    "3,1",
    "nan",
    "True",
    "None",
)
SIZES = ("--kernel-size", "--stride", "--dilation", "--length", "--in", "--out", "--groups", "--seed", "--in-channels")
COMMANDS = {  # the options of each beside the sizes; verify and bench run frameworks and code
    "list": ("rules", "modes", "policies", "initializers", "streams", "layouts", "backends", "dialects", "formats"),
    "show": ("torch", "paper/encodec", "p.toml", "q.json", "reflect", "constant", "papers", "p.toml:same", "--kind", "layout"),
    "find": ("tf", "SAME", "stride 2", "kernel=99999999999", "mirror", "√", "he uniform"),
    "help": ("plan", "help", "x"),
    "completion": ("bash", "zsh", "fish"),
    "papers": (),
    "plan": ("torch", "mindspore", "torch:2", "keras:same,bias=False", "p.toml:padding=3,1", "torch:weight_init=(((", "flax:REFLECT", "--padding", "same", "--padding", "same_static(odd_side=left)", "--padding", "3,1", "--padding-mode", "reflect"),
    "compare": ("torch", "mindspore", "p.toml", "--all"),
    "init": ("torch", "keras", "-o", "w.safetensors", "--stats", "--dtype", "float16", "--dtype", "bfloat16"),
    "plugins": (),
    "chain": ("torch:3:2", "torch:10:5", "paper/encodec:7", "p.toml:3", "torch", "torch:a", "torch:3:2:1:1", ":"),
    "translate": ("nn.Conv1d(4, 8, 3)", "--from", "torch", "--to", "keras", "--to", "flax", "page.py", "nn.Conv1d(4, 8, 3" + " " * 300 + ")"),
    "convert": ("w.safetensors", "v.safetensors", "v.npz", "--source", "torch", "--target", "keras", "--guess", "--yes", "--force", "--map", "p.toml"),
    "why": ("torch", "mindspore", "--input", "x.npy", "--input", "bad.npy", "--padding-b", "same", "--own-weights"),
    "new-plugin": ("tide", "Tide", "torch", "../x", "--folder", "f"),
}  # fmt: skip
ODD = ("", "-", "--", "--json", "--help", "--version", "-x", "--nope", "\x1b[2J", "\u202e", "é", "\udcff", "a\nb", "x" * 5000, "(((", "torch(", "@", "mindspore@2.9",
       "mindspore@", "/dev/null", "/dev/full", ".", "/", "nowhere.toml", "nowhere.npy", "%s", "{}", "Choice('zeros')", "constant(value=nan)")  # fmt: skip
USUAL = {"plan": ["torch", "--kernel-size", "3", "--length", "9"], "compare": ["torch", "keras", "--kernel-size", "3", "--length", "9"],
         "init": ["torch", "--in", "2", "--out", "4", "--kernel-size", "3"], "translate": ["nn.Conv1d(4, 8, 3)"],
         "convert": ["w.safetensors", "out.safetensors", "--source", "torch", "--target", "keras"],
         "why": ["torch", "mindspore", "--input", "x.npy", "--out", "4", "--kernel-size", "3"], "chain": ["torch:3:2"], "show": ["torch"]}  # fmt: skip


def files(draw: random.Random) -> None:
    """Write what the words name into the working folder."""
    cp.policy("torch").save("p.toml")
    pathlib.Path("q.json").write_text(draw.choice(("{", "[]", "null", '{"schema": 1}')))
    pathlib.Path("page.py").write_text("from torch import nn\nc = nn.Conv1d(4, 8, 3)\n")
    np.save("x.npy", np.zeros((1, 2, 9), "float32"))
    pathlib.Path("bad.npy").write_bytes(draw.choice((b"", b"\x93NUMPY", bytes(100), b"PK\x03\x04")))
    pathlib.Path("w.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")


def words(draw: random.Random) -> list[str]:
    """Return a command line: one that works, with words put in, taken out and exchanged."""
    command = draw.choice(list(COMMANDS))
    line = [command, *(USUAL.get(command, ()) if draw.random() < 0.8 else ())]
    for _ in range(draw.choice((0, 1, 1, 2, 3, 5))):
        choice, place = draw.random(), draw.randint(1, len(line))
        if choice < 0.4 and COMMANDS[command]:
            line.insert(place, draw.choice(COMMANDS[command]))
        elif choice < 0.55:
            line[place:place] = [draw.choice(SIZES), draw.choice(NUMBERS)]
        elif choice < 0.7:
            line.insert(place, draw.choice(ODD))
        elif choice < 0.85:
            line[place - 1] = draw.choice((*NUMBERS, *ODD))
        else:
            del line[place - 1]
            line = line or [command]
    return [*line, *(["--json"] if draw.random() < 0.4 else [])]


def case(draw: random.Random, folder: pathlib.Path) -> bool:
    """Run one command line in the folder.

    Raises:
        AssertionError: another exit status, an exception, a traceback, or JSON that is none.
    """
    files(draw)
    line = words(draw)
    result = CliRunner().invoke(group.build(), line)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise AssertionError(f"{line}: {type(result.exception).__name__}: {result.exception}") from result.exception
    assert result.exit_code in (0, 1, 2), (line, result.exit_code)
    assert "Traceback" not in result.output, line
    assert not set("\x1b\x07\u202e") & set(result.stderr), (line, result.stderr)
    plain = not {"--help", "--version"} & set(line) and line[0] in COMMANDS and line[0] not in ("help", "completion")
    if plain and result.exit_code == 0 and line[-1] == "--json" and "--" not in line[:-1]:
        json.loads(result.stdout)
    return result.exit_code == 0

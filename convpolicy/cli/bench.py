"""``convpolicy bench``: what `tune` would do to a model of one's own, measured on this machine."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from convpolicy import progress, tuning
from convpolicy.cli import arguments, output
from convpolicy.errors import InvalidValueError, nearest
from convpolicy.layers.backend import EXECUTIONS


@click.command()
@click.argument("model", metavar="MODULE:FACTORY")
@click.option(
    "--input",
    "inputs",
    required=True,
    multiple=True,
    metavar="1,80,600|FILE.npy",
    help="One positional argument of the model: the shape of random float32 numbers, or an array in a file. Repeatable.",
)
@click.option("--execution", default="fast", show_default=True, type=click.Choice(EXECUTIONS), help="exact keeps every bit.")
@click.option("--train", is_flag=True, help="Measure with the backward pass.")
@click.option("--rounds", default=15, show_default=True, type=int, help="Timings of each lowering, taken in turn.")
@arguments.as_json
def bench(model: str, inputs: Sequence[str], execution: str, train: bool, rounds: int, as_json: bool) -> None:
    """Time the Conv1d layers of a torch model.

    The model is what FACTORY() of MODULE returns. Each of its Conv1d layers is timed with every faster implementation. MODULE is
    imported, as `python -m MODULE` would find it: run this on your own code. Nothing is changed; `cp.tune` installs what is fastest.
    """
    examples = tuple(_example(word) for word in inputs)
    built = _built(model)
    if hasattr(built, "train"):
        built.train(train)
    with progress.count_bar() as step:
        found = tuning.measure(built, examples, execution, rounds, step)
    if as_json:
        output.print_json(found.to_dict())
        return
    if found.layers:
        output.print_table(tuning.HEAD, [row.cells() for row in found.layers])
    output.say(found.summary)


def _built(word: str) -> Any:
    module, colon, factory = word.partition(":")
    if not colon or not module or not factory:
        raise InvalidValueError(f"MODULE:FACTORY must name a function in a module, got {word!r}; write for example models:build.")
    sys.path.insert(0, str(Path.cwd()))
    try:
        imported = importlib.import_module(module)
    except ImportError as error:
        raise InvalidValueError(f"MODULE must be importable, got {module!r}: {error}; run this where it is.") from error
    function = getattr(imported, factory, None)
    if not callable(function):
        known = [name for name, value in vars(imported).items() if callable(value) and not name.startswith("_")]
        raise InvalidValueError(f"FACTORY must be a function of {module}, got {factory!r}; name one.{nearest(factory, known)}")
    return function()


def _example(word: str) -> Any:
    if word.endswith(".npy"):
        return arguments.array("--input", Path(word))
    try:
        shape = tuple(int(number) for number in word.split(","))
        return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    except ValueError:
        raise InvalidValueError(f"--input must be a shape such as 1,80,600 or a .npy file, got {word!r}; write it so.") from None

"""``convpolicy bench``: measure what `tune` would change in a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from convpolicy import progress, tuning
from convpolicy.cli import arguments, output
from convpolicy.cli.objects import object_of
from convpolicy.errors import InvalidValueError
from convpolicy.layers.backend import EXECUTIONS


@click.command()
@click.argument("model", metavar="MODULE:NAME")
@click.option(
    "--input",
    "inputs",
    required=True,
    multiple=True,
    metavar="1,80,600|FILE.npy",
    help="Positional argument of the model: a shape, filled with random float32 numbers, or a file. Repeatable.",
)
@click.option(
    "--execution", default="fast", show_default=True, type=click.Choice(EXECUTIONS), help="exact keeps every output bit."
)
@click.option("--train", is_flag=True, help="Measure forward and backward pass.")
@click.option("--freeze", is_flag=True, help="Also pack weights once, for inference.")
@click.option("--rounds", default=15, show_default=True, type=int, help="Number of timings of each implementation.")
@arguments.as_json
def bench(model: str, inputs: Sequence[str], execution: str, train: bool, freeze: bool, rounds: int, as_json: bool) -> None:
    """Time the Conv1d layers of a torch model.

    NAME in MODULE is the model, or a function that returns it. Each of its Conv1d layers is timed with every implementation that may be faster. Your
    code is not changed; call `cp.tune` to install the fastest.

    MODULE is imported and run, so use this on code that you trust.
    """
    examples = tuple(_example(text) for text in inputs)
    network = object_of(model)
    if hasattr(network, "train"):
        network.train(train)
    with progress.count_bar() as step:
        result = tuning.measure(network, examples, execution, rounds, step, freeze=freeze)
    if as_json:
        output.print_json(result.to_dict())
        return
    if result.layers:
        output.print_table(tuning.HEAD, [row.cells() for row in result.layers])
    output.say(result.summary)


def _example(text: str) -> Any:
    if text.endswith(".npy"):
        return arguments.array("--input", Path(text))
    try:
        shape = tuple(int(number) for number in text.split(","))
        return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    except ValueError:
        raise InvalidValueError(f"--input must be a shape or a .npy file, got {text!r}; write for example 1,80,600.") from None

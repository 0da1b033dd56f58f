"""``convpolicy convert``: rewrite a checkpoint file for another framework."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from convpolicy import progress
from convpolicy.cli import arguments, output
from convpolicy.cli.imported import imported
from convpolicy.conversion import Conversion, Converted, Prepared

TERMINATED = 128 + signal.SIGTERM  # the exit status that a shell reports for SIGTERM


@click.command()
@click.argument("src", type=click.Path(dir_okay=False))
@click.argument("dst", type=click.Path(dir_okay=False))
@click.option("--source", required=True, metavar="POLICY|LAYOUT|FILE", help="Weight layout of SRC: torch, mindspore, WIO, ….")
@click.option("--target", required=True, metavar="POLICY|LAYOUT|FILE", help="Weight layout of DST.")
@click.option("--map", "mapping", type=click.Path(dir_okay=False), help="TOML or JSON file: name patterns and their layouts.")
@click.option(
    "--transposed", multiple=True, metavar="PATTERN", help="Names of transposed convolutions' weights: 'ups.*'. Repeatable."
)
@click.option("--guess", is_flag=True, help="Find Conv1d weights by name, axes and bias. Prints them and asks for --yes.")
@click.option("--yes", is_flag=True, help="Accept the guess.")
@click.option("--model", "target_model", metavar="MODULE:NAME", help="The model that loads DST, or a function that makes it.")
@click.option("--dtype", help="Convert floating-point tensors to float64, float32, float16 or bfloat16.")
@click.option("--fold-weight-norm", is_flag=True, help="Replace the two tensors of weight normalization by the weight.")
@click.option("--force", is_flag=True, help="Replace DST if it exists.")
@arguments.as_json
def convert(
    src: str,
    dst: str,
    source: str,
    target: str,
    mapping: str | None,
    transposed: tuple[str, ...],
    guess: bool,
    yes: bool,
    target_model: str | None,
    dtype: str | None,
    fold_weight_norm: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Convert a checkpoint file to another framework.

    Copies SRC to DST and changes axes and names of the weights of Conv1d and ConvTranspose1d to those of the target. With --model, every
    tensor gets the name and the shape that the model loads.

    The suffix selects the format: .safetensors, .safetensors.index.json, .npz, .pt, .pth, .bin, .ckpt, .weights.h5, .keras, .msgpack,
    .pdparams; only read: .h5, .hdf5, .index.
    """
    with (
        _stopped_cleanly(),
        Prepared(
            src,
            dst,
            source=arguments.layout_or_policy(source),
            target=arguments.layout_or_policy(target),
            mapping=mapping,
            transposed=transposed,
            guess=guess,
            dtype=dtype,
            fold_weight_norm=fold_weight_norm,
            force=force,
            model=None if target_model is None else imported("--model", target_model),
        ) as prepared,
    ):
        if guess and not yes:
            _print_weights(prepared.tensors, as_json)
            for note in prepared.notes:
                output.say_beside(note)
            output.say_beside("convpolicy: this is a guess and nothing was written; if it is right, add --yes.")
            raise SystemExit(2)
        with progress.bytes_bar() as step:
            conversion = prepared.run(step)
    _print_conversion(conversion, as_json)


def _print_conversion(conversion: Conversion, as_json: bool) -> None:
    if as_json:
        output.print_json(conversion.to_dict())
        return
    _print_weights(conversion.tensors, as_json)
    if conversion.loading is not None:
        output.say(f"{conversion.output}: {conversion.loading}")
        for note in conversion.notes:
            output.say(note)
        return
    output.say(f"{len(conversion.tensors) - len(conversion.weights)} other tensors copied to {conversion.output}")
    for note in conversion.notes:
        output.say(note)


def _print_weights(tensors: tuple[Converted, ...], as_json: bool) -> None:
    rows: list[dict[str, Any]] = [
        {"tensor": row.old, "name": row.name, "axes": row.axes, "shape": list(row.shape), "dtype": row.dtype, "found by": row.why}
        for row in tensors
        if row.axes
    ]
    if as_json:
        output.print_json(rows)
    elif rows:
        output.print_table(tuple(rows[0]), (tuple(row.values()) for row in rows))


@contextmanager
def _stopped_cleanly() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that the temporary output file is removed."""
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

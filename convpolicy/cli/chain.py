"""``convpolicy chain``: layers in a row."""

from __future__ import annotations

import click

from convpolicy.cli import arguments, output
from convpolicy.errors import InvalidValueError
from convpolicy.layers.chain import Chain, chain


@click.command("chain")
@click.argument("layers", nargs=-1, required=True, metavar="POLICY|FILE:KERNEL_SIZE[:STRIDE[:DILATION]] …")
@click.option("--length", type=int, help="Input length in samples; the shortest that gives an output, when left out.")
@arguments.as_json
def chain_layers(layers: tuple[str, ...], length: int | None, as_json: bool) -> None:
    """Show lengths and causality of a stack of layers.

    LAYERS, such as torch:10:5 torch:3:2, are in the order of the signal. Printed are the output length after each layer, the
    receptive field, the delay, and whether the stack is causal.
    """
    made = chain([_layer(word) for word in layers])
    length = made.shortest_length() if length is None else length
    plans = made.plans(length)
    causality = made.causality(length)
    rows = [
        {
            "layer": word,
            "left": plan.left,
            "right": plan.right,
            "length_out": plan.length_out,
            "stride": part.stride,
            "receptive_field": part.receptive_field,
        }
        for word, plan, part in zip(layers, plans, (Chain(made.layers[: n + 1]) for n in range(len(plans))))
    ]
    totals = {
        "length": length,
        "length_out": plans[-1].length_out,
        "stride": made.stride,
        "receptive_field": made.receptive_field,
        "delay": made.delay(length),
        "shortest_length": made.shortest_length(),
        "causal": bool(causality),
    }
    if as_json:
        output.print_json({"layers": rows, **totals, "causality": str(causality)})
        return
    output.print_table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    output.say(f"\nlength {length} -> {totals['length_out']}, at least {totals['shortest_length']} for an output")
    output.say(f"each output spans {made.receptive_field} samples and waits for {totals['delay']} after its own place")
    output.say(causality)


def _layer(word: str) -> tuple[object, ...]:
    """Read ``torch:10:5``: a policy or a policy file, and up to three sizes."""
    name, *sizes = word.split(":")
    try:
        numbers = [int(size) for size in sizes]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 3:
        raise InvalidValueError(
            f"a layer must read POLICY:KERNEL_SIZE, with :STRIDE and :DILATION behind it, got {word!r}; write for example torch:3:2."
        )
    return arguments.named_or_file(name), *numbers

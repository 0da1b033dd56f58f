"""``convpolicy chain``: output length, receptive field, delay and causality of a stack of layers."""

from __future__ import annotations

import re
from fractions import Fraction

import click

from convpolicy.chunks.building import integers
from convpolicy.cli import arguments, output, shards
from convpolicy.cli.completion import POLICIES
from convpolicy.cli.policies import policy_of
from convpolicy.errors import InvalidValueError
from convpolicy.layers.chain import Chain, chain

MOST_SIZES = 3  # kernel size, stride, dilation
_NUMBER = re.compile(r"[-+]?[0-9]{1,18}")


@click.command("chain")
@click.argument(
    "layers", nargs=-1, required=True, shell_complete=POLICIES, metavar="POLICY[:SETTINGS][:KERNEL_SIZE[:STRIDE[:DILATION]]] …"
)
@click.option("--length", type=int, help="Input length in samples; by default the shortest that gives an output.")
@click.option("--streaming", "chunk", type=int, metavar="SAMPLES", help="Show delay, state and cost with chunks of this length.")
@click.option("--shards", "ranks", type=int, metavar="RANKS", help="Show what ranks send if the input is cut over them.")
@click.option(
    "--channels", type=int, multiple=True, metavar="N", help="Input channels of each layer, for --shards; once per layer."
)
@click.option("--simulate", "most", type=int, metavar="RANKS", help="Show how time and bytes grow with 2, 4, … RANKS ranks.")
@shards.machine
@arguments.as_json
def chain_layers(
    layers: tuple[str, ...],
    length: int | None,
    chunk: int | None,
    ranks: int | None,
    channels: tuple[int, ...],
    most: int | None,
    as_json: bool,
    **machine: float,
) -> None:
    """Show lengths and causality of a stack of layers.

    List the layers in order, first layer first: torch:10:5 torch:3:2, or keras:same:3. A layer without numbers has kernel size 4. A
    transposed convolution has the setting transposed: torch:transposed,padding=1:4:2.
    You see the output length after each layer, the receptive field, the delay, and whether the stack is causal.
    """
    stack = chain([_layer(text) for text in layers])
    if chunk is not None:
        _show_streaming(layers, stack, chunk, as_json)
        return
    length = stack.shortest_length() if length is None else length
    if ranks is not None:
        shards.show(layers, stack.shard(length, ranks, channels=channels or None), as_json)
        return
    if most is not None:
        shards.show_growth(stack, length, channels or None, most, machine, as_json)
        return
    plans = stack.plans(length)
    causality = stack.causality(length)
    rows = [
        {
            "layer": text,
            "left": plan.left,
            "right": plan.right,
            "length_out": plan.length_out,
            "stride": _number(part.stride),
            "receptive_field": part.receptive_field,
        }
        for text, plan, part in zip(layers, plans, (Chain(stack.layers[: n + 1]) for n in range(len(plans))))
    ]
    totals = {
        "length": length,
        "length_out": plans[-1].length_out,
        "stride": _number(stack.stride),
        "receptive_field": stack.receptive_field,
        "delay": stack.delay(length),
        "shortest_length": stack.shortest_length(),
        "causal": bool(causality),
    }
    if as_json:
        output.print_json({"layers": rows, **totals, "causality": str(causality)})
        return
    output.print_table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    output.say(f"\nlength {length} -> {totals['length_out']}; shortest input with an output: {totals['shortest_length']}")
    output.say(f"receptive field: {stack.receptive_field} samples; delay: {totals['delay']} samples")
    output.say(causality)


def _show_streaming(texts: tuple[str, ...], stack: Chain, chunk: int, as_json: bool) -> None:
    """Show what a stream of the stack needs: per layer its state and its outputs and products per chunk, in total delay and latency."""
    stream = integers(stack)
    rows, came = [], Fraction(chunk)
    for number, (text, layer) in enumerate(zip(texts, stack.layers)):
        prefix = f"{number}."
        state = {name.removeprefix(prefix): shape[-1] for name, shape in stream.state_shapes.items() if name.startswith(prefix)}
        state = {name: size for name, size in state.items() if size != "batch"}
        outputs = came / layer.ratio
        products = (came if layer.policy.is_transposed else outputs) * layer.kernel_size
        kept = ", ".join(f"{name} {size}" for name, size in state.items() if size) or "none"
        rows.append({"layer": text, "state": kept, "outputs": str(outputs), "products": str(products)})
        came = outputs
    totals = {"samples": chunk, "delay": stream.delay, "latency": stream.latency(chunk), "multiple": stream.multiple}
    if as_json:
        output.print_json({"layers": rows, **totals})
        return
    output.print_table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    output.say(
        f"\nstate: samples of each channel; outputs and products of a channel: on average for each chunk of {chunk} samples"
    )
    output.say(
        f"delay: {stream.delay} samples; latency: {totals['latency']} samples; a multiple of {stream.multiple} gives equal steps"
    )


def _number(stride: int | Fraction) -> int | str:
    """Return a stride for a table or JSON: an integer, or a fraction such as ``1/8`` as text."""
    return stride if isinstance(stride, int) else str(stride)


def _layer(text: str) -> tuple[object, ...]:
    """Parse ``torch:10:5`` or ``keras:same:10``: a policy with settings, then up to three sizes."""
    pieces = arguments.split(text, ":")
    sizes: list[int] = []
    while len(pieces) > 1 and _NUMBER.fullmatch(pieces[-1]):
        sizes.insert(0, int(pieces.pop()))
    if len(sizes) > MOST_SIZES:
        raise InvalidValueError(
            f"a layer must have the form POLICY:KERNEL_SIZE:STRIDE:DILATION, got {text!r}; write for example torch:3:2."
        )
    return policy_of(":".join(pieces)), *(sizes or [arguments.KERNEL_SIZE])

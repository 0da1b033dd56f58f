"""``convpolicy chain --shards`` and ``--simulate``: what ranks exchange, and how long they take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from convpolicy.arithmetic import integer
from convpolicy.cli import output
from convpolicy.layers.chain import Chain
from convpolicy.layers.chain_shards import EACH, ONCE, ChainShards

Command = TypeVar("Command", bound=Callable[..., Any])
# option of --simulate -> argument of ChainShards.simulate, what one unit of the option is, default and help
UNITS = {
    "--latency": ("latency", 1e-6, 20.0, "Microseconds until a message of 0 bytes arrives."),
    "--bandwidth": ("bandwidth", 1e9, 25.0, "Gigabytes per second of each rank's link."),
    "--rate": ("rate", 1e9, 20_000.0, "Billions of multiplications per second."),
}


def machine(command: Command) -> Command:
    """Add the options of ``--simulate`` to a command."""
    for option, (_argument, _unit, default, text) in reversed(UNITS.items()):
        command = click.option(option, type=float, default=default, show_default=True, metavar="N", help=text)(command)
    return command


def show(texts: tuple[str, ...], shards: ChainShards, as_json: bool) -> None:
    """Show which layers share an exchange, and what each rank owns, computes, sends and receives."""
    starts = {first for first, _end in shards.groups}
    layers = [
        {
            "layer": text,
            "channels": channels,
            "exchange": "yes" if number in starts else "no",
            "most_received": max(shard.received for shard in step),
            "most_computed": max(shard.length_out for shard in step),
        }
        for number, (text, channels, step) in enumerate(zip(texts, shards.channels, shards.steps))
    ]
    ranks = [
        {
            "rank": rank,
            "owns": _range(shards.steps[0][rank].owns),
            "outputs": _range(shards.steps[-1][rank].outputs),
            "messages": sum(len(step[rank].receives) for step in shards.steps),
            "bytes_received": shards.received(rank),
            "bytes_sent": shards.sent(rank),
        }
        for rank in range(shards.ranks)
    ]
    if as_json:
        output.print_json({"layers": layers, "ranks": ranks, "itemsize": shards.itemsize})
        return
    for rows in (layers, ranks):
        output.print_table(tuple(rows[0]), [tuple(row.values()) for row in rows])
        output.say()
    output.say(
        f"most received and computed: samples of each channel, of the rank that has most; bytes: of one row of the batch, "
        f"{shards.itemsize} for each number"
    )


def _range(positions: tuple[int, int]) -> str:
    """Return a range of positions as text."""
    first, end = positions
    return f"{first}…{end - 1}" if first < end else "none"


def show_growth(
    stack: Chain, length: int, channels: tuple[int, ...] | None, most: int, machine: dict[str, float], as_json: bool
) -> None:
    """Show the simulated time of 2, 4, … ranks, with an exchange before each layer and with one before the first."""
    integer("simulate", most, 2)
    settings: dict[str, Any] = {
        argument: machine[option.removeprefix("--")] * unit for option, (argument, unit, _default, _text) in UNITS.items()
    }
    counts = sorted({2**power for power in range(1, most.bit_length())} | {most})
    rows = []
    for ranks in counts:
        each, once = (stack.shard(length, ranks, exchange=name, channels=channels).simulate(**settings) for name in (EACH, ONCE))
        rows.append(
            {
                "ranks": ranks,
                "seconds": each.seconds,
                "speedup": each.speedup,
                "exchanging": each.exchanging / each.seconds,
                "bytes": max(each.bytes_received),
                "messages": max(each.messages),
                "once_speedup": once.speedup,
                "once_bytes": max(once.bytes_received),
            }
        )
    if as_json:
        output.print_json({"length": length, **settings, "ranks": rows})
        return
    texts = [{name: value if isinstance(value, int) else f"{value:.3g}" for name, value in row.items()} for row in rows]
    output.print_table(tuple(rows[0]), [tuple(row.values()) for row in texts])
    output.say(
        f"\nlength {length}, one row; exchange before each layer, and once before the first; exchanging: share of the time; bytes and "
        f"messages: of the rank that receives most"
    )
    output.say(
        f"simulated: {machine['latency']:g} µs latency, {machine['bandwidth']:g} GB/s, {machine['rate']:g}·10⁹ multiplications per second"
    )

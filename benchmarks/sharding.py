"""Time a stack of layers on 1 to 4 processes beside the simulation.

    python benchmarks/sharding.py [--ranks 2 --ranks 4] [--rounds 20]

- One process: the sharded layers against the layers themselves, in turn (see interleaved.py).
- Several processes, one thread each, over gloo: the least time of a forward pass until the last rank has its outputs; the same of one
  process that computes everything; what `ChainShards.simulate` says for the latency, the bandwidth and the rate that were measured first.

A machine needs as many cores as processes. Run nothing else on it at the same time.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from typing import Any

import click
import torch
import torch.distributed as dist
from interleaved import compare
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.multiprocessing import start_processes

import convpolicy as cp

STACKS = {  # channels, kernel, layers, length
    "64→64 k7, 6 layers, 65 536 samples": (64, 7, 6, 65_536),
    "16→16 k31, 6 layers, 65 536 samples": (16, 31, 6, 65_536),
    "64→64 k7, 6 layers, 2048 samples": (64, 7, 6, 2048),
}
SMALL, LARGE = 1, 2**20  # float32 numbers of a message


def stack_of(channels: int, kernel: int, layers: int, _length: int) -> nn.Sequential:
    """Return the layers."""
    return nn.Sequential(*(nn.Conv1d(channels, channels, kernel, padding=kernel // 2) for _ in range(layers))).requires_grad_(
        False
    )


def least(call: Callable[[], Any], rounds: int) -> float:
    """Return the least time of a call in seconds, on all ranks until the last one is ready."""
    times = []
    for _ in range(rounds):
        dist.barrier()
        start = time.perf_counter()
        call()
        took = torch.tensor(time.perf_counter() - start)
        dist.all_reduce(took, dist.ReduceOp.MAX)
        times.append(float(took))
    return min(times)


def network(rounds: int) -> tuple[float, float]:
    """Return the latency in seconds and the bandwidth in bytes per second between ranks 0 and 1."""
    rank, seconds = dist.get_rank(), []
    for size in (SMALL, LARGE):
        data = torch.zeros(size)

        def there_and_back(data: torch.Tensor = data) -> None:
            if rank < 2:
                for sender in (0, 1):
                    (dist.send if rank == sender else dist.recv)(data, 1 - rank)

        seconds.append(least(there_and_back, rounds) / 2)
    return seconds[0], 4 * (LARGE - SMALL) / max(seconds[1] - seconds[0], 1e-9)


def measured(rank: int, ranks: int, file: str, rounds: int, results: Any) -> None:
    """Measure the network and each stack on one rank."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=ranks)
    mesh = init_device_mesh("cpu", (ranks,))
    results[0][:] = torch.tensor(network(rounds))
    for number, sizes in enumerate(STACKS.values(), 1):
        model = cp.shard(stack_of(*sizes), mesh, length=sizes[-1], check=False)
        first, end = model.cuts()[rank]
        data = torch.randn(1, sizes[0], end - first)
        least(lambda model=model, data=data: model(data), 3)
        results[number][0] = least(lambda model=model, data=data: model(data), rounds)
    dist.barrier()  # until all have sent their last messages
    dist.destroy_process_group()


def started(ranks: int, rounds: int) -> list[torch.Tensor]:
    """Return the network, and the seconds of each stack on a number of processes."""
    results = [torch.zeros(2, dtype=torch.float64).share_memory_() for _ in range(1 + len(STACKS))]
    with tempfile.TemporaryDirectory() as folder:
        start_processes(measured, (ranks, f"{folder}/meeting", rounds, results), ranks, start_method="spawn")
    return results


def alone(rounds: int) -> list[float]:
    """Print what a mesh of one process costs, and return the seconds of each stack in one process."""
    torch.set_num_threads(1)
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=0, world_size=1)
        mesh = init_device_mesh("cpu", (1,))
        for name, sizes in STACKS.items():
            model, data = stack_of(*sizes), torch.randn(1, sizes[0], sizes[-1])
            sharded = cp.shard(stack_of(*sizes), mesh, length=sizes[-1])
            sharded.load_state_dict(model.state_dict())
            ways = {"layers": lambda model=model, data=data: model(data), "sharded": lambda model=sharded, data=data: model(data)}
            result = compare("one process", name, ways, rounds)
            seconds.append(least(ways["layers"], rounds))
            ratio = result.ratios["sharded"]
            print(f"{name}: {seconds[-1]:.3g} s, on a mesh of one process {ratio:.3f} times as long; noise {result.noise:.3f}")
        dist.destroy_process_group()
    return seconds


@click.command()
@click.option("--ranks", multiple=True, default=(2, 3, 4), show_default=True)
@click.option("--rounds", default=20, show_default=True)
def main(ranks: tuple[int, ...], rounds: int) -> None:
    """Print one line per stack and number of processes."""
    seconds = alone(rounds)
    for number in ranks:
        (latency, bandwidth), *found = (each.tolist() for each in started(number, rounds))
        print(f"\n{number} processes; measured latency {latency * 1e6:.0f} µs, bandwidth {bandwidth / 1e9:.2f} GB/s")
        for (name, sizes), one, (several, _) in zip(STACKS.items(), seconds, found):
            shards = cp.chain(list(stack_of(*sizes))).shard(sizes[-1], number, exchange="each")
            rate = sizes[0] ** 2 * sizes[1] * sizes[2] * sizes[3] / one
            simulation = shards.simulate(latency=latency, bandwidth=bandwidth, rate=rate)
            print(
                f"{name}: {several:.3g} s, {one / several:.2f} times as fast as one; simulated {simulation.seconds:.3g} s, "
                f"{simulation.speedup:.2f} times; a rank receives at most {max(simulation.bytes_received)} bytes"
            )


if __name__ == "__main__":
    main()

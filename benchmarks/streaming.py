"""Time one step of a stream against torch's convolution of the same samples, and against streams of other packages.

    python benchmarks/streaming.py [--threads 1] [--rounds 30]

For each layer and chunk length, these are timed in turn (see interleaved.py):

- native: torch's convolution of an input that already contains the kept samples and the chunk
- by hand: the same after joining kept samples and chunk, and with a copy of the samples to keep
- step: `Streaming.step`
- same-bits: the same with execution="same-bits"
- transformers, moshi, pytorch-tcn, onnxruntime: the streams of these packages, if they are installed

At the end, the memory of 100 000 steps is measured. Run nothing else on the machine at the same time.
"""

from __future__ import annotations

import importlib.util
import resource
from collections.abc import Callable, Iterator
from typing import Any

import click
import torch
import torch.nn.functional as F
from interleaved import compare

import convpolicy as cp

LAYERS = {"512→512 k7": (512, 7, 1), "depthwise 512 k31": (512, 31, 512), "64→64 k7": (64, 7, 1)}
CHUNKS = (1, 2, 4, 8, 16, 100)
STEPS = 100_000


def by_hand(layer: torch.nn.Conv1d, kept: torch.Tensor, chunk: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return outputs and the samples to keep, as streams are written by hand."""
    joined = torch.cat([kept, chunk], -1)
    output = F.conv1d(joined, layer.weight, layer.bias, groups=layer.groups)
    return output, joined[..., chunk.shape[-1] :].clone()


def of_transformers(layer: torch.nn.Conv1d, chunk: torch.Tensor) -> Callable[[], Any]:
    """Return a step of Mimi's convolution with its padding cache."""
    from transformers.models.mimi import modeling_mimi as mimi

    channels, kernel = layer.in_channels, layer.kernel_size[0]
    module = mimi.MimiConv1d(mimi.MimiConfig(), channels, channels, kernel, groups=layer.groups, layer_idx=0)
    module.conv.load_state_dict(layer.state_dict(), assign=True)
    cache = mimi.MimiConv1dPaddingCache(1, [kernel - 1], ["constant"], [channels])
    return lambda: module(chunk, padding_cache=cache)


def of_moshi(layer: torch.nn.Conv1d, chunk: torch.Tensor) -> Callable[[], Any]:
    """Return a step of Moshi's StreamingConv1d."""
    from moshi.modules.conv import StreamingConv1d

    module = StreamingConv1d(
        layer.in_channels, layer.out_channels, layer.kernel_size[0], groups=layer.groups, causal=True, pad_mode="constant"
    )
    module.conv.conv.load_state_dict(layer.state_dict(), assign=True)
    module.streaming_forever(1)
    return lambda: module(chunk)


def of_tcn(layer: torch.nn.Conv1d, chunk: torch.Tensor) -> Callable[[], Any]:
    """Return a step of pytorch-tcn's TemporalConv1d."""
    from pytorch_tcn.conv import TemporalConv1d

    module = TemporalConv1d(layer.in_channels, layer.out_channels, layer.kernel_size[0], groups=layer.groups, causal=True)
    module.load_state_dict(layer.state_dict(), strict=False, assign=True)
    return lambda: module(chunk, inference=True)


def of_onnxruntime(layer: torch.nn.Conv1d, chunk: torch.Tensor) -> Callable[[], Any]:
    """Return a step of an ONNX model with the state as input and output."""
    import onnxruntime
    from convpolicy_onnx.streaming import step_model

    model = step_model(cp.port(causal(layer), to="onnx"))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    values = dict(zip(names, (chunk.numpy(), torch.zeros(1, layer.in_channels, layer.kernel_size[0] - 1).numpy())))
    return lambda: session.run(None, values)


OTHERS = {"transformers": of_transformers, "moshi": of_moshi, "pytorch_tcn": of_tcn, "convpolicy_onnx": of_onnxruntime}


def causal(layer: torch.nn.Conv1d) -> Any:
    """Return a causal layer with the weights of another."""
    own = cp.Conv1d(
        layer.in_channels, layer.out_channels, layer.kernel_size[0], groups=layer.groups, padding="causal", backend="torch"
    )
    own.load_state_dict(layer.state_dict(), assign=True)
    return own


def ways(channels: int, kernel: int, groups: int, samples: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the functions to time."""
    layer = torch.nn.Conv1d(channels, channels, kernel, groups=groups).requires_grad_(False)
    whole, chunk = torch.randn(1, channels, kernel - 1 + samples), torch.randn(1, channels, samples)
    kept = whole[..., : kernel - 1].clone()
    yield "native", lambda: F.conv1d(whole, layer.weight, layer.bias, groups=groups)
    yield "by hand", lambda: by_hand(layer, kept, chunk)
    for name, execution in (("step", "fast"), ("same-bits", "same-bits")):
        streaming = cp.streaming(causal(layer), execution=execution)
        state = streaming.initial_state()
        yield name, lambda streaming=streaming, state=state: streaming.step(chunk, state)
    for package, other in OTHERS.items():
        if importlib.util.find_spec(package) is not None:
            yield package, other(layer, chunk)


@click.command()
@click.option("--threads", default=1, show_default=True)
@click.option("--rounds", default=30, show_default=True)
def main(threads: int, rounds: int) -> None:
    """Print one line per layer and chunk length."""
    torch.set_num_threads(threads)
    with torch.inference_mode():
        for name, sizes in LAYERS.items():
            for samples in CHUNKS:
                result = compare("streaming", f"{name}, {samples} samples", dict(ways(*sizes, samples)), rounds)
                ratios = ", ".join(f"{way} {value:.2f}" for way, value in result.ratios.items())
                click.echo(f"{result.name}: native {result.microseconds['native']:.0f} µs; ratios: {ratios}")
        live = cp.streaming(causal(torch.nn.Conv1d(64, 64, 7))).start()
        chunk, start = torch.randn(1, 64, 4), 0
        for step in range(STEPS + 1000):
            live(chunk)
            if step == 1000:  # after everything was loaded
                start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start
        click.echo(f"memory after {STEPS} steps: {grown} KiB more")


if __name__ == "__main__":
    main()

"""Cases for `speed.py`: layers of other frameworks and packages compared with the same layer of convpolicy."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator

from interleaved import Result, compare

LAYERS = [  # in, out, kernel, stride, length
    (64, 64, 3, 1, 600), (64, 128, 4, 2, 6000), (256, 256, 5, 1, 600), (1, 32, 7, 1, 24000), (512, 512, 3, 2, 3000),
]  # fmt: skip


def _name(layer: str, sizes: tuple[int, ...]) -> str:
    inner, outer, kernel, stride, length = sizes
    return f"{layer}, {inner}→{outer} k{kernel} s{stride}, length {length}"


def keras_on_torch(rounds: int) -> Iterator[Result]:
    """Compare Keras 3 on its torch backend, with SAME padding, and the policy ``keras-torch`` with the same weights."""
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import torch

    import convpolicy as cp

    for sizes in LAYERS:
        inner, outer, kernel, stride, length = sizes
        theirs = keras.layers.Conv1D(outer, kernel, strides=stride, padding="same")
        data = torch.randn(1, inner, length)
        channels_last = data.transpose(1, 2).contiguous()
        theirs.build(channels_last.shape)
        ours = cp.Conv1d(
            inner, outer, kernel, stride, policy="keras-torch", padding="same", backend="torch", execution="fast"
        ).eval()
        with torch.no_grad():
            ours.weight.copy_(theirs.kernel.value.permute(2, 1, 0))
            ours.bias.copy_(theirs.bias.value)
            apart = float((theirs(channels_last).transpose(1, 2) - ours(data)).abs().max())
        with torch.inference_mode():
            ways = {"theirs": lambda t=theirs, x=channels_last: t(x), "fast": lambda o=ours, x=data: o(x)}
            yield compare("Keras 3 on torch", _name("same", sizes), ways, rounds, apart=apart)


def flax_under_jit(rounds: int) -> Iterator[Result]:
    """Compare flax.linen under jit, with SAME padding, and the policy ``flax`` on torch with the same weights."""
    import flax.linen
    import jax
    import numpy as np
    import torch

    import convpolicy as cp

    for sizes in LAYERS:
        inner, outer, kernel, stride, length = sizes
        theirs = flax.linen.Conv(outer, (kernel,), strides=(stride,), padding="SAME")
        data = np.random.default_rng(0).standard_normal((1, length, inner), dtype=np.float32)
        parameters = theirs.init(jax.random.key(0), data)
        call, placed = jax.jit(theirs.apply), jax.device_put(data)
        ours = cp.Conv1d(inner, outer, kernel, stride, policy="flax", backend="torch", execution="fast").eval()
        tensor = torch.from_numpy(data).transpose(1, 2).contiguous()
        with torch.no_grad():
            ours.weight.copy_(torch.from_numpy(np.array(parameters["params"]["kernel"])).permute(2, 1, 0))
            ours.bias.copy_(torch.from_numpy(np.array(parameters["params"]["bias"])))
            apart = float(np.abs(np.asarray(call(parameters, placed)) - ours(tensor).transpose(1, 2).numpy()).max())
        with torch.inference_mode():
            ways = {
                "theirs": lambda c=call, p=parameters, x=placed: c(p, x).block_until_ready(),
                "fast": lambda o=ours, x=tensor: o(x),
            }
            yield compare("flax under jit", _name("SAME", sizes), ways, rounds, apart=apart)


def codecs(rounds: int) -> Iterator[Result]:
    """Compare EncodecConv1d and MimiConv1d of transformers with the policies of their papers, with the same weights."""
    import torch
    from transformers.models.encodec.modeling_encodec import EncodecConfig, EncodecConv1d
    from transformers.models.mimi.modeling_mimi import MimiConfig, MimiConv1d

    import convpolicy as cp

    for name, make, policy in (
        ("EncodecConv1d", lambda *s: EncodecConv1d(EncodecConfig(), *s), "paper/encodec"),
        ("MimiConv1d", lambda *s: MimiConv1d(MimiConfig(), *s), "paper/mimi"),
    ):
        for sizes in LAYERS:
            inner, outer, kernel, stride, length = sizes
            theirs = make(inner, outer, kernel, stride).eval()
            ours = cp.Conv1d(inner, outer, kernel, stride, policy=policy, backend="torch", execution="fast").eval()
            ours.load_state_dict(theirs.conv.state_dict())
            data = torch.randn(1, inner, length)
            with torch.inference_mode():
                apart = float((theirs(data) - ours(data)).abs().max())
                ways = {"theirs": lambda t=theirs, x=data: t(x), "fast": lambda o=ours, x=data: o(x)}
                yield compare("transformers", _name(name, sizes), ways, rounds, apart=apart)


def numpy_beside_torch(rounds: int) -> Iterator[Result]:
    """Compare torch's layer with the NumPy backend."""
    import numpy as np
    import torch

    import convpolicy as cp

    for inner, outer, kernel, groups, length in [
        (8, 8, 3, 1, 64), (64, 64, 1, 1, 600), (64, 64, 3, 1, 600), (256, 256, 5, 1, 600), (512, 512, 7, 1, 3000),
        (512, 512, 31, 512, 600), (2048, 2048, 4, 2048, 3000), (768, 768, 19, 16, 600),
    ]:  # fmt: skip
        ours = cp.Conv1d(inner, outer, kernel, groups=groups, padding="same_upper", seed=0)
        theirs = cp.port(ours, to="torch").eval()
        data = np.random.default_rng(0).standard_normal((1, inner, length), dtype=np.float32)
        tensor = torch.from_numpy(data)
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            apart = float(np.abs(theirs(tensor).numpy() - ours(data)).max())
            ways = {"torch": lambda t=theirs, x=tensor: t(x), "numpy": lambda o=ours, x=data: o(x)}
            yield compare("NumPy", f"same, {inner}→{outer} k{kernel} g{groups}, length {length}", ways, rounds, apart=apart)


def compiled(rounds: int) -> Iterator[Result]:
    """Compare native and auto layers with and without ``torch.compile``, if a C++ compiler is installed."""
    import shutil

    import torch

    import convpolicy as cp

    if shutil.which("g++") is None:
        return
    for sizes in LAYERS:
        inner, outer, kernel, stride, length = sizes
        native = torch.nn.Conv1d(inner, outer, kernel, stride).eval()
        auto = cp.Conv1d(inner, outer, kernel, stride, backend="torch", execution="auto").eval()
        auto.weight, auto.bias = native.weight, native.bias
        data = torch.randn(1, inner, length)
        with torch.inference_mode():
            layers = {"native": native, "auto": auto, "compiled": torch.compile(native), "auto, compiled": torch.compile(auto)}
            apart = max(float((layer(data) - native(data)).abs().max()) for layer in layers.values())
            ways = {name: lambda layer=layer, x=data: layer(x) for name, layer in layers.items()}
            yield compare("torch.compile", _name("valid", sizes), ways, rounds, apart=apart)


def stacks(rounds: int) -> Iterator[Result]:
    """Compare whole models of transformers before and after `tune`."""
    import copy

    import torch
    from transformers import (
        FastSpeech2ConformerConfig,
        FastSpeech2ConformerModel,
        Wav2Vec2ConformerConfig,
        Wav2Vec2ConformerModel,
    )

    import convpolicy as cp

    torch.manual_seed(0)
    for name, model, inputs in (
        (
            "Wav2Vec2Conformer, 4 blocks, 10 s of audio",
            Wav2Vec2ConformerModel(Wav2Vec2ConformerConfig(num_hidden_layers=4)),
            {"input_values": torch.randn(1, 160000)},
        ),
        (
            "FastSpeech2Conformer, 60 phonemes",
            FastSpeech2ConformerModel(FastSpeech2ConformerConfig()),
            {"input_ids": torch.randint(1, 70, (1, 60))},
        ),
    ):
        before = model.eval()
        after = copy.deepcopy(before)
        tuning = cp.tune(after, inputs, verbose=False)
        with torch.inference_mode():
            ways = {"native": lambda m=before, x=inputs: m(**x), "tuned": lambda m=after, x=inputs: m(**x)}
            facts = {"layers": len(tuning.layers), "replaced": len(tuning.replaced), "apart": tuning.difference}
            yield compare("whole models", name, ways, rounds, **facts)

"""Run a real framework and store what it computes: ``python measure.py FRAMEWORK FOLDER``.

Samples are whole numbers and weights are multiples of 2**-13, so float32 sums them exactly in any order. A difference between two
outputs is then a difference between two convolutions, never rounding.
"""

import os
import sys
from pathlib import Path

import numpy as np

random = np.random.default_rng(0)


def samples(*shape):
    """Whole numbers from -4 to 3."""
    return random.integers(-4, 4, shape).astype(np.float32)


def weights(*shape):
    """Multiples of 2**-13 from -1 to 1, which float32 represents and float16 does not."""
    return (random.integers(-(2**13), 2**13, shape) / 2**13).astype(np.float32)


INPUTS = {
    "x": samples(1, 4, 22),  # (batch, channels, length)
    "weight4": weights(6, 4, 4),  # (out, in, kernel)
    "weight5": weights(6, 4, 5),
    "bias": weights(6),
}
SECOND = samples(2, 6, 3)  # weight of a second layer
LENGTHS = 20, 21, 22


def at_lengths(name, run):
    """What a layer returns for several input lengths, by ``name.length``."""
    return {f"{name}.{length}": run(INPUTS["x"][..., :length]) for length in LENGTHS}


def run_torch(folder):
    """Layers with and without padding, initial weights, and the checkpoint file of a model."""
    import torch
    from safetensors.torch import save_file

    def layer(weight, bias=None, **options):
        out_channels, in_channels, kernel_size = weight.shape
        convolution = torch.nn.Conv1d(in_channels, out_channels, kernel_size, bias=bias is not None, **options)
        state = {"weight": weight} | ({} if bias is None else {"bias": bias})
        convolution.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
        return lambda x: convolution(torch.from_numpy(x)).detach().numpy()

    torch.manual_seed(0)
    first, second, head = torch.nn.Conv1d(4, 6, 4), torch.nn.Conv1d(6, 2, 3), torch.nn.Linear(2, 3)
    initial = torch.nn.Sequential(first, second).state_dict()
    arrays = {f"initial.{name}": array.numpy().copy() for name, array in initial.items()}
    model = torch.nn.ModuleDict({"encoder": torch.nn.ModuleList([first, second]), "head": head})
    trained = {"0.weight": INPUTS["weight4"], "0.bias": INPUTS["bias"], "1.weight": SECOND, "1.bias": np.zeros(2, np.float32)}
    model["encoder"].load_state_dict({name: torch.from_numpy(array) for name, array in trained.items()})
    save_file(model.state_dict(), folder / "torch_model.safetensors")
    return {
        "default": layer(INPUTS["weight4"], INPUTS["bias"])(INPUTS["x"]),
        **at_lengths("same", layer(INPUTS["weight4"], padding="same")),
        **at_lengths("padding2", layer(INPUTS["weight5"], stride=3, padding=2)),
        **arrays,
    }


def run_keras(folder):
    """Strided SAME, also with weights in half precision, initial weights, and the model of the checkpoint file."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    def layer(weight, bias=None, **options):
        out_channels, in_channels, kernel_size = weight.shape
        convolution = keras.layers.Conv1D(out_channels, kernel_size, use_bias=bias is not None, **options)
        convolution.build((None, None, in_channels))
        convolution.set_weights([weight.transpose(2, 1, 0)] + ([] if bias is None else [bias]))
        return lambda x: np.asarray(convolution(x.transpose(0, 2, 1))).transpose(0, 2, 1)

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((None, 4)), keras.layers.Conv1D(6, 4), keras.layers.Conv1D(2, 3)])
    names = ("0.kernel", "0.bias", "1.kernel", "1.bias")
    half = INPUTS["weight5"].astype(np.float16).astype(np.float32)
    return {
        **at_lengths("same", layer(INPUTS["weight5"], strides=3, padding="same")),
        "same_half": layer(half, strides=3, padding="same")(INPUTS["x"]),
        "model": layer(SECOND)(layer(INPUTS["weight4"], INPUTS["bias"])(INPUTS["x"])),
        **{f"initial.{name}": np.asarray(weight) for name, weight in zip(names, model.weights)},
    }


def run_mindspore(folder):
    """The default layer, strided SAME, and initial weights."""
    import mindspore

    def layer(weight, **options):
        out_channels, in_channels, kernel_size = weight.shape
        convolution = mindspore.nn.Conv1d(in_channels, out_channels, kernel_size, weight_init=mindspore.Tensor(weight), **options)
        return lambda x: convolution(mindspore.Tensor(x)).asnumpy()

    mindspore.set_seed(0)
    model = mindspore.nn.Conv1d(4, 6, 4), mindspore.nn.Conv1d(6, 2, 3)
    return {
        "default": layer(INPUTS["weight4"])(INPUTS["x"]),
        **at_lengths("same", layer(INPUTS["weight5"], stride=3)),
        **{f"initial.{number}.weight": convolution.weight.asnumpy() for number, convolution in enumerate(model)},
    }


def run_flax(folder):
    """Strided SAME_LOWER."""
    from flax import nnx

    convolution = nnx.Conv(4, 6, 5, strides=3, padding="SAME_LOWER", use_bias=False, rngs=nnx.Rngs(0))
    convolution.kernel.value = INPUTS["weight5"].transpose(2, 1, 0)
    return at_lengths("same_lower", lambda x: np.asarray(convolution(x.transpose(0, 2, 1))).transpose(0, 2, 1))


def run_transformers(folder):
    """Convolutions of EnCodec and HiFi-GAN, and the number of frames of EnCodec's encoder for many input lengths."""
    import torch
    from transformers.models.encodec.configuration_encodec import EncodecConfig
    from transformers.models.encodec.modeling_encodec import EncodecConv1d, EncodecEncoder
    from transformers.models.speecht5.modeling_speecht5 import HifiGanResidualBlock

    signal = samples(1, 1, 37)

    def run(name, module, convolution):
        taps = samples(1, 1, convolution.kernel_size[0])
        convolution.load_state_dict({"weight": torch.from_numpy(taps), "bias": torch.zeros(1)})
        return {f"{name}.taps": taps, f"{name}.output": module(torch.from_numpy(signal)).detach().numpy()}

    arrays = {"signal": signal}
    config = EncodecConfig(num_filters=2)
    for name, kernel_size, stride in (("first", 7, 1), ("residual", 3, 1), ("down_2", 4, 2), ("down_5", 10, 5), ("last", 7, 1)):
        module = EncodecConv1d(config, 1, 1, kernel_size, stride)
        torch.nn.utils.parametrize.remove_parametrizations(module.conv, "weight")  # weight normalization, whose norm rounds
        arrays |= run(f"encodec.{name}", module, module.conv)
    for name, kernel_size, dilation in (("resblock_3", 3, 1), ("resblock_11", 11, 5)):
        module = HifiGanResidualBlock(1, kernel_size, (dilation,)).convs1[0]
        arrays |= run(f"hifi-gan.{name}", module, module)
    encoder = EncodecEncoder(config).eval()
    lengths = np.arange(1, 4000, 61)
    frames = [encoder(torch.zeros(1, 1, int(length))).shape[2] for length in lengths]
    return arrays | {"lengths": lengths, "frames": np.array(frames)}


FRAMEWORKS = {
    "torch": run_torch,
    "keras": run_keras,
    "mindspore": run_mindspore,
    "flax": run_flax,
    "transformers": run_transformers,
}


if __name__ == "__main__":
    name, target = sys.argv[1], Path(sys.argv[2])
    np.savez_compressed(target / f"{name}.npz", **INPUTS, **FRAMEWORKS[name](target))

"""Checkpoints of the real frameworks: written by them, converted, and read by the other; whole models there and back, byte by byte."""

from __future__ import annotations

import pickle
import subprocess
import sys

import mindspore
import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn

import convpolicy as cp
from convpolicy import reference
from convpolicy.conversion import rows as planning
from convpolicy.conversion.tensors import in_pieces

pytestmark = pytest.mark.needs("torch", "mindspore", "keras", "tensorflow", "transformers")


def whisper():
    """The encoder of Whisper, tiny."""
    config = transformers.WhisperConfig(
        d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=16, decoder_ffn_dim=16, num_mel_bins=8, max_source_positions=20, vocab_size=50,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    return transformers.WhisperModel(config).encoder


def wav2vec2():
    """wav2vec 2.0, tiny, with its weight-normed positional convolution."""
    config = transformers.Wav2Vec2Config(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=(8, 8), conv_stride=(5, 2),
        conv_kernel=(10, 3), num_feat_extract_layers=2, num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=4,
    )  # fmt: skip
    return transformers.Wav2Vec2Model(config)


def encodec():
    """EnCodec, tiny: every convolution weight-normed, transposed ones among them."""
    return transformers.EncodecModel(
        transformers.EncodecConfig(num_filters=2, hidden_size=8, codebook_size=16, codebook_dim=8, upsampling_ratios=[2, 2])
    )


MODELS = {"whisper": whisper, "wav2vec2": wav2vec2, "encodec": encodec}


@pytest.mark.parametrize("name", MODELS)
def test_whole_models_there_and_back(name, tmp_path):
    """To MindSpore's layout, where real MindSpore layers take the weights and compute the same, and back: the very bytes."""
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    state = {key: value.contiguous().clone() for key, value in model.state_dict().items()}
    source, made, back = (tmp_path / f"{word}.safetensors" for word in "abc")
    save_file(state, source, {"format": "pt"})
    done = cp.convert(source, made, source="torch", target="mindspore", layers=model)
    found = load_file(made)
    convolutions = {path: module for path, module in model.named_modules() if isinstance(module, nn.Conv1d)}
    assert len(done.weights) >= len(convolutions)
    moved = {row.old for row in done.weights}
    for key, value in state.items():
        assert torch.equal(found[key], value[:, :, None] if key in moved else value), key
    for path, module in convolutions.items():
        if f"{path}.weight" not in found:
            continue  # weight-normed
        own = mindspore.nn.Conv1d(
            module.in_channels, module.out_channels, module.kernel_size[0], module.stride[0], "valid",
            dilation=module.dilation[0], group=module.groups, has_bias=module.bias is not None,
        )  # fmt: skip
        parameters = {
            key: mindspore.Tensor(found[f"{path}.{key}"].numpy()) for key in ("weight", "bias") if f"{path}.{key}" in found
        }
        for key, value in parameters.items():
            assert getattr(own, key).shape == value.shape
            getattr(own, key).set_data(value)
        assert np.array_equal(cp.capture(own).weight, module.weight.detach().numpy())
    cp.convert(made, back, source="mindspore", target="torch")
    assert back.read_bytes() == source.read_bytes()


def test_folded_as_torch_computes_it(tmp_path):
    """Weight normalisation multiplied out is the weight that the model itself uses, up to one rounding of each element."""
    torch.manual_seed(0)
    model = wav2vec2()
    source = tmp_path / "a.safetensors"
    save_file({key: value.contiguous().clone() for key, value in model.state_dict().items()}, source, {"format": "pt"})
    cp.convert(source, tmp_path / "b.safetensors", source="torch", target="torch", layers=model, fold_weight_norm=True)
    path, module = next((p, m) for p, m in model.named_modules() if isinstance(m, nn.Conv1d) and hasattr(m, "parametrizations"))
    found, own = (
        value.detach().double().numpy() for value in (load_file(tmp_path / "b.safetensors")[f"{path}.weight"], module.weight)
    )
    terms = module.weight.shape[0] * module.weight.shape[1]  # one norm for each tap
    assert (np.abs(found - own) <= reference.tolerance("float32", terms, np.abs(own))).all()


def state():
    """A state dict with a Conv1d, a shared tensor, other dtypes, and module versions."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv1d(3, 6, 5), nn.BatchNorm1d(6), nn.Linear(6, 2).bfloat16())
    return model.state_dict()


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin"])
@pytest.mark.parametrize("nested", [False, True])
def test_torch_files(suffix, nested, tmp_path):
    """Read without running code and written as torch.save does; what is no tensor is taken along; there and back is equal."""
    own = state()
    torch.save({"state_dict": own, "epoch": 3} if nested else own, tmp_path / f"a{suffix}")
    words = {"source": "torch", "target": "mindspore", "guess": True}
    cp.convert(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}", **words)
    found = torch.load(tmp_path / f"b{suffix}", weights_only=True)
    if nested:
        assert found["epoch"] == 3
        found = found["state_dict"]
    assert found["0.weight"].shape == (6, 3, 1, 5)
    assert list(found) == list(own)
    assert all(torch.equal(found[key], value.reshape(found[key].shape)) for key, value in own.items())
    assert all(found[key].dtype == value.dtype for key, value in own.items())
    cp.convert(tmp_path / f"b{suffix}", tmp_path / f"c{suffix}", source="mindspore", target="torch", guess=True)
    back = torch.load(tmp_path / f"c{suffix}", weights_only=True)
    model = nn.Sequential(nn.Conv1d(3, 6, 5), nn.BatchNorm1d(6), nn.Linear(6, 2).bfloat16())
    model.load_state_dict(back["state_dict"] if nested else back, strict=True)
    assert all(torch.equal(value, own[key]) for key, value in model.state_dict().items())


class Malicious:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("write", [torch.save, lambda what, path: path.write_bytes(pickle.dumps(what))], ids=["zip", "plain"])
def test_a_pickle_with_code_is_not_run(write, tmp_path):
    """Refused in one sentence; the code in it has not run."""
    path, trace = tmp_path / "a.pt", tmp_path / "trace"
    write({"conv.weight": torch.zeros(2, 2, 2), "x": Malicious(trace)}, path)
    with pytest.raises(cp.InvalidValueError, match=r"a\.pt") as raised:
        cp.convert(path, tmp_path / "b.pt", source="torch", target="mindspore", guess=True)
    assert "\n" not in str(raised.value)
    assert [file.name for file in tmp_path.iterdir()] == ["a.pt"]


@pytest.mark.parametrize("suffix", [".pt", ".ckpt"])
def test_truncated(suffix, tmp_path):
    """A file cut anywhere is refused and nothing is written."""
    save_file(state(), tmp_path / "s.safetensors")
    cp.convert(tmp_path / "s.safetensors", tmp_path / f"a{suffix}", source="torch", target="mindspore", guess=True)
    whole = (tmp_path / f"a{suffix}").read_bytes()
    for length in (0, 1, 10, len(whole) // 3, len(whole) // 2, len(whole) - 9):
        (tmp_path / f"a{suffix}").write_bytes(whole[:length])
        with pytest.raises(cp.InvalidValueError, match=f"a{suffix}"):
            cp.convert(tmp_path / f"a{suffix}", tmp_path / "b.safetensors", source="mindspore", target="torch", guess=True)
        assert not (tmp_path / "b.safetensors").exists()


def test_mindspore_checkpoints(tmp_path):
    """A torch file becomes a checkpoint that mindspore.load_checkpoint puts into a real layer, which then computes the same."""
    layer = nn.Conv1d(3, 6, 5, padding=2)
    torch.save(layer.state_dict(), tmp_path / "a.pt")
    cp.convert(tmp_path / "a.pt", tmp_path / "b.ckpt", source="torch", target="mindspore", layers={"": layer})
    own = mindspore.nn.Conv1d(3, 6, 5, pad_mode="pad", padding=2, has_bias=True)
    left, unused = mindspore.load_param_into_net(own, mindspore.load_checkpoint(str(tmp_path / "b.ckpt")))
    assert (list(left), list(unused)) == ([], ["convpolicy"])  # the stamp, which no layer wants
    data = np.random.default_rng(0).standard_normal((2, 3, 20)).astype("float32")
    expected = layer(torch.from_numpy(data)).detach().numpy()
    magnitude = np.abs(data).max() * np.abs(layer.weight.detach().numpy()).sum((1, 2)).max() + 1
    assert np.abs(own(mindspore.Tensor(data)).asnumpy() - expected).max() <= 2 * reference.tolerance("float32", 16, magnitude)
    cp.convert(tmp_path / "b.ckpt", tmp_path / "c.safetensors", source="mindspore", target="torch")
    back = load_file(tmp_path / "c.safetensors")
    assert all(torch.equal(back[key], value) for key, value in layer.state_dict().items())


KERAS = """
import os, sys
os.environ["KERAS_BACKEND"] = "jax"
import numpy as np, keras
import convpolicy as cp
from convpolicy import reference
from safetensors.numpy import load_file, save_file
folder = sys.argv[1] + "/"
def build():
    model = keras.Sequential([keras.Input((20, 3)), keras.layers.Conv1D(6, 5, name="one"), keras.layers.Conv1D(4, 3, name="two", use_bias=False), keras.layers.Dense(2)])
    return model
keras.utils.set_random_seed(0)
model, x = build(), np.random.default_rng(0).standard_normal((2, 20, 3)).astype("float32")
y = np.asarray(model(x))
for kind in ("weights.h5", "keras"):
    (model.save_weights if kind == "weights.h5" else model.save)(folder + "a." + kind)
    cp.convert(folder + f"a.{kind}", folder + f"{kind}.safetensors", source="keras", target="torch", guess=True)
    found = load_file(folder + f"{kind}.safetensors")
    shapes = sorted(value.shape for value in found.values() if value.ndim == 3)
    assert shapes == [(4, 6, 3), (6, 3, 5)], (shapes, list(found))
    kernels = [np.asarray(layer.kernel).transpose(2, 1, 0) for layer in model.layers[:2]]
    assert all(any(np.array_equal(kernel, value) for value in found.values()) for kernel in kernels)
    # negated in torch's layout and converted into a copy of the Keras file's own names, which Keras loads
    cp.convert(folder + f"a.{kind}", folder + f"b.{kind}", source="keras", target="keras")
    if kind == "weights.h5":
        other = build(); other.load_weights(folder + f"b.{kind}")
    else:
        other = keras.saving.load_model(folder + f"b.{kind}")
    assert np.array_equal(np.asarray(other(x)), y), kind
cp.convert(folder + "weights.h5.safetensors", folder + "c.weights.h5", source="torch", target="keras")
other = build(); other.load_weights(folder + "c.weights.h5")
assert np.array_equal(np.asarray(other(x)), y)
print("equal")
"""


def test_keras_files(tmp_path):
    """In a process of its own: .weights.h5 and .keras to torch's layout and back, loaded by Keras, whose model computes the same."""
    result = subprocess.run([sys.executable, "-c", KERAS, str(tmp_path)], capture_output=True, text=True, check=False)
    assert result.stdout.strip().endswith("equal"), result.stderr[-3000:]


def test_a_wrong_conversion_of_a_model_is_noticed(tmp_path, monkeypatch):
    """Axes that are moved wrongly on one way do not come back to the same bytes."""
    model = whisper()
    source, made, back = (tmp_path / f"{word}.safetensors" for word in "abc")
    save_file({key: value.contiguous().clone() for key, value in model.state_dict().items()}, source, {"format": "pt"})
    cp.convert(source, made, source="torch", target="keras", layers=model)
    monkeypatch.setattr(planning, "packed_pieces", lambda view: in_pieces(view[::-1]))
    cp.convert(made, back, source="keras", target="torch")
    assert back.read_bytes() != source.read_bytes()

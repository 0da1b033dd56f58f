"""Wrappers of real packages: what is read from a module computes what the module computes, every bit on torch."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
import transformers
from test_bits import outcome
from torch import nn
from wrapper_modules import REFUSED, WHOLE, C, Louder, encodec, module, original, speechbrain

import convpolicy as cp
from convpolicy import reference

LENGTHS = (*range(1, 24), 25, 40)


def randomized(layer):
    """Fill every parameter with random numbers."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return layer.eval()


ROUNDED = (
    "nemo-symmetric",
    "tcn-zeros",
)  # they add zeros to both ends, which torch's convolution does itself and rounds otherwise


def rounding(capture, data):
    """How far two orders of summation may be from each other."""
    size = np.abs(data).max() * np.abs(capture.weight).sum() + np.abs(0 if capture.bias is None else capture.bias).max()
    return 2 * reference.tolerance("float32", capture.weight.size + 1, size)


def compared(call, layer, *, refused=(), exact=True):
    """Count the lengths at which a layer gives every bit of a module's output; where the module refuses a length, so does the layer.

    Args:
        call: the module.
        layer: the torch layer.
        refused: lengths that only the module refuses.
        exact: False allows a difference of rounding.
    """
    count = 0
    for length in LENGTHS:
        data = torch.randn(2, C, length, generator=torch.Generator().manual_seed(length))
        theirs, ours = outcome(call, data), outcome(layer, data)
        if isinstance(theirs, str):
            assert isinstance(ours, str) or length in refused, length
        else:
            assert theirs.shape == ours.shape, length
            same = torch.equal(theirs.view(torch.int32), ours.view(torch.int32))
            assert same or (not exact and (theirs - ours).abs().max() <= rounding(cp.capture(layer), data.numpy())), length
            count += 1
    return count


@pytest.mark.parametrize("case", WHOLE)
def test_a_module_is_read_as_one_layer(case):
    """`port` gives a torch layer with the module's bits at every length, and a NumPy layer within rounding."""
    own = randomized(WHOLE[case]())
    refused = (1,) if case == "moshi-replicate" else ()  # it asserts that an input is not shorter than the pad
    assert compared(own, cp.port(own, to="torch"), refused=refused, exact=case not in ROUNDED) >= 6
    capture, layer = cp.capture(own), cp.port(own, to="numpy")
    data = np.random.default_rng(0).standard_normal((2, C, 30)).astype(np.float32)
    theirs, ours = own(torch.from_numpy(data)).detach().numpy(), layer(data)
    assert theirs.shape == ours.shape
    assert np.abs(theirs - ours).max() <= rounding(capture, data)
    row = cp.port_model(nn.Sequential(nn.ReLU(), own), to="numpy").report[0]
    assert (row.path, row.class_name, row.state) == ("1", type(own).__name__, "ported")


class Positional(nn.Module):
    """A positional embedding without its activation and transposes."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, data):
        return self.layer.padding(self.layer.conv(data))


@pytest.mark.parametrize("kernel", [4, 5, 16])
@pytest.mark.parametrize("model", [
    "Wav2Vec2", "Wav2Vec2Conformer", "Hubert", "WavLM", "UniSpeech", "UniSpeechSat", "SpeechT5", "Data2VecAudio", "SEW",
])  # fmt: skip
def test_a_positional_convolution_is_ported_with_its_padding(model, kernel):
    """Its activation is named in the report and left out; the rest is equal to the bit."""
    settings = {"hidden_size": C, "num_conv_pos_embeddings": kernel, "num_conv_pos_embedding_groups": 2}
    if model == "Data2VecAudio":
        settings |= {"conv_pos_kernel_size": kernel, "num_conv_pos_embeddings": 1}
    config = getattr(transformers, f"{model}Config")(**settings | ({"squeeze_factor": 1} if model == "SEW" else {}))
    home = importlib.import_module(type(config).__module__.replace("configuration", "modeling"))
    own = randomized(getattr(home, f"{model}PositionalConv{'Layer' if model == 'Data2VecAudio' else 'Embedding'}")(config))
    ported = cp.port_model(nn.Sequential(own), to="torch")
    (row,) = ported.report
    assert (row.path, row.reason) == ("0.conv", "")
    assert row.state.startswith(f"ported, with the padding of {type(own).__name__}, which also applies a")
    assert compared(Positional(own), ported.layers["0.conv"]) > 10
    with pytest.raises(cp.InvalidValueError, match=r"it applies a.*use port_model"):
        cp.capture(own)


def test_what_a_module_computes_besides_is_named():
    """A norm after the convolution, a mask and another axis order are named; the convolution with its padding is ported."""
    masked = module("nemo.collections.asr.parts.submodules.jasper").MaskedConv1d(C, C, 5, padding=(1, 3))
    cases = {
        "applies a GroupNorm": (encodec(5, 2, 1, False, norm_type="time_group_norm"), "conv"),
        "applies a ConvLayerNorm": (original(5, 2, 1, norm="layer_norm"), "conv.conv"),
        "takes and returns data of shape (batch, length, channels)": (speechbrain("same", 5, skip_transpose=False), "conv"),
        "masks its input and returns the lengths too": (masked, "conv"),
    }
    for more, (own, path) in cases.items():
        randomized(own)
        ported = cp.port_model(nn.ModuleDict({"x": own}), to="torch")
        (row,) = ported.report
        assert (row.path, row.state) == (f"x.{path}", f"ported, with the padding of {type(own).__name__}, which also {more}")
        if more.startswith("applies"):
            for part in (own, own.conv):
                if hasattr(part, "norm"):
                    part.norm = nn.Identity()
            assert compared(own, ported.layers[f"x.{path}"]) > 10
        elif own is masked:

            def call(data, layer=own):
                return layer(data, torch.full((2,), data.shape[-1]))[0]

            assert compared(call, ported.layers[f"x.{path}"]) > 10
        else:

            def call(data, layer=own):
                return layer(data.transpose(1, 2)).transpose(1, 2)

            assert compared(call, ported.layers[f"x.{path}"]) > 10


@pytest.mark.parametrize("reason", REFUSED)
def test_what_no_policy_describes_is_refused(reason):
    """`capture` says why; the report says that the padding is missing, and never plain "ported"."""
    own = REFUSED[reason]()
    with pytest.raises(cp.InvalidValueError, match=reason):
        cp.capture(own)
    (row,) = cp.port_model(nn.Sequential(own), to="numpy").report
    assert row.state == f"ported, but without the work of its parent {type(own).__name__}: {row.state.partition(': ')[2]}"
    assert reason in row.state


def test_a_subclass_is_not_recognized():
    """It may compute anything: no wrapper describes it, and its report says so."""
    config = transformers.EncodecConfig()
    own = Louder(config, C, C, 3)
    with pytest.raises(cp.InvalidTypeError, match="contains 'conv' and may compute more"):
        cp.capture(own)
    (row,) = cp.port_model(nn.Sequential(own), to="numpy").report
    assert row.state != "ported"


def test_every_wrapper_is_tested():
    """Every wrapper of a package is read as one layer above, or is one of these, which compute more than their convolution."""
    tested = {type(make()).__mro__ for make in WHOLE.values()}
    names = {f"{kind.__module__}.{kind.__qualname__}" for mro in tested for kind in mro[:2]}
    rest = {name.rpartition(".")[2] for name, part in cp.wrappers().items() if part.provider == "torch" and name not in names}
    assert rest == {
        "MaskedConv1d", "SeamlessM4TConformerPositionalConvEmbedding", "SEWDPositionalConvEmbedding", "SEWPositionalConvEmbedding",
        *(f"{name}PositionalConvEmbedding" for name in (
            "Hubert", "SpeechT5", "UniSpeech", "UniSpeechSat", "Wav2Vec2", "Wav2Vec2Conformer", "WavLM")),
        "Data2VecAudioPositionalConvLayer",
    }  # fmt: skip

"""Wrappers of public packages: what each pads around its convolution. Importing this module does not import torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from convpolicy.arithmetic import effective_kernel
from convpolicy.layers.capture import one
from convpolicy.layers.wrapper import Wrapper
from convpolicy.parts.choice import Choice
from convpolicy.registry.deferred import lazy

PLAIN = lazy("convpolicy.frameworks.torch.models", "plain")
MODES = {"constant": Choice("zeros"), "reflect": Choice("reflect", overflow="zero-extend")}
PAD_MODULES = {
    "ConstantPad1d": "zeros",
    "ReflectionPad1d": "reflect",
    "ReplicationPad1d": "replicate",
    "CircularPad1d": "circular",
}
CHANNELS_LAST = "takes and returns data of shape (batch, length, channels)"
Changes = dict[str, Any]


def _sizes(layer: Any) -> tuple[int, int, int]:
    return one(layer.kernel_size), one(layer.stride), one(layer.dilation)


def _require_no_padding(layer: Any) -> None:
    if layer.padding not in ((0,), 0):
        raise ValueError(f"its convolution pads too, by {layer.padding}")


def _mode(name: str) -> Choice:
    return MODES.get(name) or Choice(name)


# -- codecs: EnCodec, Mimi, Moshi ----------------------------------------------------------------------------------------------


def _codec(layer: Any, causal: bool, mode: str, rule: str) -> Changes:
    _require_no_padding(layer)
    return {"padding": rule if causal else "encodec", "padding_mode": _mode(mode)}


def _transformers_codec(module: Any) -> Changes:
    """Return the changes of EncodecConv1d and MimiConv1d, which compute the extra samples on the right from the effective kernel."""
    kernel, stride, dilation = _sizes(module.conv)
    sizes = (effective_kernel(kernel, dilation), stride, effective_kernel(kernel, dilation) - stride)
    if tuple(int(getattr(module, name)) for name in ("kernel_size", "stride", "padding_total")) != sizes:
        raise ValueError("its sizes were changed after it was built")
    if stride > 1 and dilation > 1 and not module.causal:
        raise ValueError("with a stride and a dilation above 1 and use_causal_conv=False no padding rule is the same")
    return _codec(module.conv, module.causal, module.pad_mode, "mimi" if stride > 1 and dilation > 1 else "encodec_causal")


def _mimi(module: Any) -> Changes:
    if int(module.padding_right) != int(module.padding_total) // 2 or int(module.padding_left + module.padding_right) != int(
        module.padding_total
    ):
        raise ValueError("its sizes were changed after it was built")
    return _transformers_codec(module)


def _norm(module: Any) -> str:
    return "applies a GroupNorm" if module.norm_type == "time_group_norm" else ""


def _encodec(module: Any) -> Changes:
    return _codec(module.conv.conv, module.causal, module.pad_mode, "encodec_causal")


def _encodec_norm(module: Any) -> str:
    norm = type(module.conv.norm).__name__
    return "" if norm == "Identity" else f"applies a {norm}"


def _cut(layer: Any, causal: bool, ratio: float, norm: str) -> Changes:
    """Return the changes of a transposed convolution whose full result is cut by kernel - stride samples."""
    _require_no_padding(layer)
    if norm:
        raise ValueError(f"it applies a {norm} before it cuts")
    kernel, stride, _dilation = _sizes(layer)
    if kernel < stride:
        raise ValueError(f"its kernel {kernel} is shorter than its stride {stride}")
    return {"padding": Choice("encodec_causal", right_ratio=float(ratio)) if causal else Choice("encodec")}


def _transformers_cut(module: Any) -> Changes:
    norm = "GroupNorm" if getattr(module, "norm_type", "") == "time_group_norm" else ""
    return _cut(module.conv, module.causal, module.trim_right_ratio, norm)


def _mimi_cut(module: Any) -> Changes:
    changes = _transformers_cut(module)
    kernel, stride, _dilation = _sizes(module.conv)
    if module.padding_left + module.padding_right != kernel - stride:
        raise ValueError("its sizes were changed after it was built")
    return changes


def _encodec_cut(module: Any) -> Changes:
    norm = type(module.convtr.norm).__name__
    return _cut(module.convtr.convtr, module.causal, module.trim_right_ratio, "" if norm == "Identity" else norm)


def _require_no_stream(module: Any) -> None:
    if module._streaming_state is not None:
        raise ValueError("it is streaming, and its output depends on earlier calls")


def _moshi(module: Any) -> Changes:
    _require_no_stream(module)
    return _codec(module.conv.conv, True, module.pad_mode, "moshi")


def _moshi_cut(module: Any) -> Changes:
    _require_no_stream(module)
    return _cut(module.convtr.convtr, True, 1.0, "")


# -- wav2vec 2.0 and its relatives ---------------------------------------------------------------------------------------------


def _same_pad(module: Any) -> Changes:
    kernel, stride, dilation = _sizes(module.conv)
    if module.conv.padding != (kernel // 2,) or module.padding.num_pad_remove != (kernel % 2 == 0):
        raise ValueError("its padding does not belong to its kernel")
    if stride != 1 or dilation != 1:
        raise ValueError(f"its stride is {stride} and its dilation {dilation}, and only 1 has a padding rule")
    return {"padding": "same_drop_last"}


def _activation(module: Any) -> str:
    norm = " a BatchNorm before it and" if getattr(module, "batch_norm", None) is not None else ""
    return f"applies{norm} an activation, and {CHANNELS_LAST}"


RELATIVES: dict[str, str | Callable[[Any], str]] = {
    "data2vec.modeling_data2vec_audio.Data2VecAudioPositionalConvLayer": "applies a LayerNorm and an activation",
    "hubert.modeling_hubert.HubertPositionalConvEmbedding": _activation,
    "seamless_m4t.modeling_seamless_m4t.SeamlessM4TConformerPositionalConvEmbedding": _activation,
    "sew.modeling_sew.SEWPositionalConvEmbedding": "applies an activation",
    "sew_d.modeling_sew_d.SEWDPositionalConvEmbedding": "applies an activation",
    "speecht5.modeling_speecht5.SpeechT5PositionalConvEmbedding": _activation,
    "unispeech.modeling_unispeech.UniSpeechPositionalConvEmbedding": _activation,
    "unispeech_sat.modeling_unispeech_sat.UniSpeechSatPositionalConvEmbedding": _activation,
    "wav2vec2.modeling_wav2vec2.Wav2Vec2PositionalConvEmbedding": _activation,
    "wav2vec2_conformer.modeling_wav2vec2_conformer.Wav2Vec2ConformerPositionalConvEmbedding": _activation,
    "wavlm.modeling_wavlm.WavLMPositionalConvEmbedding": _activation,
}


# -- NeMo, SpeechBrain, pytorch-tcn --------------------------------------------------------------------------------------------


def _nemo_causal(module: Any) -> Changes:
    _require_no_padding(module)
    return {"padding": (module._left_padding, module._right_padding), "padding_mode": "zeros"}


def _nemo_masked(module: Any) -> Changes:
    if module.heads != -1:
        raise ValueError("with heads it convolves several channels with one kernel")
    if module.pad_layer is None:
        return {}
    _require_no_padding(module.conv)
    if type(module.pad_layer).__name__ != "ConstantPad1d" or module.pad_layer.value != 0:
        raise ValueError("its pad_layer was replaced")
    return {"padding": tuple(module.pad_layer.padding)}


def _masked(module: Any) -> str:
    return f"{'masks its input and ' if module.use_mask else ''}returns the lengths too"


def _speechbrain(module: Any) -> Changes:
    if module.unsqueeze:
        raise ValueError("it adds an axis of channels")
    if module.padding == "valid":
        return {}
    _require_no_padding(module.conv)
    if _sizes(module.conv) != (module.kernel_size, module.stride, module.dilation):
        raise ValueError("its sizes were changed after it was built")
    if module.padding == "same":
        return {
            "padding": "speechbrain_same",
            "padding_mode": "zeros" if module.padding_mode == "constant" else module.padding_mode,
        }
    if module.padding == "causal":
        return {"padding": ((module.kernel_size - 1) * module.dilation, 0)}
    raise ValueError(f"its padding {module.padding!r} is unknown")


def _channels_last(module: Any) -> str:
    return "" if module.skip_transpose else CHANNELS_LAST


def _temporal(module: Any) -> Changes:
    _require_no_padding(module)
    pad = module.padder.pad
    mode = PAD_MODULES.get(type(pad).__name__)
    if mode is None or getattr(pad, "value", 0) != 0:
        raise ValueError("its padder was replaced")
    return {"padding": tuple(pad.padding), "padding_mode": mode}


NEMO = "nemo.collections.asr.parts.submodules"
MODELS = "transformers.models"
WRAPPERS = [
    Wrapper(
        f"{MODELS}.encodec.modeling_encodec.EncodecConv1d",
        "conv",
        _transformers_codec,
        more=_norm,
        description="EnCodec in transformers.",
    ),
    Wrapper(
        f"{MODELS}.encodec.modeling_encodec.EncodecConvTranspose1d",
        "conv",
        _transformers_cut,
        description="EnCodec's decoder in transformers.",
    ),
    Wrapper(
        f"{MODELS}.mimi.modeling_mimi.MimiConv1d",
        "conv",
        _mimi,
        description="Mimi in transformers, without a padding_cache.",
    ),
    Wrapper(
        f"{MODELS}.mimi.modeling_mimi.MimiConvTranspose1d",
        "conv",
        _mimi_cut,
        description="Mimi's decoder in transformers.",
    ),
    Wrapper("encodec.modules.conv.SConv1d", "conv.conv", _encodec, more=_encodec_norm, description="EnCodec."),
    Wrapper("encodec.modules.conv.SConvTranspose1d", "convtr.convtr", _encodec_cut, description="EnCodec's decoder."),
    Wrapper(
        "moshi.modules.conv.StreamingConv1d",
        "conv.conv",
        _moshi,
        description="Mimi in moshi, while it is not streaming.",
    ),
    Wrapper(
        "moshi.modules.conv.StreamingConvTranspose1d",
        "convtr.convtr",
        _moshi_cut,
        description="Mimi's decoder in moshi, while it is not streaming.",
    ),
    Wrapper(
        f"{NEMO}.causal_convs.CausalConv1D",
        PLAIN,
        _nemo_causal,
        description="NeMo's causal convolution, without a cache.",
    ),
    Wrapper(
        f"{NEMO}.jasper.MaskedConv1d",
        "conv",
        _nemo_masked,
        more=_masked,
        description="NeMo's convolution of Jasper and QuartzNet.",
    ),
    Wrapper(
        "speechbrain.nnet.CNN.Conv1d",
        "conv",
        _speechbrain,
        more=_channels_last,
        description="SpeechBrain's convolution.",
    ),
    Wrapper(
        "pytorch_tcn.conv.TemporalConv1d",
        PLAIN,
        _temporal,
        description="The convolution of pytorch-tcn, without inference=True.",
    ),
    *(
        Wrapper(
            f"{MODELS}.{name}",
            "conv",
            _same_pad,
            more=more,
            description="A positional convolution that drops its last output.",
        )
        for name, more in RELATIVES.items()
    ),
]

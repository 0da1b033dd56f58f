"""Modules of real packages that contain one convolution, built small."""

from __future__ import annotations

import packages  # before transformers
import torch
import transformers
from torch import nn
from transformers.models.encodec import modeling_encodec
from transformers.models.mimi import modeling_mimi

module = packages.module
SIZES = [(7, 1, 1), (3, 1, 2), (4, 2, 1), (10, 5, 1), (5, 2, 1)]
C = 4


def encodec(kernel, stride, dilation, causal=True, **settings):
    """EnCodec's layer in transformers."""
    config = transformers.EncodecConfig(use_causal_conv=causal, **settings)
    return modeling_encodec.EncodecConv1d(config, C, C, kernel, stride, dilation)


def encodec_up(kernel, stride, causal=True, ratio=1.0):
    """The layer of its decoder."""
    config = transformers.EncodecConfig(use_causal_conv=causal, trim_right_ratio=ratio)
    return modeling_encodec.EncodecConvTranspose1d(config, C, C, kernel, stride)


def mimi(kernel, stride, dilation, mode=None, causal=True, groups=1):
    """Mimi's layer in transformers."""
    config = transformers.MimiConfig(use_causal_conv=causal)
    return modeling_mimi.MimiConv1d(config, C, C, kernel, stride, dilation, groups=groups, pad_mode=mode)


def mimi_up(kernel, stride, groups=1):
    """The layer of its decoder."""
    return modeling_mimi.MimiConvTranspose1d(transformers.MimiConfig(), C, C, kernel, stride, groups=groups)


def original(kernel, stride, dilation, **settings):
    """EnCodec's layer in its own package."""
    return module("encodec.modules.conv").SConv1d(C, C, kernel, stride, dilation, **settings)


def original_up(kernel, stride, **settings):
    """The layer of its decoder."""
    return module("encodec.modules.conv").SConvTranspose1d(C, C, kernel, stride, **settings)


def moshi(kernel, stride, dilation, mode="constant"):
    """Mimi's layer in its own package."""
    return module("moshi.modules.conv").StreamingConv1d(C, C, kernel, stride, dilation, causal=True, pad_mode=mode)


def moshi_up(kernel, stride):
    """The layer of its decoder."""
    return module("moshi.modules.conv").StreamingConvTranspose1d(C, C, kernel, stride, causal=True)


def nemo(padding, kernel, stride=1, dilation=1, **settings):
    """NeMo's causal layer."""
    layer = module("nemo.collections.asr.parts.submodules.causal_convs")
    return layer.CausalConv1D(C, C, kernel, stride, padding, dilation, **settings)


def speechbrain(padding, kernel, stride=1, dilation=1, skip_transpose=True, **settings):
    """SpeechBrain's layer."""
    return module("speechbrain.nnet.CNN").Conv1d(
        C, kernel, in_channels=C, stride=stride, dilation=dilation, padding=padding, skip_transpose=skip_transpose, **settings
    )


def temporal(kernel, dilation, causal=True, mode="zeros", stride=1):
    """The layer of pytorch-tcn."""
    return module("pytorch_tcn.conv").TemporalConv1d(C, C, kernel, stride, dilation=dilation, causal=causal, padding_mode=mode)


def normed(layer):
    """A layer under weight normalization."""
    return nn.utils.parametrizations.weight_norm(layer)


WHOLE = {
    **{f"encodec-{sizes}-{causal}": lambda s=sizes, c=causal: encodec(*s, c) for sizes in SIZES for causal in (True, False)},
    **{f"encodec-{mode}": lambda m=mode: encodec(4, 2, 1, pad_mode=m) for mode in ("constant", "replicate", "circular")},
    "encodec-stride-and-dilation": lambda: encodec(4, 2, 2),
    **{f"encodec-up-{causal}": lambda c=causal: encodec_up(5, 2, c) for causal in (True, False)},
    "encodec-up-half": lambda: encodec_up(8, 3, True, 0.5),
    **{f"mimi-{sizes}": lambda s=sizes: mimi(*s) for sizes in SIZES},
    "mimi-stride-and-dilation": lambda: mimi(4, 2, 3),
    "mimi-replicate": lambda: mimi(4, 2, 1, "replicate", groups=2),
    "mimi-not-causal": lambda: mimi(5, 2, 1, causal=False),
    "mimi-up": lambda: mimi_up(4, 2, C),
    **{f"package-{sizes}-{causal}": lambda s=sizes, c=causal: original(*s, causal=c) for sizes in SIZES for causal in (True, False)},
    "package-weight-norm": lambda: original(4, 2, 3, norm="weight_norm", pad_mode="constant"),
    "package-up": lambda: original_up(8, 3, causal=True, trim_right_ratio=0.3, norm="weight_norm"),
    "package-up-centred": lambda: original_up(7, 2),
    **{f"moshi-{sizes}": lambda s=sizes: moshi(*s) for sizes in SIZES},
    "moshi-replicate": lambda: moshi(4, 2, 1, "replicate"),
    "moshi-up": lambda: moshi_up(6, 3),
    "nemo-causal": lambda: nemo(None, 5, 2),
    "nemo-dilated": lambda: nemo(None, 3, 1, 2, groups=2, bias=False),
    "nemo-context": lambda: nemo([1, 3], 5),
    "nemo-symmetric": lambda: nemo(2, 5),
    "nemo-weight-norm": lambda: normed(nemo(None, 5)),
    **{f"speechbrain-{p}-{s}": lambda p=p, s=s: speechbrain(p, 5, s) for p in ("same", "causal", "valid") for s in (1, 2)},
    "speechbrain-zeros": lambda: speechbrain("same", 3, 1, 2, padding_mode="constant", groups=2),
    "speechbrain-weight-norm": lambda: speechbrain("causal", 3, weight_norm=True),
    **{f"tcn-{mode}": lambda m=mode: temporal(3, 2, False, m) for mode in ("zeros", "reflect", "replicate", "circular")},
    "tcn-causal": lambda: temporal(4, 2),
    "tcn-even": lambda: temporal(4, 1, False),
    "tcn-weight-norm": lambda: normed(temporal(4, 1, stride=2)),
}  # fmt: skip


class Louder(modeling_encodec.EncodecConv1d):
    """A subclass with another forward."""

    def forward(self, hidden_states):
        return 2 * super().forward(hidden_states)


def changed(layer, **attributes):
    """A module with attributes that were changed after it was built."""
    for name, value in attributes.items():
        setattr(layer, name, value)
    return layer


REFUSED = {
    "it applies a GroupNorm before it cuts": lambda: modeling_encodec.EncodecConvTranspose1d(
        transformers.EncodecConfig(norm_type="time_group_norm"), C, C, 4, 2
    ),
    "no padding rule is the same": lambda: encodec(4, 2, 2, False),
    "a forward hook may change what it computes": lambda: hooked(encodec(3, 1, 1)),
    "its forward was replaced": lambda: changed(encodec(3, 1, 1), forward=lambda data: data),
    "its sizes were changed after it was built": lambda: changed(mimi(3, 1, 1), padding_total=torch.tensor(4)),
    "its convolution pads too": lambda: padded(original(3, 1, 1)),
}


def padded(layer):
    """A module whose convolution pads besides."""
    layer.conv.conv.padding = (1,)
    return layer


def hooked(layer):
    """A module with a hook."""
    layer.register_forward_hook(lambda *_: None)
    return layer

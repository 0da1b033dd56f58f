"""Functions and modules of torch whose results have each sample computed from the same sample of the inputs, if no axis says otherwise.

That a call does not mix samples is tested when the model is prepared; see `probing`.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import nn


def words(names: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(names.split())


SPACES: tuple[Any, ...] = (torch, F, operator, torch.special, torch.linalg, torch._C._nn, torch.Tensor)
ELEMENTWISE = words(
    """abs absolute acos acosh add addcdiv addcmul and_ arccos arcsin arctan arctan2 asin asinh atan atan2 atanh bfloat16 bool ceil celu
    clamp clamp_max clamp_min clip clone contiguous copysign cos cosh deg2rad detach div divide double elu eq erf erfc erfinv exp exp2
    expit expm1 fix float floor floor_divide floordiv fmax fmin fmod frac ge gelu gt half hardshrink hardsigmoid hardswish hardtanh
    heaviside hypot iadd imul int invert isfinite isinf isnan isub itruediv ipow le leaky_relu lerp log log10 log1p log2 logaddexp
    logical_and logical_not logical_or logical_xor logit logsigmoid long lt masked_fill maximum minimum mish mod mul multiply nan_to_num
    ne neg negative nextafter or_ polar pos positive pow prelu rad2deg reciprocal relu relu6 remainder round rrelu rsqrt rsub selu sgn
    sigmoid sign silu sin sinc sinh softplus softshrink softsign sqrt square sub subtract tan tanh tanhshrink threshold to true_divide
    truediv trunc type type_as where xlogy xor"""
)
ALONG_AXES = words(
    """alpha_dropout all amax amin any argmax argmin batch_norm bmm cat chunk concat concatenate cosine_similarity count_nonzero cumprod
    cumsum dropout dropout1d einsum embedding feature_alpha_dropout feature_dropout flip fliplr getitem glu index_select layer_norm linear
    log_softmax logsumexp matmul max mean median min narrow norm normalize one_hot pad prod repeat repeat_interleave rms_norm roll select
    softmax softmin sort split split_with_sizes stack std sum tensor_split tile topk unbind var var_mean std_mean vector_norm"""
)
MOVING = words(
    """broadcast_to expand expand_as flatten moveaxis movedim permute reshape squeeze swapaxes swapdims t transpose unflatten unsqueeze view
    view_as"""
)
SHARING = MOVING | words(
    "chunk contiguous detach dropout float getitem narrow select split split_with_sizes tensor_split to type_as unbind"
)  # their results may share memory with their input
SAMPLE_BY_SAMPLE = (
    nn.Identity, nn.Linear, nn.Bilinear, nn.Embedding, nn.BatchNorm1d, nn.LayerNorm, nn.RMSNorm, nn.Flatten, nn.Unflatten,
    nn.CosineSimilarity, nn.ChannelShuffle,
)  # fmt: skip
HOMES = ("torch.nn.modules.activation", "torch.nn.modules.dropout")  # modules whose classes are such, but attention
OVER_TIME = "it normalizes over the whole time axis"
EVERYWHERE = "it reads samples all over the input"
NORM_FIX = "use a LayerNorm over the channels or a BatchNorm1d"
REASONS: dict[type, tuple[str, str]] = {
    nn.GroupNorm: (OVER_TIME, NORM_FIX),
    nn.modules.instancenorm._InstanceNorm: (OVER_TIME, NORM_FIX),
    nn.modules.pooling._AdaptiveAvgPoolNd: (EVERYWHERE, "use AvgPool1d"),
    nn.modules.pooling._AdaptiveMaxPoolNd: (EVERYWHERE, "use MaxPool1d"),
}
ATTENDING = (nn.MultiheadAttention, nn.Transformer, nn.TransformerEncoder, nn.TransformerDecoder, nn.TransformerEncoderLayer,
             nn.TransformerDecoderLayer)  # fmt: skip
FUNCTION_REASONS = {
    "group_norm": (OVER_TIME, NORM_FIX),
    "instance_norm": (OVER_TIME, NORM_FIX),
    "adaptive_avg_pool1d": (EVERYWHERE, "use avg_pool1d"),
    "adaptive_max_pool1d": (EVERYWHERE, "use max_pool1d"),
    "scaled_dot_product_attention": (EVERYWHERE, ""),
}
IN_PLACE = ("iadd", "isub", "imul", "itruediv", "ipow")
RANDOM = words("alpha_dropout dropout dropout1d feature_alpha_dropout feature_dropout rrelu batch_norm")


def reason_of(module: Any) -> tuple[str, str] | None:
    """Return why modules of a class of torch cannot be streamed, and what to use instead; None for other classes."""
    return next((why for kind, why in REASONS.items() if isinstance(module, kind)), None)


def name_of(target: Any) -> str:
    """Return the name of a function of torch or of ``operator``; empty for another function."""
    name = getattr(target, "__name__", "")
    return name if any(getattr(space, name, None) is target for space in SPACES) else ""


def home_of(module: nn.Module) -> type:
    """Return the class of a module; for a class that torch derives for parametrizations, the class that it was derived from."""
    kind: type = type(module)
    return kind.__mro__[1] if kind.__module__ == "torch.nn.utils.parametrize" else kind


def is_sample_by_sample(module: nn.Module) -> bool:
    """Return True for a module of torch that computes each sample from the same sample, if no axis says otherwise."""
    home = home_of(module)
    if home.__module__ in HOMES:
        return home is not nn.MultiheadAttention
    return home in SAMPLE_BY_SAMPLE


def words_of(names: str, positional: tuple[Any, ...], keywords: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by name.

    Args:
        names: names and defaults, e.g. ``"input stride=1"``; a name without a default is None if it is absent.
        positional, keywords: the arguments of the call.
    """
    words: dict[str, Any] = {}
    order = []
    for each in names.split():
        name, _equal, default = each.partition("=")
        order.append(name)
        words[name] = {"": None, "False": False, "True": True}.get(default, default) if not default.isdigit() else int(default)
    return words | dict(zip(order, positional)) | keywords

"""Padding rules and crop rules of the reference code of individual papers.

All numbers are in samples. ``e`` is the effective kernel, ``(kernel - 1) * dilation + 1``, and ``L`` is the input length.
"""

from __future__ import annotations

import math

from convpolicy.arithmetic import effective_kernel, static_total
from convpolicy.parts.crop import CropRule
from convpolicy.parts.padding import PaddingRule
from convpolicy.parts.part import Param
from convpolicy.registry.marks import hookimpl


def same_symmetric(kernel: int, stride: int, dilation: int, length: int | None, *, odd_only: bool) -> tuple[int, int]:
    """(e - 1) // 2 on both sides: the common padding=dilation*(kernel_size-1)//2, which drops the extra sample of an odd total.

    With ``odd_only`` an even kernel is refused, as in reference code that asserts an odd one.
    Source: NVIDIA/tacotron2 layers.py; jik876/hifi-gan utils.py, get_padding; NeMo jasper.py, get_same_padding.
    """
    if odd_only and kernel % 2 == 0:
        raise ValueError(f"kernel must be odd, got {kernel}, as the reference code requires; use 'same_static' for an even one.")
    side = static_total(kernel, dilation) // 2
    return side, side


def same_drop_last(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """kernel // 2 on both sides; for an even kernel the last output is dropped: (kernel // 2, kernel // 2 - 1), extra sample left.

    The rule does not regard dilation. Source: fairseq and transformers, SamePad.
    """
    if stride != 1:
        raise ValueError(f"stride must be 1, got {stride}, as in the reference code; use 'same_lower' with a stride.")
    return kernel // 2, kernel // 2 - (kernel % 2 == 0)


def chomp(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """e - 1 on both sides; the last e - 1 outputs are dropped: (e - 1, 0) at stride 1; with a stride, right is negative.

    A kernel of 1 is refused: ``[..., :-0]`` in the reference code drops everything.
    Source: locuslab/TCN, TCN/tcn.py, Chomp1d.
    """
    if kernel == 1:
        raise ValueError("kernel must be at least 2, got 1, for which the reference code drops every output; use 'causal'.")
    dropped = static_total(kernel, dilation)
    if length is None:  # stride 1
        return dropped, 0
    outputs = (length + dropped - 1) // stride + 1 - dropped
    return dropped, (outputs - 1) * stride + 1 - length


def causal_keep(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """e - 1 on both sides; only the first L outputs are kept: (e - 1, 0), bit-identical to code that pads both sides.

    Source: state-spaces/mamba, mamba_ssm/modules/mamba_simple.py, ``conv1d(x)[..., :seqlen]``.
    """
    if stride != 1:
        raise ValueError(f"stride must be 1, got {stride}, as in the reference code, which keeps L outputs; use 'causal'.")
    return static_total(kernel, dilation), 0


def dac(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """ceil((e - stride) / 2) on both sides: 3 · dilation for kernel 7, ceil(stride / 2) for kernel 2 · stride.

    Source: descriptinc/descript-audio-codec, dac/model/dac.py, ResidualUnit and EncoderBlock.
    """
    _require_no_skipped_samples(kernel, stride, dilation)
    side = (effective_kernel(kernel, dilation) - stride + 1) // 2
    return side, side


def _require_no_skipped_samples(kernel: int, stride: int, dilation: int) -> None:
    effective = effective_kernel(kernel, dilation)
    if stride > effective:
        raise ValueError(f"stride must be at most the effective kernel {effective}, got {stride}; pass less.")


def encodec(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """Total e - stride: right total // 2 + extra, left the rest; extra = (kernel - e - L) % stride fills the last window.

    The reference code computes ``extra`` from the kernel instead of e. This matters only if stride and dilation are both above 1.
    Source: facebookresearch/encodec, encodec/modules/conv.py, SConv1d with causal=False.
    """
    _require_no_skipped_samples(kernel, stride, dilation)
    total = effective_kernel(kernel, dilation) - stride
    return total - total // 2, total // 2 + _extra(kernel, stride, dilation, length)


def encodec_causal(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """(e - stride, extra): extra = (kernel - e - L) % stride fills the last window.

    The rule is causal only with a mode that adds constants: with reflect, the first outputs read later samples.
    Source: facebookresearch/encodec, encodec/modules/conv.py, SConv1d with causal=True.
    """
    _require_no_skipped_samples(kernel, stride, dilation)
    return effective_kernel(kernel, dilation) - stride, _extra(kernel, stride, dilation, length)


def _extra(kernel: int, stride: int, dilation: int, length: int | None) -> int:
    return 0 if length is None else (kernel - effective_kernel(kernel, dilation) - length) % stride


def mimi(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """(e - stride, -L % stride): like encodec_causal, with the extra on the right computed from e.

    Source: transformers, modeling_mimi.py, MimiConv1d with use_causal_conv; moshi, pad_for_conv1d.
    """
    _require_no_skipped_samples(kernel, stride, dilation)
    return effective_kernel(kernel, dilation) - stride, 0 if length is None else -length % stride


def moshi(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """(e - stride, 0): only for lengths that are a multiple of the stride.

    Source: kyutai-labs/moshi, moshi/modules/conv.py, StreamingConv1d.
    """
    _require_no_skipped_samples(kernel, stride, dilation)
    if length is not None and length % stride:
        raise ValueError(f"length must be a multiple of the stride {stride}, got {length}; use 'mimi' or pad the input first.")
    return effective_kernel(kernel, dilation) - stride, 0


def nemo_causal(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """(kernel - 1, stride - 1), without regard to dilation.

    Source: NVIDIA NeMo, asr/parts/submodules/causal_convs.py, CausalConv1D with padding=None.
    """
    return kernel - 1, stride - 1


def nemo_future(kernel: int, stride: int, dilation: int, length: int | None, *, future: int) -> tuple[int, int]:
    """(kernel - 1 - future, future); for a dilation above 1 (kernel · dilation - 1 - future · dilation, future · dilation).

    A dilated layer has dilation - 1 outputs more than input samples. If ``future`` is at least the kernel, the pads are those of
    same_symmetric. Stride and dilation must not both be above 1.
    Source: NVIDIA NeMo, asr/parts/submodules/jasper.py, get_asymtric_padding.
    """
    if stride > 1 and dilation > 1:
        raise ValueError(f"stride and dilation must not both be above 1, got {stride} and {dilation}; set one to 1.")
    if kernel <= future:
        return same_symmetric(kernel, stride, dilation, length, odd_only=False)
    if dilation == 1:
        return kernel - 1 - future, future
    return kernel * dilation - 1 - future * dilation, future * dilation


def speechbrain_same(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """(e - 1) // 2 on both sides at stride 1; with a stride kernel // 2 on both sides, without regard to dilation.

    Source: speechbrain, nnet/CNN.py, get_padding_elem.
    """
    side = kernel // 2 if stride > 1 else static_total(kernel, dilation) // 2
    return side, side


def to_multiple(kernel: int, stride: int, dilation: int, length: int | None, *, of: int) -> tuple[int, int]:
    """(0, -L % of): pads on the right to the next multiple of the parameter 'of', by default of the stride.

    Source: lucidrains/enformer-pytorch, AttentionPool; asteroid and espnet before an encoder.
    """
    assert length is not None
    return 0, -length % (of or stride)


def crop(kernel: int, stride: int, dilation: int, length: int | None, *, left: int, right: int) -> tuple[int, int]:
    """(-left, -right): removes samples from the input before the convolution.

    A negative number adds samples: ``padding=(1, -1)`` means ``Choice("crop", left=-1, right=1)``.
    Source: a negative pad of torch.nn.functional.pad and of jax.lax.conv_general_dilated.
    """
    return -left, -right


def _has_stride(kernel: int, stride: int, dilation: int) -> bool:
    return stride > 1


@hookimpl
def convpolicy_padding_rules() -> list[PaddingRule]:
    """Return the padding rules of reference code."""
    return [
        PaddingRule("same_symmetric", same_symmetric, params={"odd_only": Param(False, kind="flag")}),
        PaddingRule("same_drop_last", same_drop_last, drops_outputs=True),
        PaddingRule("chomp", chomp, needs_length=_has_stride, drops_outputs=True, declares={"causal"}),
        PaddingRule("causal_keep", causal_keep, drops_outputs=True, declares={"causal", "length-preserving"}),
        PaddingRule("dac", dac),
        PaddingRule("encodec", encodec, needs_length=_has_stride),
        PaddingRule("encodec_causal", encodec_causal, needs_length=_has_stride, declares={"causal"}),
        PaddingRule("mimi", mimi, needs_length=_has_stride, declares={"causal", "length-preserving"}),
        PaddingRule("moshi", moshi, needs_length=_has_stride, declares={"causal", "length-preserving"}),
        PaddingRule("nemo_causal", nemo_causal),
        PaddingRule("nemo_future", nemo_future, params={"future": Param(0, kind="integer")}),
        PaddingRule("speechbrain_same", speechbrain_same),
        PaddingRule("to_multiple", to_multiple, needs_length=True, params={"of": Param(0, kind="integer")}),
        PaddingRule("crop", crop, params={"left": Param(0, kind="offset"), "right": Param(0, kind="offset")}),
    ]


def trimmed(kernel: int, stride: int) -> int:
    """Return ``kernel - stride``, the samples that the codecs' transposed convolutions cut."""
    if kernel < stride:
        raise ValueError(f"kernel must be at least the stride, got {kernel} and {stride}, as in the reference code.")
    return kernel - stride


def encodec_causal_crop(kernel: int, stride: int, dilation: int, length: int | None, *, right_ratio: float) -> tuple[int, int]:
    """Total kernel - stride, of which ceil(total * right_ratio) right, the rest left; by default all right.

    Source: facebookresearch/encodec, encodec/modules/conv.py, SConvTranspose1d with causal=True, trim_right_ratio; Mimi.
    """
    if right_ratio > 1:
        raise ValueError(f"right_ratio must be at most 1, got {right_ratio:g}.")
    total = trimmed(kernel, stride)
    right = math.ceil(total * right_ratio)
    return total - right, right


def encodec_crop(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """Total kernel - stride: right total // 2, left the rest.

    Source: facebookresearch/encodec, encodec/modules/conv.py, SConvTranspose1d with causal=False.
    """
    total = trimmed(kernel, stride)
    return total - total // 2, total // 2


def dac_crop(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """ceil(stride / 2) on both sides; with kernel 2 * stride and an odd stride, length * stride - 1 samples stay.

    Source: descriptinc/descript-audio-codec, dac/model/dac.py, DecoderBlock.
    """
    cut = -(-stride // 2)
    return cut, cut


def univnet_crop(kernel: int, stride: int, dilation: int, length: int | None) -> tuple[int, int]:
    """ceil(stride / 2) left and stride // 2 right: padding=stride // 2 + stride % 2, output_padding=stride % 2.

    With kernel 2 * stride, length * stride samples stay.
    Source: Jang et al., UnivNet (2021); transformers, modeling_univnet.py, UnivNetLvcBlock.
    """
    return -(-stride // 2), stride // 2


@hookimpl
def convpolicy_crop_rules() -> list[CropRule]:
    """Return the crop rules of papers."""
    ratio = {"right_ratio": Param(1.0, minimum=0.0)}
    return [
        CropRule("encodec_causal", encodec_causal_crop, params=ratio, cuts_full=True),
        CropRule("encodec", encodec_crop, cuts_full=True),
        CropRule("dac", dac_crop),
        CropRule("univnet", univnet_crop),
    ]

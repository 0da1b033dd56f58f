"""What each policy is compared with: the convolution of a package, built with random weights, and the same layer of a policy.

``CASES`` lists, for every policy, reference layers of small sizes. ``Case.build()`` gives the torch convolution inside the reference
and a function that runs the reference around it; ``Case.arguments`` are those of `convpolicy.Conv1d` for the same layer.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import layers
import layers_transposed
from layers import Built

import convpolicy as cp


class Case(NamedTuple):
    """One layer of one reference."""

    policy: str
    package: str
    build: Callable[[], Built]
    arguments: dict[str, Any]
    transposed: bool = False

    def layer(self, **changes: Any) -> Any:
        """Return the same layer of the policy, with changes to its arguments."""
        build = cp.ConvTranspose1d if self.transposed else cp.Conv1d
        return build(**self.arguments | changes, policy=self.policy)

    def __str__(self) -> str:
        words = ["up"] * self.transposed + [
            f"{name[0]}{value}" for name, value in self.arguments.items() if name in ("kernel_size", "stride", "dilation")
        ]
        return f"{self.policy}-{self.package}-{'-'.join(words)}"

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Kernel, stride and dilation."""
        return tuple(self.arguments.get(name, 1) for name in ("kernel_size", "stride", "dilation"))

    @property
    def lengths(self) -> list[int]:
        """1, around half a window, one less and one more than a window, and some beyond, most not divisible by the stride."""
        kernel, stride, dilation = self.sizes
        if self.transposed:
            return [1, 2, 3, 7, kernel + 2]
        window = (kernel - 1) * dilation + 1
        return sorted(
            {1, 2, window // 2, max(window - 1, 1), window, window + 1, window + stride + 1, 2 * window + 3 * stride + 2}
        )


def _sizes(channels: tuple[int, int], kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1, **other: Any) -> Any:
    sizes = {"kernel_size": kernel, "stride": stride, "dilation": dilation, "groups": groups}
    return {"in_channels": channels[0], "out_channels": channels[1], **sizes, **other}


# -- the cases -----------------------------------------------------------------------------------------------------------------


def _cases(c: int) -> list[Case]:
    cases: list[Case] = []

    def add(policy: str, package: str, function: Any, *arguments: Any, layer: dict[str, Any], **words: Any) -> None:
        cases.append(Case(f"paper/{policy}", package, partial(function, c, *arguments, **words), layer))

    square = (c, c)
    for kernel, stride, dilation in [(5, 1, 1), (4, 1, 1), (3, 1, 2), (4, 1, 3), (2, 1, 3), (5, 2, 1), (4, 3, 2), (1, 1, 1)]:
        layer = _sizes(square, kernel, stride, dilation)
        add("bytenet", "sequence-models", layers.bytenet, kernel, stride, dilation, layer=layer)
    for kernel, dilation in [(3, 1), (3, 4), (2, 3), (1, 1)]:
        layer = _sizes(square, kernel, 1, dilation)
        add("bytenet", "sequence-models-causal", layers.bytenet_decoder, kernel, dilation, layer=layer | {"padding": "causal"})
        if kernel > 1:
            add("tcn", "pytorch-tcn", layers.tcn, kernel, dilation, layer=layer | {"padding": "causal"})
    for kernel, stride, dilation in [(3, 1, 1), (2, 1, 3), (7, 1, 2), (3, 2, 1), (4, 3, 2)]:
        add("tcn", "formula", layers.tcn_formula, kernel, stride, dilation, layer=_sizes(square, kernel, stride, dilation))
    for kernel, dilation in [(3, 1), (3, 4), (5, 2), (4, 3)]:
        layer = _sizes(square, kernel, 1, dilation, c)
        add("conv-tasnet", "asteroid", layers.tasnet, kernel, dilation, False, layer=layer)
        add("conv-tasnet", "asteroid-causal", layers.tasnet, kernel, dilation, True, layer=layer | {"padding": "chomp"})
        add("conv-tasnet", "torchaudio", layers.tasnet_torchaudio, kernel, dilation, layer=layer)
    layer = _sizes((1, c), 16, 8, padding="valid", bias=False)
    add("conv-tasnet", "torchaudio-encoder", layers.tasnet_encoder, 16, layer=layer)
    for number, (kernel, dilation, mode) in {
        0: (7, 1, "reflect"),
        1: (3, 1, "zeros"),
        2: (3, 3, "zeros"),
        3: (3, 27, "zeros"),
    }.items():
        layer = _sizes((c, c), kernel, 1, dilation, padding_mode=mode)
        add("univnet", "transformers", layers.univnet, number, layer=layer)
    for kernel, groups in [(128, 2), (8, 2), (2, 1), (3, 4)]:
        add("wav2vec2-pos", "transformers", layers.wav2vec2, kernel, groups, layer=_sizes((2 * c, 2 * c), kernel, groups=groups))
    add("whisper", "transformers", layers.whisper, 1, layer=_sizes((c, 2 * c), 3))
    add("whisper", "transformers", layers.whisper, 2, layer=_sizes((2 * c, 2 * c), 3, 2))
    for kernel, stride, dilation in [(5, 1, 1), (3, 2, 1), (5, 1, 2), (3, 2, 3), (1, 1, 1)]:
        add("tacotron2", "torchaudio", layers.tacotron2, kernel, stride, dilation, layer=_sizes(square, kernel, stride, dilation))
    add("hifi-gan", "transformers", layers.hifi_gan_layer, lambda m: m.conv_pre, layer=_sizes((c, 4 * c), 7))
    add("hifi-gan", "transformers", layers.hifi_gan_layer, lambda m: m.conv_post, layer=_sizes((2 * c, 1), 7))
    for block, number in itertools.product(range(3), range(3)):
        kernel, dilation = (3, 7, 11)[block], (1, 3, 5)[number]
        pick = partial(layers.residual_layer, block=block, number=number)
        add("hifi-gan", "transformers", layers.hifi_gan_layer, pick, layer=_sizes((2 * c, 2 * c), kernel, 1, dilation))
    seanet = [(7, 1, 1), (3, 1, 2), (1, 1, 1), (4, 2, 1), (8, 4, 1), (10, 5, 1), (16, 8, 1), (5, 3, 1)]
    for (kernel, stride, dilation), causal in itertools.product([*seanet, (5, 3, 2), (4, 2, 3)], (True, False)):
        name, layer = "encodec" if causal else "encodec-48khz", _sizes(square, kernel, stride, dilation)
        add(name, "encodec", layers.encodec, causal, kernel, stride, dilation, layer=layer)
        if 1 in (stride, dilation):  # with both, transformers counts the extra with e, encodec with the kernel
            add(name, "transformers", layers.encodec_transformers, causal, kernel, stride, dilation, layer=layer)
    for dilation in (1, 3, 9):
        add("dac", "descript-audio-codec", layers.dac_residual, dilation, layer=_sizes(square, 7, 1, dilation))
    for stride in (2, 4, 5, 8):
        add("dac", "descript-audio-codec", layers.dac_down, stride, layer=_sizes((c, 2 * c), 2 * stride, stride))
        add("dac", "transformers", layers.dac_transformers, stride, layer=_sizes((c, 2 * c), 2 * stride, stride))
    for kernel, channels in ((15, (4, c)), (5, square), (1, square)):
        add("enformer", "enformer-pytorch", layers.enformer, kernel, layer=_sizes(channels, kernel))
    for kernel in (4, 2, 3):
        add("mamba", "transformers", layers.mamba, kernel, layer=_sizes(square, kernel, groups=c))
        add("mamba", "mambapy", layers.mambapy, kernel, layer=_sizes(square, kernel, groups=c))
    for kernel, stride, dilation in [(33, 2, 1), (33, 1, 1), (87, 1, 2), (4, 1, 1), (4, 1, 3), (4, 3, 1)]:
        add(
            "quartznet",
            "nemo-toolkit",
            layers.quartznet,
            kernel,
            stride,
            dilation,
            layer=_sizes(square, kernel, stride, dilation, c),
        )
    for kernel, stride, dilation in [(5, 1, 1), (3, 1, 2), (3, 1, 4), (1, 1, 1), (4, 1, 1), (5, 2, 1), (4, 3, 2)]:
        add("ecapa-tdnn", "speechbrain", layers.ecapa, kernel, stride, dilation, layer=_sizes(square, kernel, stride, dilation))
    for kernel, stride, dilation in [*seanet, (5, 3, 2), (4, 2, 3)]:
        layer = _sizes(square, kernel, stride, dilation)
        add("mimi", "transformers", layers.mimi, kernel, stride, dilation, layer=layer)
        add("mimi", "moshi", layers.moshi, kernel, stride, dilation, layer=layer | {"padding": "moshi"})
    replicate = {"padding_mode": "replicate", "bias": False}
    layer = _sizes(square, 4, 2, **replicate)
    add("mimi", "transformers-downsample", layers.mimi, 4, 2, 1, pad_mode="replicate", bias=False, layer=layer)
    moshi = layer | {"padding": "moshi"}
    add("mimi", "moshi-downsample", layers.moshi, 4, 2, 1, pad_mode="replicate", bias=False, layer=moshi)
    for kernel in (31, 5, 3):
        add("conformer", "transformers", layers.conformer, kernel, layer=_sizes(square, kernel, groups=c))
        add("conformer", "torchaudio", layers.conformer_torchaudio, kernel, layer=_sizes(square, kernel, groups=c, bias=True))
    for kernel, stride, dilation in [(4, 2, 1), (8, 4, 1), (3, 1, 4), (5, 3, 2)]:
        layer = _sizes(square, kernel, stride, dilation, padding="nemo_causal")
        cases.append(Case("torch", "nemo-toolkit-causal", partial(layers.nemo_causal, c, kernel, stride, dilation), layer))
    return cases


def _transposed_cases(c: int) -> list[Case]:
    cases: list[Case] = []

    def add(policy: str, package: str, function: Any, *arguments: Any, layer: dict[str, Any], **words: Any) -> None:
        build = partial(function, c, *arguments, **words)
        cases.append(Case(f"paper/{policy}", package, build, layer, transposed=True))

    square = (c, c)
    for (kernel, stride), causal in itertools.product([(16, 8), (10, 5), (8, 4), (4, 2), (5, 2), (7, 4), (3, 3)], (True, False)):
        name, layer = "encodec" if causal else "encodec-48khz", _sizes(square, kernel, stride)
        add(name, "encodec", layers_transposed.encodec, causal, kernel, stride, layer=layer)
        add(name, "transformers", layers_transposed.encodec_transformers, causal, kernel, stride, layer=layer)
        if causal:
            half = layer | {"padding": {"name": "encodec_causal", "right_ratio": 0.5}}
            add(name, "transformers-trim", layers_transposed.encodec_transformers, causal, kernel, stride, 0.5, layer=half)
            add("mimi", "transformers", layers_transposed.mimi, kernel, stride, layer=layer)
            add("mimi", "moshi", layers_transposed.moshi, kernel, stride, layer=layer)
    layer = _sizes(square, 4, 2, groups=c, bias=False)
    add("mimi", "transformers-upsample", layers_transposed.mimi, 4, 2, groups=c, bias=False, layer=layer)
    add("mimi", "moshi-upsample", layers_transposed.moshi, 4, 2, groups=c, bias=False, layer=layer)
    for stride in (2, 3, 4, 5, 8):
        layer = _sizes((2 * c, c), 2 * stride, stride)
        add("dac", "descript-audio-codec", layers_transposed.dac, stride, layer=layer)
        add("dac", "transformers", layers_transposed.dac_transformers, stride, layer=layer)
    for kernel, stride in [(16, 8), (4, 2), (11, 5), (7, 3), (8, 3)]:
        layer = _sizes((4 * c, 2 * c), kernel, stride)
        for model in layers_transposed.VOCODERS:
            add("hifi-gan", f"transformers-{model}", layers_transposed.vocoder, model, kernel, stride, layer=layer)
    for stride in (2, 3, 4, 5, 8):
        add("univnet", "transformers", layers_transposed.univnet, stride, layer=_sizes(square, 2 * stride, stride))
    for kernel in (16, 8):
        layer = _sizes((c, 1), kernel, kernel // 2)
        add("conv-tasnet", "torchaudio-decoder", layers_transposed.tasnet_decoder, kernel, layer=layer)
    return cases


CASES = [*_cases(4), *_transposed_cases(4)]
WIDE = [
    case for case in [*_cases(20), *_transposed_cases(20)] if case.sizes[0] < 100
]  # other channels, other ways through torch's kernels

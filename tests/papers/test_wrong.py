"""The judge of test_bits rejects policies that are wrong in the ways in which these papers are commonly reproduced wrongly."""

from __future__ import annotations

import pytest
from references import CASES, Case
from test_bits import disagreements, randomised

import convpolicy as cp


def rule(name: str, change):
    """A registered rule with its pads changed."""
    found = cp.padding_rules()[name]

    def pads(kernel, stride, dilation, length):
        return change(*found.pads(kernel, stride, dilation, length), kernel, stride, dilation)

    return cp.PaddingRule(f"wrong-{name}", pads, needs_length=found.needs_length)


class Wrong:
    @cp.hookimpl
    def convpolicy_padding_rules(self):
        return [
            rule("encodec", lambda left, right, *_: (right, left)),
            rule("encodec_causal", lambda left, right, *_: (left, 0)),
            rule("mimi", lambda left, right, *_: (left, 0)),
            rule("same_drop_last", lambda left, right, *_: (right, left)),
            rule("chomp", lambda left, right, *_: (right, left)),
            rule("dac", lambda left, right, *_: (left, right + 1)),
            rule("speechbrain_same", lambda left, right, kernel, stride, dilation: (kernel // 2, kernel // 2)),
        ]

    @cp.hookimpl
    def convpolicy_crop_rules(self):
        def other_side(name: str):
            found = cp.crop_rules()[name]
            return cp.CropRule(f"wrong-{name}", lambda *sizes, **params: found.crops(*sizes, **params)[::-1], params=found.params)

        return [other_side(name) for name in ("encodec", "encodec_causal", "univnet")]


@pytest.fixture(autouse=True)
def wrong_rules():
    cp.register(Wrong(), "wrong")
    yield
    cp.unregister("wrong")


def case(policy: str, *, transposed: bool = False, **sizes: int) -> Case:
    """The first case of a policy with these sizes."""
    cases = (c for c in CASES if c.policy == policy and c.transposed == transposed)
    return next(c for c in cases if sizes.items() <= c.arguments.items())


UP = {"transposed": True}
WRONG = {
    "48 kHz: odd element right": ("paper/encodec-48khz", {"kernel_size": 10}, {"padding": "wrong-encodec"}),
    "24 kHz: no extra for the last window": ("paper/encodec", {"stride": 2}, {"padding": "wrong-encodec_causal"}),
    "24 kHz: keras's causal": ("paper/encodec", {"stride": 2}, {"padding": "causal"}),
    "24 kHz: the 48 kHz rule": ("paper/encodec", {"kernel_size": 7}, {"padding": "encodec"}),
    "24 kHz: zeros for reflection": ("paper/encodec", {"kernel_size": 7}, {"padding_mode": "zeros"}),
    "24 kHz: torch's reflection of short inputs": ("paper/encodec", {"kernel_size": 7}, {"padding_mode": "reflect"}),
    "24 kHz: numpy's reflection of short inputs": (
        "paper/encodec", {"kernel_size": 7}, {"padding_mode": cp.Choice("reflect", overflow="periodic")},
    ),
    "Mimi: no extra": ("paper/mimi", {"stride": 2}, {"padding": "wrong-mimi"}),
    "Mimi: EnCodec's reflection": (
        "paper/mimi", {"kernel_size": 7}, {"padding_mode": cp.Choice("reflect", overflow="zero-extend")},
    ),
    "Mimi: zeros in the downsampling": ("paper/mimi", {"padding_mode": "replicate"}, {"padding_mode": "zeros"}),
    "wav2vec2: torch's same": ("paper/wav2vec2-pos", {"kernel_size": 8}, {"padding": "torch_same"}),
    "wav2vec2: extra right": ("paper/wav2vec2-pos", {"kernel_size": 8}, {"padding": "wrong-same_drop_last"}),
    "Whisper: TensorFlow's SAME": ("paper/whisper", {"stride": 2}, {"padding": "same_upper"}),
    "TCN: everything on the right": ("paper/tcn", {"stride": 1}, {"padding": "wrong-chomp"}),
    "TCN: shared between the sides": ("paper/tcn", {"stride": 1}, {"padding": "same_static"}),
    "DAC: one more on the right": ("paper/dac", {"stride": 5}, {"padding": "wrong-dac"}),
    "ECAPA: zeros for reflection": ("paper/ecapa-tdnn", {"kernel_size": 5}, {"padding_mode": "zeros"}),
    "ECAPA: dilation not counted": ("paper/ecapa-tdnn", {"dilation": 4}, {"padding": "wrong-speechbrain_same"}),
    "HiFi-GAN: dilation not counted": ("paper/hifi-gan", {"dilation": 5}, {"padding": "half"}),
    "Mamba: not causal": ("paper/mamba", {"kernel_size": 4}, {"padding": "same_static"}),
    "Conformer: half of an odd kernel and one more": ("paper/conformer", {"kernel_size": 31}, {"padding": (16, 16)}),
    "48 kHz decoder: odd element right": ("paper/encodec-48khz", UP | {"kernel_size": 10}, {"padding": "wrong-encodec"}),
    "48 kHz decoder: SAME": ("paper/encodec-48khz", UP | {"kernel_size": 10}, {"padding": "same_upper"}),
    "24 kHz decoder: cut on the left": ("paper/encodec", UP | {"stride": 2}, {"padding": "wrong-encodec_causal"}),
    "24 kHz decoder: cut on both sides": ("paper/encodec", UP | {"stride": 2}, {"padding": "symmetric"}),
    "Mimi decoder: nothing cut": ("paper/mimi", UP | {"stride": 4}, {"padding": 0}),
    "DAC decoder: one more output": ("paper/dac", UP | {"stride": 5}, {"padding": "symmetric"}),
    "HiFi-GAN: cut to the length": ("paper/hifi-gan", UP | {"kernel_size": 8}, {"padding": "same_upper"}),
    "UnivNet: without output_padding": ("paper/univnet", UP | {"stride": 5}, {"padding": "dac"}),
    "UnivNet: the other side": ("paper/univnet", UP | {"stride": 5}, {"padding": "wrong-univnet"}),
    "Conv-TasNet decoder: cut to the length": ("paper/conv-tasnet", UP | {"stride": 8}, {"padding": "same_upper"}),
    "ByteNet: half of an even kernel": ("paper/bytenet", {"kernel_size": 4}, {"padding": "half"}),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_policy_is_rejected(name):
    """Each differs from the reference for at least one length, where the right one differs for none."""
    policy, sizes, changes = WRONG[name]
    judged = case(policy, **sizes)
    built = randomised(judged.build())
    assert disagreements(judged, built) == []
    assert disagreements(judged, built, **changes) != []

"""Translated files are run: every layer and every functional convolution gives the outputs of the source's file.

A source's file runs first; its layers' weights, read by `helpers.translating`, go into the layers of each translation.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from helpers.running_files import run

import convpolicy as cp
from convpolicy import reference

pytestmark = pytest.mark.needs("torch", "mindspore", "keras", "tensorflow", "flax", "paddle")
FILES = {
    "torch": '''
import functools
import torch
import torch.nn.functional as F
from torch import nn
nn_unused = nn.ReLU()


class Causal(nn.Conv1d):
    """Pads."""

    def __init__(self, dim, out=6, *, kernel=3, bias=True):
        super().__init__(dim, out, kernel, padding=4, dilation=2, bias=bias)

thin = functools.partial(nn.Conv1d, bias=False)

def layers(dim=4):
\tfirst = nn.Conv1d(dim, 8, 5, stride=2,  # fast
\t                  padding=2)
\tsecond = nn.utils.weight_norm(nn.Conv1d(4, 6, 3, padding=1, padding_mode="circular")) if 0 else nn.Conv1d(4, 6, 2, padding="same")
\treturn [first, second, Causal(4), thin(4, 8, 4, dilation=2, groups=GROUPS), nn.ConvTranspose1d(4, 8, 4, stride=2, padding=1)]

def function(x, w, b, length=False):
\treturn [lambda: F.conv1d(x, w, b), lambda: F.conv1d(x, w, bias=None, stride=2, padding=3, dilation=1), lambda: torch.conv1d(x, w, b, dilation=2),
\t        lambda: F.conv1d(F.conv1d(x, w, padding="same") if 0 else F.conv1d(x, w, padding=2)[:], w, b, 1, 1)]
'''.replace("GROUPS", "2"),
    "keras": """
import tensorflow as tf
from tensorflow.keras import layers as kl

def layers():
    return [kl.Conv1D(8, 5, strides=2, padding="same", activation="relu", input_shape=(None, 4)), kl.Conv1D(8, 3, padding="causal", input_shape=(None, 4)),
            kl.Conv1DTranspose(6, 4, 2, "same", input_shape=(None, 4))]

def function(x, w, b, length=False):
    return [lambda: tf.nn.conv1d(x, w, 1, "VALID", dilations=2), lambda: tf.nn.conv1d(x, filters=w, stride=1, padding="SAME")]
""",
    "flax": """
from flax import linen as nn

def layers():
    import jax
    return [nn.Conv(8, (5,), strides=2, padding="SAME", use_bias=False), nn.Conv(features=6, kernel_size=(3,), padding=[(2, 0)], kernel_dilation=2, name="c")]

def function(x, w, b, length=False):
    return []
""",
}  # fmt: skip
TARGETS = ("torch", "mindspore", "keras", "flax", "paddle")
SHAPES = {"torch": (4, 4, 3), "keras": (3, 4, 4), "flax": (3, 4, 4)}  # weight of the functions, in the axes of the source
COUNTS = {"torch": 9, "keras": 5, "flax": 2}


@pytest.fixture(scope="module")
def ran():
    """(source, target) -> {"layer 0": output, …} of the translation, and of the source's file itself."""
    draw = np.random.default_rng(7)
    common = {
        source: {"data": draw.standard_normal((2, 4, 23)).astype("float32"), "w": draw.standard_normal(SHAPES[source]).astype("float32"),
                 "b": draw.standard_normal(4).astype("float32")} for source in FILES
    }  # fmt: skip
    results = {(source, source): run(source, {source: (FILES[source], common[source])})[source] for source in FILES}
    jobs: dict = {target: {} for target in TARGETS}
    for source, text in FILES.items():
        weights = {key: value for key, value in results[source, source].items() if key.split()[0] in ("weight", "bias")}
        for target in TARGETS:
            if target != source:
                page = cp.translate_page(text, source, target, in_channels=4 if source == "flax" else None)
                left = [row.reason for row in page if row.reason and not re.search("only 1-D|named here", row.reason)]
                assert not left
                jobs[target][source] = page.text, common[source] | weights
    for target, files in jobs.items():
        for source, result in run(target, files).items():
            results[source, target] = result
    return results


@pytest.mark.parametrize(("source", "target"), [(s, t) for s in FILES for t in TARGETS if s != t])
def test_a_translated_file_gives_the_outputs_of_its_source(ran, source, target):
    """Every layer with the same weights, and every functional convolution of the same tensors in the source's axes."""
    there, here = ran[source, source], ran[source, target]
    keys = [key for key in there if key.split()[0] in ("layer", "function")]
    assert len(keys) == COUNTS[source]
    for key in keys:
        assert there[key].shape == here[key].shape
        bound = 4 * reference.tolerance("float32", 64, np.abs(there[key]).max() + 64)
        assert there[key].size
        assert np.abs(there[key] - here[key]).max() <= bound, key


def test_the_bound_rejects_a_shifted_convolution(ran):
    """A convolution that is one sample off is far outside the bound."""
    output = ran["torch", "torch"]["layer 0"]
    assert np.abs(output[..., 1:] - output[..., :-1]).max() > 100 * 4 * reference.tolerance(
        "float32", 64, np.abs(output).max() + 64
    )

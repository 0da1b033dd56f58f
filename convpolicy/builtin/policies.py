"""Framework profiles: what each framework's own Conv1d does by default, as measured."""

from __future__ import annotations

from convpolicy.hookspecs import hookimpl
from convpolicy.initializers import TORCH_UNIFORM
from convpolicy.parts import Choice
from convpolicy.policy import Policy

MINDSPORE_PAGE = "https://www.mindspore.cn/docs/en/r2.0/note/api_mapping/pytorch_diff/Conv1d.html"
SAME_OR_VALID = (("same", "same_upper"), ("valid", "valid"))
KERAS_SOURCE = "keras/src/layers/convolutional/conv1d.py, class Conv1D"
FLAX_WORDS = (
    ("SAME", "same_upper"),
    ("SAME_LOWER", "same_lower"),
    ("VALID", "valid"),
    ("CAUSAL", "causal"),
    ("CIRCULAR", "same_static"),
    ("REFLECT", "same_static"),
    *SAME_OR_VALID,
)
FLAX_MODES = tuple((mode.upper(), Choice(mode, overflow="periodic")) for mode in ("circular", "reflect"))
KERAS_WORDS = (*SAME_OR_VALID, ("causal", "causal"))


def _keras(name: str, stream: str, source: str, description: str) -> Policy:
    return Policy(
        name,
        padding="valid",
        weight_init="glorot_uniform",
        bias_init="zeros",
        layout="WIO",
        data_layout="NWC",
        stream=stream,
        padding_names=KERAS_WORDS,
        strided_dilation=False,
        framework="tensorflow" if name == "tensorflow" else "keras",
        versions=">=3,<4",
        measured="3.15.1",
        source=source,
        description=f"No padding, bias of zeros, Glorot uniform kernel stored (kernel, in/groups, out){description}.",
    )


def _mindspore(name: str, versions: str, measured: str, weight_init: Choice, bias_init: str, description: str) -> Policy:
    return Policy(
        name,
        padding="same_upper",
        bias=False,
        weight_init=weight_init,
        bias_init=bias_init,
        layout="OI1W",
        stream="mindspore",
        padding_names=SAME_OR_VALID,
        framework="mindspore",
        versions=versions,
        measured=measured,
        source=f"mindspore/nn/layer/conv.py, class Conv1d; its page {MINDSPORE_PAGE}",
        description=description,
    )


def _flax(name: str, stream: str, source: str, description: str) -> Policy:
    return Policy(
        name,
        padding="same_upper",
        weight_init="lecun_truncated_normal",
        bias_init="zeros",
        layout="WIO",
        data_layout="NWC",
        stream=stream,
        padding_names=FLAX_WORDS,
        mode_names=FLAX_MODES,
        framework="flax",
        versions=">=0.12,<0.13",
        measured="0.12.0",
        source=source,
        description=f"Pads 'SAME' with the odd element right, bias of zeros, LeCun truncated normal kernel, {description}.",
    )


@hookimpl
def convpolicy_policies() -> list[Policy]:
    """Return the built-in policies."""
    return [
        Policy(
            "torch",
            weight_init=TORCH_UNIFORM,
            stream="torch",
            padding_names=(("same", "torch_same"), ("valid", "valid")),
            framework="torch",
            versions=">=1.9,<2.14",
            measured="1.9.0, 2.13.0",
            source="torch/nn/modules/conv.py, class Conv1d",
            description="No padding, bias, weight and bias uniform ±√(1/fan_in); its own 'same' puts the odd element right.",
        ),
        _mindspore(
            "mindspore",
            ">=2.1,<2.11",
            "2.7.0, 2.8.0, 2.9.0, 2.10.0",
            TORCH_UNIFORM,
            "uniform",
            "Pads 'same' with the odd element right, no bias, weight uniform ±√(1/fan_in); from 2.1 on by its pages, 2.7 measured.",
        ),
        _mindspore(
            "mindspore@2.0",
            "==2.0.*",
            "2.0.0",
            Choice("normal", std=0.01),
            "zeros",
            "Pads 'same' with the odd element right, no bias, weight N(0, 0.01²); its page says N(0, 1).",
        ),
        _keras("keras", "keras", KERAS_SOURCE, ""),
        _keras("keras-torch", "keras-torch", KERAS_SOURCE, "; drawn as on the torch backend"),
        _keras("keras-jax", "keras-jax", KERAS_SOURCE, "; drawn as on the JAX backend"),
        _keras("tensorflow", "keras", "tf.keras.layers.Conv1D, which is keras.layers.Conv1D", ""),
        _flax("flax", "flax", "flax/nnx/nn/linear.py, class Conv", "drawn from one nnx.Rngs"),
        _flax("flax-linen", "flax-linen", "flax/linen/linear.py, class Conv", "drawn by the module's path"),
        Policy(
            "paddle",
            weight_init=Choice("he_normal", fan="fan_in_all_groups"),
            bias_init="zeros",
            stream="paddle",
            padding_names=(("SAME", "paddle_same"), ("same", "paddle_same"), ("VALID", "valid"), ("valid", "valid")),
            framework="paddle",
            versions=">=3.3,<3.4",
            measured="3.3.1",
            source="python/paddle/nn/layer/conv.py, class Conv1D",
            description="No padding, bias of zeros, weight N(0, 2 / (in_channels · kernel)), also with groups.",
        ),
    ]

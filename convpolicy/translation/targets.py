"""The frameworks that can be written, as tables; how each pads stands in `paddings`, its initializers in `initial_code`."""

from __future__ import annotations

from convpolicy.translation import initial_code, paddings
from convpolicy.translation.writing import Target

_ACTIVATIONS = {"relu": "ReLU()", "relu6": "ReLU6()", "sigmoid": "Sigmoid()", "tanh": "Tanh()", "elu": "ELU()"}
_LIKE_TORCH = {name: f"nn.{layer}" for name, layer in _ACTIVATIONS.items()}
_SIZES = {"in_channels": "in_channels", "out_channels": "out_channels", "kernel_size": "kernel_size"}
_LIKE_TORCHS = {**_SIZES, "stride": "stride", "dilation": "dilation", "groups": "groups", "bias": "bias"}

TARGETS = {
    "torch": Target(
        "torch",
        {"torch": "import torch", "nn": "from torch import nn"},
        "nn.Conv1d",
        _LIKE_TORCHS,
        ("in_channels", "out_channels", "kernel_size"),
        "nn.Sequential({})",
        paddings.torch,
        initial_code.torch,
        {
            **_LIKE_TORCH,
            "selu": "nn.SELU()",
            "silu": "nn.SiLU()",
            "swish": "nn.SiLU()",
            "gelu": "nn.GELU()",
            "softplus": "nn.Softplus()",
            "leaky_relu": "nn.LeakyReLU(0.2)",
            "softmax": "nn.Softmax(dim=1)",
        },
        ("dtype", "torch.{}"),
    ),
    "mindspore": Target(
        "mindspore",
        {
            "mindspore": "import mindspore",
            "nn": "from mindspore import nn",
            "ops": "from mindspore import ops",
            "initializer": "from mindspore.common import initializer",
        },
        "nn.Conv1d",
        {**_LIKE_TORCHS, "groups": "group", "bias": "has_bias", "weight_init": "weight_init", "bias_init": "bias_init"},
        ("in_channels", "out_channels", "kernel_size"),
        "nn.SequentialCell([{}])",
        paddings.mindspore,
        initial_code.mindspore,
        {
            **_LIKE_TORCH,
            "selu": "nn.SeLU()",
            "silu": "nn.SiLU()",
            "swish": "nn.SiLU()",
            "gelu": "nn.GELU(approximate=False)",
            "leaky_relu": "nn.LeakyReLU(0.2)",
            "softmax": "nn.Softmax(axis=1)",
        },
        ("dtype", "mindspore.{}"),
        spelled=True,
    ),
    "keras": Target(
        "keras",
        {"keras": "import keras"},
        "keras.layers.Conv1D",
        {
            "out_channels": "filters",
            "kernel_size": "kernel_size",
            "stride": "strides",
            "dilation": "dilation_rate",
            "groups": "groups",
            "bias": "use_bias",
            "weight_init": "kernel_initializer",
            "bias_init": "bias_initializer",
        },
        ("out_channels", "kernel_size"),
        "keras.Sequential([{}])",
        paddings.keras,
        initial_code.keras,
        dtype=("dtype", '"{}"'),
    ),
    "flax": Target(
        "flax",
        {"jax": "import jax", "jnp": "import jax.numpy as jnp", "nnx": "from flax import nnx"},
        "nnx.Conv",
        {
            "in_channels": "in_features",
            "out_channels": "out_features",
            "kernel_size": "kernel_size",
            "stride": "strides",
            "dilation": "kernel_dilation",
            "groups": "feature_group_count",
            "bias": "use_bias",
            "weight_init": "kernel_init",
            "bias_init": "bias_init",
        },
        ("in_channels", "out_channels", "kernel_size"),
        "nnx.Sequential({})",
        paddings.flax,
        initial_code.flax,
        {
            **{
                name: f"nnx.{name}" for name in ("relu", "relu6", "sigmoid", "tanh", "elu", "selu", "silu", "softplus", "softmax")
            },
            "swish": "nnx.silu",
            "gelu": "lambda x: nnx.gelu(x, approximate=False)",
            "leaky_relu": "lambda x: nnx.leaky_relu(x, 0.2)",
        },
        ("param_dtype", "jnp.{}"),
        extra="rngs=nnx.Rngs(0)",
    ),
    "paddle": Target(
        "paddle",
        {"paddle": "import paddle", "nn": "from paddle import nn"},
        "nn.Conv1D",
        {**_LIKE_TORCHS, "bias": "bias_attr", "weight_init": "weight_attr", "bias_init": "bias_attr"},
        ("in_channels", "out_channels", "kernel_size"),
        "nn.Sequential({})",
        paddings.paddle,
        initial_code.paddle,
        {
            **_LIKE_TORCH,
            "selu": "nn.SELU()",
            "silu": "nn.Silu()",
            "swish": "nn.Silu()",
            "gelu": "nn.GELU()",
            "softplus": "nn.Softplus()",
            "leaky_relu": "nn.LeakyReLU(0.2)",
            "softmax": "nn.Softmax(axis=1)",
        },
        ("dtype", '"{}"'),
    ),
}

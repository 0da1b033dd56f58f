"""Code around ``nnx.Conv`` that ``translate`` knows: containers and layers."""

from __future__ import annotations

from convpolicy.translation.surroundings import LOCAL, Surroundings, functional

NNX = (
    "BatchNorm", "Bidirectional", "Dropout", "Einsum", "Embed", "GRUCell", "GroupNorm", "InstanceNorm", "LSTMCell", "LayerNorm",
    "Linear", "LinearGeneral", "LoRA", "LoRALinear", "MultiHeadAttention", "OptimizedLSTMCell", "PReLU", "RMSNorm", "RNN",
    "SimpleCell",
)  # fmt: skip
LINEN = (
    *NNX, "Dense", "DenseGeneral", "MultiHeadDotProductAttention", "SelfAttention", "MGUCell", "ConvLSTMCell", "SpectralNorm",
    "WeightNorm",
)  # fmt: skip
FUNCTION = functional("flax.nnx.Conv")
SURROUNDINGS = Surroundings(
    layers=(*(f"flax.nnx.{name}" for name in NNX), *(f"flax.linen.{name}" for name in LINEN)),
    alike={
        "flax.linen.ConvLocal": LOCAL,
        "jax.lax.conv": FUNCTION,
        "jax.lax.conv_general_dilated": FUNCTION,
        "jax.lax.conv_with_general_padding": FUNCTION,
    },
    containers=("flax.nnx.Sequential", "flax.nnx.List", "flax.nnx.Dict", "flax.linen.Sequential"),
    remarks={
        "flax.nnx.jit": "it compiles the layer",
        "jax.jit": "it compiles the layer",
        "flax.nnx.remat": "it only matters in training",
    },
    methods={"train": "", "eval": ""},
)

"""How MLX names and stores the tensors of each kind of module. Importing this does not import MLX."""

from __future__ import annotations

from convpolicy.conversion.models.kinds import Scheme, gates, scheme

Rows = tuple[tuple[str, str, str], ...]
BIAS, SHIFT = ("bias", "bias", "O"), ("bias", "shift", "*")
CONVOLUTION: Rows = (("weight", "weight", "GO K I"), BIAS)
LINEAR: Rows = (("weight", "weight", "O I"), BIAS)
NORM: Rows = (("weight", "scale", "*"), SHIFT)
BATCH_NORM: Rows = (("running_mean", "mean", "*"), ("running_var", "variance", "*"), *NORM)
EMBEDDING: Rows = (("weight", "weight", "*"),)
ATTENTION: Rows = (
    *((f"{part}_proj.weight", f"weight_{part[0]}", "HD I") for part in ("query", "key", "value")),
    ("out_proj.weight", "weight_o", "O HD"),
    *((f"{part}_proj.bias", f"bias_{part[0]}", "HD") for part in ("query", "key", "value")),
    ("out_proj.bias", "bias_o", "O"),
)
LSTM: Rows = (
    ("Wx", gates("weight_ih", "ifgo"), "SO I"),
    ("Wh", gates("weight_hh", "ifgo"), "SO I"),
    ("bias", gates("bias", "ifgo"), "SO"),
)
GRU: Rows = (
    ("Wx", gates("weight_ih", "rzn"), "SO I"),
    ("Wh", gates("weight_hh", "rzn"), "SO I"),
    ("b", "bias.r bias.z bias_ih.n", "SO"),
    ("bhn", "bias_hh.n", "O"),
)
RNN: Rows = (("Wxh", "weight_ih.h", "O I"), ("Whh", "weight_hh.h", "O I"), ("bias", "bias.h", "O"))


def schemes() -> tuple[Scheme, ...]:
    """Return the tensors of each kind of module."""
    return (
        scheme("attention", *ATTENTION, required=4),
        scheme("lstm", *LSTM, required=2),
        scheme("gru", *GRU, required=2),
        scheme("rnn", *RNN, required=2),
        scheme("convolution", *CONVOLUTION),
        scheme("transposed convolution", *CONVOLUTION),
        scheme("batch norm", *BATCH_NORM, required=2),
        *(scheme(kind, *NORM) for kind in ("group norm", "layer norm")),
        scheme("rms norm", NORM[0]),
        scheme("linear", *LINEAR),
        scheme("embedding", *EMBEDDING),
        scheme("prelu", ("weight", "weight", "O")),
    )

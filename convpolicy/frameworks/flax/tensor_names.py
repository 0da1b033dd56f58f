"""How Flax names and stores the tensors of each kind of module. Importing this does not import Flax."""

from __future__ import annotations

from convpolicy.conversion.models.kinds import GATES, Scheme, gates, scheme

Rows = tuple[tuple[str, str, str], ...]
SCALE, SHIFT, BIAS = ("scale", "scale", "*"), ("bias", "shift", "*"), ("bias", "bias", "O")
CONVOLUTION: Rows = (("kernel", "weight", "K I GO"), BIAS)
LINEAR: Rows = (("kernel", "weight", "I O"), BIAS)
TRANSPOSED: Rows = (("kernel", "weight", "-K I O"), BIAS)
TRANSPOSE_KERNEL: Rows = (("kernel", "weight", "K O I"), BIAS)
BATCH_NORM: Rows = (("mean", "mean", "*"), ("var", "variance", "*"), SCALE, SHIFT)
EMBEDDING: Rows = (("embedding", "weight", "*"),)
ATTENTION: Rows = (
    *((f"{part}.kernel", f"weight_{letter}", "I H D") for part, letter in (("query", "q"), ("key", "k"), ("value", "v"))),
    ("out.kernel", "weight_o", "H D O"),
    *((f"{part}.bias", f"bias_{letter}", "H D") for part, letter in (("query", "q"), ("key", "k"), ("value", "v"))),
    ("out.bias", "bias_o", "O"),
)
# nnx.LSTMCell, and linen's, whose forget gate is called if
LSTM: Rows = (
    *((f"i{'f_' if gate == 'f' else gate}.kernel", f"weight_ih.{gate}", "I O") for gate in GATES["lstm"]),
    *((f"h{gate}.kernel", f"weight_hh.{gate}", "I O") for gate in GATES["lstm"]),
    *((f"h{gate}.bias", f"bias.{gate}", "O") for gate in GATES["lstm"]),
)
LINEN_LSTM: Rows = tuple((name.replace("if_.", "if."), pieces, axes) for name, pieces, axes in LSTM)
OPTIMIZED_LSTM: Rows = (
    ("dense_i.kernel", gates("weight_ih", "ifgo"), "I SO"),
    ("dense_h.kernel", gates("weight_hh", "ifgo"), "I SO"),
    ("dense_h.bias", gates("bias", "ifgo"), "SO"),
)
GRU: Rows = (  # no bias of the hidden state
    ("dense_i.kernel", gates("weight_ih", "rzn"), "I SO"),
    ("dense_h.kernel", gates("weight_hh", "rzn"), "I SO"),
    ("dense_i.bias", "bias.r bias.z bias_ih.n", "SO"),
)
RNN: Rows = (("dense_i.kernel", "weight_ih.h", "I O"), ("dense_h.kernel", "weight_hh.h", "I O"), ("dense_i.bias", "bias.h", "O"))
LINEN_GRU: Rows = (
    *((f"i{gate}.kernel", f"weight_ih.{gate}", "I O") for gate in "rzn"),
    *((f"h{gate}.kernel", f"weight_hh.{gate}", "I O") for gate in "rzn"),
    ("ir.bias", "bias.r", "O"),
    ("iz.bias", "bias.z", "O"),
    ("in.bias", "bias_ih.n", "O"),
    ("hn.bias", "bias_hh.n", "O"),
)


def schemes() -> tuple[Scheme, ...]:
    """Return the tensors of each kind of module."""
    cells = (
        ("lstm", LSTM, 8),
        ("lstm", LINEN_LSTM, 8),
        ("lstm", OPTIMIZED_LSTM, 2),
        ("gru", GRU, 2),
        ("gru", LINEN_GRU, 6),
        ("rnn", RNN, 2),
    )
    return (
        scheme("attention", *ATTENTION, required=4),
        *(
            scheme(kind, *((start + name, pieces, axes) for name, pieces, axes in rows), required=required)
            for kind, rows, required in cells
            for start in ("cell.", "")
        ),
        scheme("convolution", *CONVOLUTION),
        *(scheme("transposed convolution", *rows) for rows in (TRANSPOSED, TRANSPOSE_KERNEL)),
        scheme("batch norm", *BATCH_NORM, required=2),
        *(scheme(kind, SCALE, SHIFT) for kind in ("group norm", "layer norm")),
        scheme("rms norm", SCALE),
        scheme("linear", *LINEAR),
        scheme("embedding", *EMBEDDING),
        scheme("prelu", ("negative_slope", "weight", "*")),
    )

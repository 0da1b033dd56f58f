"""How Keras names and stores the tensors of each kind of layer. Importing this does not import Keras."""

from __future__ import annotations

from convpolicy.conversion.models.kinds import Scheme, gates, scheme

Rows = tuple[tuple[str, str, str], ...]
LSTM, GRU = "ifgo", "zrn"
SCALE, SHIFT, MEAN, VARIANCE = (
    ("gamma", "scale", "*"),
    ("beta", "shift", "*"),
    ("moving_mean", "mean", "*"),
    ("moving_variance", "variance", "*"),
)
BIAS = ("bias", "bias", "O")
# Kind of layer -> the kind of module and its tensors, in the order of the layer
LAYERS: dict[str, tuple[str, Rows]] = {
    "conv": ("convolution", (("kernel", "weight", "K I GO"), BIAS)),
    "depthwise": ("convolution", (("kernel", "weight", "K G O"), BIAS)),
    "transposed": ("transposed convolution", (("kernel", "weight", "K O I"), BIAS)),
    "dense": ("linear", (("kernel", "weight", "I O"), BIAS)),
    "batch norm": ("batch norm", (SCALE, SHIFT, MEAN, VARIANCE)),
    "group norm": ("group norm", (SCALE, SHIFT)),
    "layer norm": ("layer norm", (SCALE, SHIFT)),
    "rms norm": ("rms norm", (("scale", "scale", "*"),)),
    "embedding": ("embedding", (("embeddings", "weight", "*"),)),
    "prelu": ("prelu", (("alpha", "weight", "O"),)),
    "lstm": (
        "lstm",
        (
            ("kernel", gates("weight_ih", LSTM), "I SO"),
            ("recurrent_kernel", gates("weight_hh", LSTM), "I SO"),
            ("bias", gates("bias", LSTM), "SO"),
        ),
    ),
    "gru": (
        "gru",
        (
            ("kernel", gates("weight_ih", GRU), "I SO"),
            ("recurrent_kernel", gates("weight_hh", GRU), "I SO"),
            ("bias", f"{gates('bias_ih', GRU)} {gates('bias_hh', GRU)}", "T SO"),
        ),
    ),
    "rnn": (
        "rnn",
        (("kernel", "weight_ih.h", "I O"), ("recurrent_kernel", "weight_hh.h", "I O"), ("bias", "bias.h", "O")),
    ),
}
CELLS = ("lstm", "gru", "rnn")
ATTENTION: Rows = (
    *(
        row
        for part, letter in (("query", "q"), ("key", "k"), ("value", "v"))
        for row in ((f"{part}/kernel", f"weight_{letter}", "I H D"), (f"{part}/bias", f"bias_{letter}", "H D"))
    ),
    ("attention_output/kernel", "weight_o", "H D O"),
    ("attention_output/bias", "bias_o", "O"),
)
# part of the layer -> its name in .weights.h5
PARTS = {"query": "query_dense", "key": "key_dense", "value": "value_dense", "attention_output": "output_dense"}


def numbered(rows: Rows, cell: str = "") -> list[tuple[str, str, str]]:
    """Return tensors under the names that they have in ``.weights.h5``."""
    return [(f"{cell}vars.{number}", pieces, axes) for number, (_name, pieces, axes) in enumerate(rows)]


def numbered_attention(*, bias: bool) -> list[tuple[str, str, str]]:
    """Return the tensors of attention under the names that they have in ``.weights.h5``, kernels first."""
    rows = [
        (f"{PARTS[part]}.vars.{int(name == 'bias')}", pieces, axes)
        for path, pieces, axes in ATTENTION
        for part, _slash, name in [path.partition("/")]
        if bias or name == "kernel"
    ]
    return sorted(rows, key=lambda row: row[0].endswith("1"))


def schemes() -> tuple[Scheme, ...]:
    """Return the tensors of each kind of layer, with their own names and with those in ``.weights.h5``."""
    made = [
        scheme("attention", *numbered_attention(bias=True), required=4),
        scheme(
            "attention",
            *sorted(
                ((path.replace("/", "."), pieces, axes) for path, pieces, axes in ATTENTION),
                key=lambda row: row[0].endswith("bias"),
            ),
            required=4,
        ),
    ]
    for name, (kind, rows) in LAYERS.items():
        required = {"batch norm": 4, "lstm": 2, "gru": 2, "rnn": 2}.get(name, 1)
        if name in CELLS:
            ends = ("cell.", f"{'simple_rnn' if name == 'rnn' else name}_cell.", "")
            made.append(scheme(kind, *numbered(rows, "cell."), required=required))
            made += [scheme(kind, *((end + own, pieces, axes) for own, pieces, axes in rows), required=required) for end in ends]
            continue
        made += [scheme(kind, *own, required=required) for own in (numbered(rows), rows)]
        if rows[0][0] in ("kernel", "embeddings"):  # in checkpoints of TensorFlow
            made.append(scheme(kind, (f"_{rows[0][0]}", *rows[0][1:]), *rows[1:], required=required))
        if name == "batch norm":
            for few in (rows[2:], (rows[0], *rows[2:]), rows[1:]):
                made += [scheme(kind, *own, required=len(few)) for own in (numbered(few), few)]
    for axes in ("1 O", "1 1 O", "1 1 1 O"):  # slopes that are shared over axes of the data
        made += [scheme("prelu", (name, "weight", axes)) for name in ("vars.0", "alpha")]
    made.append(scheme("convolution", ("depthwise_kernel", "weight", "K G O"), BIAS))  # Keras 2
    return tuple(made)

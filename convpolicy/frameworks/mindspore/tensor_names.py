"""How MindSpore names and stores the tensors of each kind of cell. Importing this does not import MindSpore."""

from __future__ import annotations

from convpolicy.conversion.models.kinds import COUNT, GATES, Scheme, gates, scheme

Rows = tuple[tuple[str, str, str], ...]
BIAS = ("bias", "bias", "O")
CONV1D: Rows = (("weight", "weight", "GO I 1 K"), BIAS)
CONVOLUTION: Rows = (("weight", "weight", "GO I K"), BIAS)
TRANSPOSED1D: Rows = (("weight", "weight", "GI O 1 K"), BIAS)
TRANSPOSED: Rows = (("weight", "weight", "GI O K"), BIAS)
LINEAR: Rows = (("weight", "weight", "O I"), BIAS)
SCALE, SHIFT = ("gamma", "scale", "*"), ("beta", "shift", "*")
BATCH_NORM: Rows = (("moving_mean", "mean", "*"), ("moving_variance", "variance", "*"), SCALE, SHIFT)
MINT_SCALE, MINT_SHIFT = ("weight", "scale", "*"), ("bias", "shift", "*")
MINT_BATCH_NORM: Rows = (
    ("running_mean", "mean", "*"),
    ("running_var", "variance", "*"),
    MINT_SCALE,
    MINT_SHIFT,
    ("num_batches_tracked", COUNT, "*"),
)
EMBEDDING: Rows = (("embedding_table", "weight", "*"),)
MINT_EMBEDDING: Rows = (("weight", "weight", "*"),)
ATTENTION: Rows = (
    ("in_proj_weight", "weight_q weight_k weight_v", "SHD I"),
    ("out_proj.weight", "weight_o", "O HD"),
    ("in_proj_bias", "bias_q bias_k bias_v", "SHD"),
    ("out_proj.bias", "bias_o", "O"),
)
CELLS = ("lstm", "gru", "rnn")


def recurrent(cell: str, ending: str = "") -> list[tuple[str, str, str]]:
    """Return the tensors of one layer of a recurrent cell whose names have an ending such as ``_l#``."""
    return [
        *((f"weight_{side}{ending}", gates(f"weight_{side}", GATES[cell]), "SO I") for side in ("ih", "hh")),
        *((f"bias_{side}{ending}", gates(f"bias_{side}", GATES[cell]), "SO") for side in ("ih", "hh")),
    ]


def schemes() -> tuple[Scheme, ...]:
    """Return the tensors of each kind of cell, of ``mindspore.nn`` and of ``mindspore.mint.nn``."""
    return (
        scheme("attention", *ATTENTION, required=2),
        *(
            scheme(cell, *recurrent(cell, ending), required=2, reverse=ending.endswith("reverse"))
            for cell in CELLS
            for ending in ("_l#", "_l#_reverse", "")
        ),
        *(scheme("convolution", *rows) for rows in (CONV1D, CONVOLUTION)),
        *(scheme("transposed convolution", *rows) for rows in (TRANSPOSED1D, TRANSPOSED)),
        *(scheme("batch norm", *rows, required=2) for rows in (BATCH_NORM, MINT_BATCH_NORM)),
        *(scheme(kind, *rows) for kind in ("group norm", "layer norm") for rows in ((SCALE, SHIFT), (MINT_SCALE, MINT_SHIFT))),
        *(scheme("rms norm", row) for row in (SCALE, MINT_SCALE)),
        scheme("linear", *LINEAR),
        *(scheme("embedding", *rows) for rows in (EMBEDDING, MINT_EMBEDDING)),
        *(scheme("prelu", (name, "weight", "O")) for name in ("w", "a", "weight")),
    )

"""How Paddle names and stores the tensors of each kind of layer. Importing this does not import Paddle."""

from __future__ import annotations

from convpolicy.conversion.models.kinds import GATES, Scheme, gates, scheme

Rows = tuple[tuple[str, str, str], ...]
BIAS, SHIFT = ("bias", "bias", "O"), ("bias", "shift", "*")
CONVOLUTION: Rows = (("weight", "weight", "GO I K"), BIAS)
TRANSPOSED: Rows = (("weight", "weight", "GI O K"), BIAS)
LINEAR: Rows = (("weight", "weight", "I O"), BIAS)
NORM: Rows = (("weight", "scale", "*"), SHIFT)
INSTANCE_NORM: Rows = (("scale", "scale", "*"), SHIFT)
BATCH_NORM: Rows = (("_mean", "mean", "*"), ("_variance", "variance", "*"), *NORM)
EMBEDDING: Rows = (("weight", "weight", "*"),)
PRELU: Rows = (("_weight", "weight", "O"),)
ATTENTION: Rows = (
    *((f"{part}_proj.weight", f"weight_{part}", "I HD") for part in "qkv"),
    ("out_proj.weight", "weight_o", "HD O"),
    *((f"{part}_proj.bias", f"bias_{part}", "HD") for part in "qkv"),
    ("out_proj.bias", "bias_o", "O"),
)


def recurrent(cell: str, ending: str = "") -> list[tuple[str, str, str]]:
    """Return the tensors of one layer of a recurrent layer whose names have an ending such as ``_l#``."""
    return [
        *((f"weight_{side}{ending}", gates(f"weight_{side}", GATES[cell]), "SO I") for side in ("ih", "hh")),
        *((f"bias_{side}{ending}", gates(f"bias_{side}", GATES[cell]), "SO") for side in ("ih", "hh")),
    ]


def schemes() -> tuple[Scheme, ...]:
    """Return the tensors of each kind of layer."""
    return (
        scheme("attention", *ATTENTION, required=4),
        *(
            scheme(cell, *recurrent(cell, ending), required=2, reverse=ending.endswith("reverse"))
            for cell in GATES
            for ending in ("_l#", "_l#_reverse", "")
        ),
        scheme("convolution", *CONVOLUTION),
        scheme("transposed convolution", *TRANSPOSED),
        scheme("batch norm", *BATCH_NORM, required=2),
        *(scheme("group norm", *rows) for rows in (NORM, INSTANCE_NORM)),
        scheme("layer norm", *NORM),
        scheme("rms norm", NORM[0]),
        scheme("linear", *LINEAR),
        scheme("embedding", *EMBEDDING),
        scheme("prelu", *PRELU),
    )

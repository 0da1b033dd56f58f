"""How torch names and stores the tensors of each kind of module. Importing this does not import torch."""

from __future__ import annotations

from convpolicy.conversion.models.kinds import COUNT, GATES, Scheme, gates, scheme

WEIGHT, BIAS = ("weight", "weight", "GO I K"), ("bias", "bias", "O")
TRANSPOSED = ("weight", "weight", "GI O K")
NORMALIZED = (("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1"))
BY_COLUMNS = ("weight", "weight", "I O"), BIAS  # transformers.pytorch_utils.Conv1D, of GPT-2
SCALE, SHIFT = ("weight", "scale", "*"), ("bias", "shift", "*")
STATISTICS = ("running_mean", "mean", "*"), ("running_var", "variance", "*")


def recurrent(cell: str, ending: str = "", gate_order: str = "") -> list[tuple[str, str, str]]:
    """Return the tensors of one layer of a recurrent module whose names have an ending such as ``_l#``."""
    order = gate_order or GATES[cell]
    return [
        *((f"weight_{side}{ending}", gates(f"weight_{side}", order), "SO I") for side in ("ih", "hh")),
        *((f"bias_{side}{ending}", gates(f"bias_{side}", order), "SO") for side in ("ih", "hh")),
    ]


def schemes() -> tuple[Scheme, ...]:
    """Return the tensors of each kind of module."""
    return (
        scheme(
            "attention",
            ("in_proj_weight", "weight_q weight_k weight_v", "SHD I"),
            ("out_proj.weight", "weight_o", "O HD"),
            ("in_proj_bias", "bias_q bias_k bias_v", "SHD"),
            ("out_proj.bias", "bias_o", "O"),
            required=2,
        ),
        *(
            scheme(cell, *recurrent(cell, ending), required=2, reverse=ending.endswith("reverse"))
            for cell in GATES
            for ending in ("_l#", "_l#_reverse", "")
        ),
        scheme("convolution", WEIGHT, BIAS),
        scheme("transposed convolution", TRANSPOSED, BIAS),
        *(
            scheme(kind, (lengths, "lengths", "*"), (directions, "directions", axes), BIAS, required=2)
            for kind, (_name, _piece, axes) in (("convolution", WEIGHT), ("transposed convolution", TRANSPOSED))
            for lengths, directions in NORMALIZED
        ),
        scheme("batch norm", *STATISTICS, SCALE, SHIFT, ("num_batches_tracked", COUNT, "*"), required=2),
        *(scheme(kind, SCALE, SHIFT) for kind in ("group norm", "layer norm")),
        scheme("rms norm", SCALE),
        scheme("linear", ("weight", "weight", "O I"), BIAS),
        scheme("linear", *BY_COLUMNS, required=2),
        scheme("embedding", ("weight", "weight", "*")),
        scheme("prelu", ("weight", "weight", "O")),
    )

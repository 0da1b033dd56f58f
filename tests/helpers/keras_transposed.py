"""What the tests of one Keras backend's transposed convolutions share."""

from __future__ import annotations

import numpy as np
from helpers.keras_layers import NAME, RUNS, Conv1DTranspose

import convpolicy as cp
from convpolicy import reference

HALF = cp.policy(NAME).transposed
POLICIES = (NAME, "tensorflow") if RUNS == "tensorflow" else (NAME,)
IN, OUT = 2, 3


def own_layer(kernel, stride, dilation, padding, output_padding, dtype="float32", **words):
    """Keras's own layer, built."""
    sizes = {"strides": stride, "dilation_rate": dilation, "output_padding": output_padding}
    layer = Conv1DTranspose(OUT, kernel, padding=padding, dtype=dtype, **sizes, **words)
    layer.build((None, None, IN))
    return layer


def share(output, data, weight, bias, plan, dtype="float32", groups=1):
    """The largest distance from the float64 reference, as a share of the bound on rounding; infinite for another shape."""
    sizes = {"stride": plan.stride, "dilation": plan.dilation, "groups": groups}
    ideal = reference.conv_transpose1d(data, weight, bias, left=plan.left, right=plan.right, mode=plan.mode, **sizes)
    if output.shape != ideal.output.shape:
        return np.inf
    bound = reference.tolerance(dtype, ideal.terms, ideal.magnitude)
    return float((np.abs(output - ideal.output) / np.maximum(bound, np.finfo("float64").tiny)).max())

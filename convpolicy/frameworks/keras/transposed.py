"""The crop rules and the policies of ``keras.layers.Conv1DTranspose``. All numbers are in samples; ``e`` is the effective kernel."""

from __future__ import annotations

from convpolicy.arithmetic import effective_kernel, split
from convpolicy.core.transposed_policy import TransposedPolicy
from convpolicy.parts.crop import CropRule
from convpolicy.parts.part import Param

LAYOUT = "WOI"
SOURCE = "keras/src/layers/convolutional/base_conv_transpose.py, class BaseConvTranspose"


def valid(kernel: int, stride: int, dilation: int, length: int | None, *, output_padding: int | None) -> tuple[int, int]:
    """Keras's padding='valid': cut nothing, (0, -output_padding), by default (0, min(e - stride, 0)).

    Source: keras/src/backend/common/backend_utils.py, _get_output_shape_given_tf_padding; measured on Keras 3.15.1.
    """
    _require_below_stride(output_padding, stride)
    default = max(stride - effective_kernel(kernel, dilation), 0)
    return 0, -(default if output_padding is None else output_padding)


def same(kernel: int, stride: int, dilation: int, length: int | None, *, output_padding: int | None) -> tuple[int, int]:
    """Keras's padding='same': keep length * stride samples, or (length - 1) * stride + e % 2 + output_padding; the extra sample right.

    Source: keras/src/backend/common/backend_utils.py, _get_output_shape_given_tf_padding; measured on Keras 3.15.1.
    """
    _require_below_stride(output_padding, stride)
    window = effective_kernel(kernel, dilation)
    total = window - (stride if output_padding is None else window % 2 + output_padding)
    return split(total, "right") if total > 0 else (0, total)


def tensorflow_same(
    kernel: int, stride: int, dilation: int, length: int | None, *, output_padding: int | None
) -> tuple[int, int]:
    """Keras's padding='same' on TensorFlow: like keras_same, without output_padding=0 for an even e.

    Source: tf.nn.conv_transpose, which raises InvalidArgumentError or, with oneDNN, AbortedError; measured on TensorFlow 2.21.0.
    """
    window = effective_kernel(kernel, dilation)
    if output_padding == 0 and window % 2 == 0:
        raise ValueError(
            f"output_padding=0 fails in TensorFlow for an even effective kernel, got {window}; pass 1 or more, leave output_padding "
            f"out, or use the rule 'keras_same'."
        )
    return same(kernel, stride, dilation, length, output_padding=output_padding)


def _require_below_stride(output_padding: int | None, stride: int) -> None:
    if output_padding is not None and output_padding >= stride:
        raise ValueError(
            f"output_padding must be below stride={stride}, got {output_padding}; pass less, or a pair (left, right) as padding."
        )


OUTPUT_PADDING = {"output_padding": Param(kind="integer")}
RULES = [
    CropRule("keras_valid", valid, params=OUTPUT_PADDING),
    CropRule("keras_same", same, params=OUTPUT_PADDING),
    CropRule("tensorflow_same", tensorflow_same, params=OUTPUT_PADDING),
]
# framework that Keras runs on -> the names for ``padding`` there
PADDING_NAMES = {
    runs: (("same", "tensorflow_same" if runs == "tensorflow" else "keras_same"), ("valid", "keras_valid"))
    for runs in ("tensorflow", "torch", "jax")
}


def policy(name: str, runs: str, random_stream: str, framework: str) -> TransposedPolicy:
    """Return the policy of Conv1DTranspose, the half of the policy ``name``, whose Keras runs on ``runs``."""
    return TransposedPolicy(
        name,
        padding="keras_valid",
        weight_init="glorot_uniform",
        bias_init="zeros",
        layout=LAYOUT,
        data_layout="NWC",
        random_stream=random_stream,
        padding_names=PADDING_NAMES[runs],
        strided_dilation=False,
        dilated_output_padding=False,
        framework=framework,
        versions=">=3.15,<3.16",
        measured="3.15.1",
        source=SOURCE,
        description="Cuts nothing, and appends zeros up to length * stride samples; bias of zeros; Glorot uniform kernel stored as "
        "(kernel, out, in).",
    )

"""The full result of a transposed convolution with Keras operations, and what a plan keeps of it; data is (batch, length, channels)."""

from __future__ import annotations

from functools import cache
from typing import Any

import keras
from keras import ops

from convpolicy.core.transposed_plan import TransposedPlan


def has_kernel(stride: int, dilation: int, groups: int, dtype: str) -> bool:
    """Return True if Keras's own operation computes a full result. It has no groups, and TensorFlow may refuse a dilation."""
    if groups > 1 or dilation == 1 or keras.config.backend() != "tensorflow":
        return groups == 1
    return _tensorflow_dilates(stride, dtype)


@cache
def _tensorflow_dilates(stride: int, dtype: str) -> bool:
    """Return True if TensorFlow computes a transposed convolution with a dilation here, in this dtype.

    Its own CPU kernels refuse one. Those of oneDNN, which have no float64, take it; TensorFlow 2.21 uses them by default on processors
    with AVX-512 VNNI.
    """
    import tensorflow as tf

    with tf.init_scope():
        try:
            data, kernel = tf.zeros((1, 3, 1), dtype), tf.zeros((2, 1, 1), dtype)
            ops.conv_transpose(data, kernel, stride, "valid", data_format="channels_last", dilation_rate=2)
        except (tf.errors.OpError, ValueError):
            return False
    return True


def full_result(x: Any, kernel: Any, stride: int, dilation: int, groups: int) -> Any:
    """Return the full transposed convolution, (batch, (length - 1) * stride + e, out).

    Args:
        x: (batch, length, in).
        kernel: (kernel, out/groups, in).
        stride, dilation: in samples.
        groups: groups of channels.
    """
    if not has_kernel(stride, dilation, groups, keras.backend.standardize_dtype(x.dtype)):
        return OTHERWISE[keras.config.backend()](x, ops.convert_to_tensor(kernel), stride, dilation, groups)
    return ops.conv_transpose(
        x, kernel, stride, padding="valid", output_padding=0, data_format="channels_last", dilation_rate=dilation
    )


def _by_torch(x: Any, kernel: Any, stride: int, dilation: int, groups: int) -> Any:
    from torch.nn.functional import conv_transpose1d

    weight = kernel.permute(2, 1, 0)
    return conv_transpose1d(x.transpose(1, 2), weight, stride=stride, dilation=dilation, groups=groups).transpose(1, 2)


def _by_jax(x: Any, kernel: Any, stride: int, dilation: int, groups: int) -> Any:
    from jax import lax

    taps, out_per_group, channels = kernel.shape
    grouped = ops.reshape(kernel, (taps, out_per_group, groups, channels // groups))[::-1]
    weight = ops.reshape(ops.transpose(grouped, (0, 3, 2, 1)), (taps, channels // groups, out_per_group * groups))
    around = (taps - 1) * dilation
    return lax.conv_general_dilated(
        x, weight, (1,), [(around, around)], (stride,), (dilation,), ("NWC", "WIO", "NWC"), feature_group_count=groups
    )


def overlap_added(x: Any, kernel: Any, stride: int, dilation: int, groups: int) -> Any:
    """Return the full result as a sum over the taps: every tap has one matrix product, whose rows are a stride apart."""
    taps, out_per_group, channels = kernel.shape
    batch, length, _channels = ops.shape(x)
    samples = ops.reshape(x, (batch, length, groups, channels // groups))
    weights = ops.reshape(kernel, (taps, out_per_group, groups, channels // groups))
    products = ops.reshape(ops.einsum("blgi,togi->tblgo", samples, weights), (taps, batch, length, 1, out_per_group * groups))
    apart = ops.pad(products, ((0, 0), (0, 0), (0, 0), (0, stride - 1), (0, 0))) if stride > 1 else products
    rows = ops.reshape(apart, (taps, batch, length * stride, out_per_group * groups))[:, :, : (length - 1) * stride + 1]
    total = None
    for tap in range(taps):
        row = ops.pad(rows[tap], ((0, 0), (tap * dilation, (taps - 1 - tap) * dilation), (0, 0)))
        total = row if total is None else ops.add(total, row)
    return total


# framework that Keras runs on -> what computes a full result that Keras's own operation does not
OTHERWISE = {"tensorflow": overlap_added, "torch": _by_torch, "jax": _by_jax}


def cropped(full: Any, plan: TransposedPlan) -> Any:
    """Return what a plan keeps of a full result: cut it, append zeros, or wrap it around."""
    _batch, length, channels = full.shape
    if plan.mode == "circular":
        before = -plan.left % plan.length_out  # so that a turn starts at a multiple of length_out
        turns = -(-(length + before) // plan.length_out)
        whole = ops.pad(full, ((0, 0), (before, turns * plan.length_out - length - before), (0, 0)))
        return ops.sum(ops.reshape(whole, (-1, turns, plan.length_out, channels)), axis=1)
    stop = length - plan.right
    before, after = (min(max(number, 0), plan.length_out) for number in (-plan.left, stop - length))
    kept = full[:, max(plan.left, 0) : max(stop, 0)]
    return ops.pad(kept, ((0, 0), (before, after), (0, 0))) if before or after else kept


def cropped_in_a_graph(full: Any, left: Any, right: Any, *, circular: bool) -> Any:
    """Return what is kept of a full result of unknown length in a TensorFlow graph; `left` and `right` are numbers or tensors."""
    import tensorflow as tf

    length = tf.shape(full)[1]
    stop = length - right
    kept = stop - left
    message = "input is too short: everything is cut from its full result; pass a longer input or cut less."
    with tf.control_dependencies([tf.debugging.assert_positive(kept, message)]):
        kept = tf.identity(kept)
    if circular:
        before = -left % kept
        turns = -(-(length + before) // kept)
        whole = tf.pad(full, [[0, 0], [before, turns * kept - length - before], [0, 0]])
        return tf.reduce_sum(tf.reshape(whole, [tf.shape(full)[0], turns, kept, full.shape[2]]), axis=1)
    before, after = (tf.minimum(tf.maximum(number, 0), kept) for number in (-left, stop - length))
    return tf.pad(full[:, tf.maximum(left, 0) : tf.maximum(stop, 0)], [[0, 0], [before, after], [0, 0]])

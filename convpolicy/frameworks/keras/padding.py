"""Padding of (batch, length, channels) by a plan with Keras operations, also for a length that is unknown while TensorFlow traces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from convpolicy.arithmetic import SIDES
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.plan import Plan
from convpolicy.parts.side import Arithmetic, Side, value_of

CONSTANTS = frozenset({"zeros", "constant"})  # modes that add the same samples for every length
# (padding mode, overflow rule) -> the equal mode of TensorFlow, which supports an unknown length
GRAPH_MODES: dict[Any, str] = {("reflect", "error"): "reflect", ("symmetric", "error"): "symmetric"}
COPYING = CONSTANTS | {"reflect", "symmetric", "replicate", "circular"}  # modes that add input samples and one constant


def graph_mode(policy: LayerPolicy, pads: tuple[int, int] | None) -> str | None:
    """Return the mode of TensorFlow that pads as the policy does for these pads, or None."""
    mode, parameters = policy.modes()[0]
    is_plain = pads is not None and min(pads) >= 0 and len(policy.modes()) == 1
    return GRAPH_MODES.get((mode.name, parameters.get("overflow"))) if is_plain else None


def plan_of_any_length(policy: LayerPolicy, pads: tuple[int, int] | None, sizes: tuple[int, int, int]) -> Plan | None:
    """Return a plan that adds the same samples for every length, or None.

    Args:
        policy: the layer's policy.
        pads: ``(left, right)`` in samples, or None when they depend on the length.
        sizes: kernel size, stride and dilation.
    """
    if pads is None or min(pads) < 0 or not {mode.name for mode, _words in policy.modes()} <= CONSTANTS:
        return None
    plan: Plan = policy.plan(*sizes, length=1)
    return plan


def padded(x: Any, plan: Plan, value: Any = None) -> Any:
    """Pad an input by the plan for its length.

    Args:
        x: (batch, length, channels).
        plan: the plan for ``length``.
        value: the learned constant, () or (channels,), or None.
    """
    whole, (first, last) = extended(x, plan, value), plan.cut
    return whole[:, first : sum(plan.added) + plan.length - last] if first or last else whole


def extended(x: Any, plan: Plan, value: Any = None) -> Any:
    """Pad an input by a plan without cropping it; see `padded`."""
    if plan.is_constant:
        pads = ((0, 0), plan.added, (0, 0))
        return ops.pad(x, pads, constant_values=plan.value) if any(plan.added) else x
    before, after = ([_added(x, plan, side, value)] if side.width else [] for side in plan.sides)
    return ops.concatenate([*before, x, *after], axis=1)


def _added(x: Any, plan: Plan, side: Side, value: Any) -> Any:
    if not plan.copies:
        return side.added(arithmetic_of(x), value if side.learned else None)
    sources = np.array(side.sources, "int32")
    if not side.has_constant:
        return ops.take(x, sources, axis=1)
    return _copied(x, sources, ops.convert_to_tensor(plan.value, x.dtype))


def _copied(x: Any, sources: Any, constant: Any) -> Any:
    """Return the samples at ``sources``, and the constant where a source is -1."""
    samples = ops.take(x, ops.maximum(sources, 0), axis=1)
    return ops.where(ops.expand_dims(sources, 1) < 0, constant, samples)


def arithmetic_of(x: Any, *, channels_last: bool = True) -> Arithmetic:
    """Return the operations that compute the samples added to an input, (batch, length, channels) if ``channels_last``."""
    shape, axis = list(ops.shape(x)), 1 if channels_last else 2

    def broadcast(numbers: Any) -> Any:
        return ops.broadcast_to(numbers, [*shape[:axis], numbers.shape[axis - 1], *shape[axis + 1 :]])

    return Arithmetic(
        take=lambda index: ops.take(x, index.astype("int32"), axis=axis),
        array=lambda numbers: ops.convert_to_tensor(numbers, x.dtype),
        where=lambda reads, part: ops.where(reads, part, ops.zeros((), x.dtype)),
        broadcast=broadcast,
        channels_last=channels_last,
    )


def padded_in_a_graph(x: Any, plan_of: Callable[[int], Plan], policy: LayerPolicy, value: Any) -> Any:
    """Pad an input of unknown length in a TensorFlow graph; the graph calls Python for the plan when it runs.

    Args:
        x: (batch, None, channels).
        plan_of: ``length -> plan``.
        policy: the policy of the plans.
        value: the learned constant, () or (channels,), or None.
    """
    import tensorflow as tf

    modes = policy.modes()
    sides = modes[0], modes[-1]
    constants = {value_of(parameters, side) for side, (_mode, parameters) in zip(SIDES, sides)}
    learned = [value if parameters.get("learned") else None for _mode, parameters in sides]

    def read(tables: Callable[[Plan], list[Any]], *dtypes: Any) -> Any:
        outputs = [*dtypes, *dtypes, tf.int32]
        return tf.numpy_function(lambda length: tables(plan_of(int(length))), [tf.shape(x)[1]], outputs, stateful=False)

    constant = constants.pop()
    if {mode.name for mode, _words in modes} <= COPYING and not constants and not isinstance(constant, tuple) and value is None:
        *sources, cut = read(_sources, tf.int32)
        number = ops.convert_to_tensor(constant, x.dtype)
        before, after = (_copied(x, tf.ensure_shape(side, [None]), number) for side in sources)
    else:
        *tables, cut = read(_tables, tf.int32, tf.float64, tf.float64)
        tables = [tf.ensure_shape(table, [None, None]) for table in tables]
        before, after = _summed(x, tables[:3], learned[0]), _summed(x, tables[3:], learned[1])
    whole = tf.concat([before, x, after], axis=1)
    return whole[:, cut[0] : tf.shape(whole)[1] - cut[1]]


def _sources(plan: Plan) -> list[Any]:
    """Return ``[left, right, cut]``: the source position of each added sample, and the numbers of cropped samples."""
    return [np.array(numbers, "int32") for numbers in (plan.left_sources, plan.right_sources, plan.cut)]


def _tables(plan: Plan) -> list[Any]:
    """Return the tables of both sides, and the numbers of cropped samples.

    The tables of a side are sources and coefficients, (terms, added), and constants, (added, 1 or channels).
    """
    tables: list[Any] = []
    for side in plan.sides:
        shape = len(side.terms), side.width
        coefficients = np.stack([np.broadcast_to(np.asarray(term.coefficient, np.float64), side.width) for term in side.terms])
        sources = np.array([term.sources for term in side.terms], "int32").reshape(shape)
        constants = side.shares() if side.learned else side.constants()
        constants = np.zeros((1, side.width)) if constants is None else np.atleast_2d(constants)
        tables += [np.where(coefficients == 0, -1, sources).astype("int32"), coefficients, constants.T.copy()]
    return [*tables, np.array(plan.cut, "int32")]


def _summed(x: Any, tables: Any, value: Any) -> Any:
    """Return the sum of terms and constants; a term whose source is -1 is 0."""
    import tensorflow as tf

    sources, coefficients, constants = tables
    parts = tf.gather(x, tf.maximum(sources, 0), axis=1) * tf.cast(coefficients, x.dtype)[..., None]
    total = tf.reduce_sum(tf.where(sources[..., None] < 0, tf.zeros((), x.dtype), parts), axis=1)
    constants = tf.cast(constants, x.dtype)
    return total + (constants if value is None else constants * value)

"""Changes of weight, bias, dtype, input axes and activation."""

from __future__ import annotations

from functools import partial
from itertools import permutations
from typing import Any

import attrs
import numpy as np

from convpolicy.bits.float32 import rounded
from convpolicy.diagnosis.activations import ACTIVATIONS, leaky_relu
from convpolicy.diagnosis.change import Candidates, Change
from convpolicy.diagnosis.computation import Computation, Grid, Target
from convpolicy.diagnosis.kernels import Doubles, kernels_of, readable, weight_of


def flips(now: Computation, other: Computation | None, target: Target) -> Candidates:
    """Flip the kernel: convolution instead of cross-correlation."""
    if now.capture.spec.kernel_size > 1:
        yield Change("flip the kernel, weight[:, :, ::-1]", now.evolve(weight=now.capture.weight[:, :, ::-1]))


def layouts(now: Computation, other: Computation | None, target: Target) -> Candidates:
    """Permute or reshape the weight axes, and reorder the output channels of grouped layers."""
    weight, spec = now.capture.weight, now.capture.spec
    letters = "IOW" if spec.transposed else "OIW"
    for order in list(permutations(range(3)))[1:]:
        axes = "".join(letters[axis] for axis in order)
        stored = weight.transpose(order)
        same = stored.shape == weight.shape
        text = f"weight.transpose{order}" + ("" if same else f".reshape{weight.shape}")
        yield Change(f"use {text}: axes {axes} were read as {letters}", now.evolve(weight=stored.reshape(weight.shape)))
        if not same:
            text = f"weight.reshape{stored.shape}.transpose{tuple(np.argsort(order).tolist())}"
            read = weight.reshape(stored.shape).transpose(np.argsort(order))
            yield Change(f"use {text}: {letters} was read as axes {axes}", now.evolve(weight=read))
    if spec.groups > 1:
        yield from _in_groups(now)


def _in_groups(now: Computation) -> Candidates:
    """Reorder the output channels of a grouped layer, or exchange the channels of each group of a transposed one."""
    capture, spec = now.capture, now.capture.spec
    weight, groups = capture.weight, spec.groups
    each, per = spec.out_channels // groups, spec.in_channels // groups
    if spec.transposed and (each > 1 or per > 1):
        for shape in dict.fromkeys(((groups, each, per), (groups, per, each))):
            sizes = (*shape, spec.kernel_size)
            text = f"use weight.reshape{sizes}.swapaxes(1, 2).reshape{weight.shape}: input and output channels of each group"
            yield Change(f"{text} were exchanged", now.evolve(weight=weight.reshape(sizes).swapaxes(1, 2).reshape(weight.shape)))
    for rows, columns in ((groups, each), (each, groups)) if each > 1 else ():
        turns = np.arange(spec.out_channels).reshape(rows, columns).T.ravel()
        order = f"order = numpy.arange({spec.out_channels}).reshape({rows}, {columns}).T.ravel()"
        text = f"{order}; put the output channels in this order" if spec.transposed else f"{order}; use weight[order]"
        changed = weight_of(kernels_of(weight, spec)[turns], spec)
        yield Change(text, now.evolve(weight=changed))
        if capture.bias is not None:
            too = ", in the weight and in the bias" if spec.transposed else " and bias[order]"
            yield Change(f"{text}{too}", now.evolve(weight=changed, bias=capture.bias[turns]))


def _narrow(values: Any, dtype: str) -> Any:
    """Round values to a dtype; tf32 is float32 with a mantissa of 10 bits."""
    if dtype != "tf32":
        return np.asarray(rounded(values, dtype)).astype(np.asarray(values).dtype)
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.rint(mantissa * 2.0**11) / 2.0**11, exponent).astype(np.asarray(values).dtype)


def computed_in(now: Computation, dtype: str) -> Change:
    """Return the change to another compute dtype."""
    weight, bias = (None if value is None else _narrow(value, dtype) for value in (now.capture.weight, now.capture.bias))
    changed = now.evolve(weight=weight, bias=bias).prepared(partial(_narrow, dtype=dtype))
    return Change(f"compute in {dtype}: round input, weight and bias to it", changed)


LEAST_BEND = 0.01  # distance from slope 1, the identity, from which leaky_relu is an activation and not rounding
SLACK = 0.01  # distance by which rounding to 8 bits may push an output out of the range of an activation
NARROWER = ("float32", "float16", "bfloat16")  # dtypes in which weights are stored


def precisions(now: Computation, other: Computation | None, target: Target) -> Candidates:
    """Round the weights to a narrower dtype, or compute in one."""
    capture = now.capture
    for dtype in NARROWER[capture.dtype != "float64" :]:
        weight, bias = (None if value is None else _narrow(value, dtype) for value in (capture.weight, capture.bias))
        narrowed = now.evolve(weight=weight)
        yield Change(f"round weight to {dtype}", narrowed)
        if capture.bias is not None:
            yield Change(f"round weight and bias to {dtype}", now.evolve(weight=weight, bias=bias))
        if dtype == target.dtypes[0]:
            yield computed_in(now, dtype)
    multiplied = now.evolve(weight=_narrow(capture.weight, "tf32")).prepared(partial(_narrow, dtype="tf32"))
    yield Change("multiply in tf32: round input and weight to it", multiplied)  # sums and bias stay in float32
    for dtype in NARROWER[capture.dtype != "float64" :]:
        if dtype != target.dtypes[0]:
            yield computed_in(now, dtype)
    if other is None or other.capture.weight.shape != capture.weight.shape:
        return
    whole = other.capture
    for dtype in NARROWER:
        if not np.array_equal(whole.weight, capture.weight) and np.array_equal(_narrow(whole.weight, dtype), capture.weight):
            reason = f"this weight is rounded to {dtype}"
            yield Change(f"load the other's weight: {reason}", now.evolve(weight=whole.weight))
            if capture.bias is not None and whole.bias is not None:
                both = now.evolve(weight=whole.weight, bias=whole.bias)
                yield Change(f"load the other's weight and bias: {reason}", both)


def _transposed(data: Doubles) -> Doubles:
    return data.transpose(0, 2, 1)


def _stored_by_length(data: Doubles) -> Doubles:
    return data.transpose(0, 2, 1).reshape(data.shape)


def _read_by_length(data: Doubles) -> Doubles:
    return data.reshape(data.shape[0], data.shape[2], data.shape[1]).transpose(0, 2, 1)


def input_axes(now: Computation, other: Computation | None, target: Target) -> Candidates:
    """Exchange channels and length of the input, by transposing or reshaping."""
    batch, channels, length = now.data.shape
    if channels == length:
        yield Change("pass x.transpose(0, 2, 1): its axes are exchanged", now.prepared(_transposed))
    elif channels > 1 and length > 1:
        yield Change(f"pass x.transpose(0, 2, 1).reshape{now.data.shape}", now.prepared(_stored_by_length))
        text = f"pass x.reshape({batch}, {length}, {channels}).transpose(0, 2, 1)"
        yield Change(f"{text}: it was reshaped where it had to be transposed", now.prepared(_read_by_length))


def biases(now: Computation, other: Computation | None, target: Target) -> Candidates:
    """Remove the bias, load the other's, or fit a constant offset per channel."""
    capture = now.capture
    if capture.bias is not None:
        yield Change("bias=False", with_bias(now, None))
    if other is not None and other.capture.bias is not None:
        yield copied_bias(now, other)
    if now.plan.length_out != target.output.shape[2] or now.plan.length_out < 2:
        return
    probe = target.residual(now, target.probes[0])
    if np.ptp(probe, (0, 2)).max() > 2 * target.bound(now.at(target.probes[0])).max():
        return  # the offset differs between positions
    missing = target.residual(now, Grid(target.probes[0].items, now.everywhere().channels, target.probes[0].positions))
    offset = missing.mean((0, 2))
    values = offset if capture.bias is None else capture.bias + offset
    text = "bias=True, with values" if capture.bias is None else "set bias to"
    yield Change(f"{text} {_first(values)}", with_bias(now, values.astype(capture.weight.dtype)))


def copied_bias(now: Computation, other: Computation) -> Change:
    """Copy the other's bias, or remove the bias if the other has none."""
    bias = other.capture.bias
    kept = "bias=True, with the other's values" if now.capture.bias is None else "load the other's bias"
    return Change("bias=False" if bias is None else kept, with_bias(now, bias))


def with_bias(now: Computation, bias: Any) -> Computation:
    """Return a copy with this bias, or without one."""
    return now.evolve(bias=bias, policy=now.capture.policy.evolve(bias=bias is not None))


def _first(values: Any) -> str:
    shown = ", ".join(f"{value:.6g}" for value in values[:4])
    return f"[{shown}{', …' if len(values) > 4 else ''}]"


def scales(now: Computation, other: Computation | None, target: Target) -> Candidates:
    """Multiply the weight, or weight and bias, by one fitted factor."""
    if now.plan.length_out != target.output.shape[2]:
        return
    grid, capture = target.probes[0], now.capture
    values, goal = now.at(grid), grid.of(target.output)
    bias, kind = capture.bias, capture.weight.dtype
    offset = values.bias[:, None]
    for scaled_bias in (None,) if bias is None else (None, bias):
        known = offset if scaled_bias is None else 0.0
        base = values.output - known
        if not base.any():
            continue
        fitted = float((base * (goal - known)).sum() / (base**2).sum())
        for factor in dict.fromkeys((float(f"{fitted:.4g}"), fitted)):  # first rounded, as people write such a factor
            weighted = now.evolve(weight=(capture.weight * factor).astype(kind))
            if scaled_bias is None:
                yield Change(f"multiply weight by {factor:.7g}", weighted)
            else:
                changed = weighted.evolve(bias=(scaled_bias * factor).astype(kind))
                yield Change(f"multiply weight and bias by {factor:.7g}", changed)


def activations(now: Computation, other: Computation | None, target: Target) -> Candidates:
    """Apply each activation whose range contains the target; leaky_relu with the slope that fits."""
    if now.plan.length_out != target.output.shape[2]:
        return
    grid = target.probes[0]
    sums, goal = now.at(grid).summed, grid.of(target.output)
    fitting = [each for each in ACTIVATIONS if each.low - SLACK <= goal.min() and goal.max() <= each.high + SLACK]
    below = sums < 0
    if below.any():
        slope = float((sums * goal)[below].sum() / (sums**2)[below].sum())
        fitting += [
            leaky_relu(near)
            for near in dict.fromkeys((float(f"{slope:.4g}"), float(f"{slope:.2g}")))
            if near and abs(near - 1) >= LEAST_BEND
        ]
    for each in fitting:
        yield Change(f"apply {each.name} to the output", attrs.evolve(now, activation=each))


def other_weights(now: Computation, other: Computation | None, target: Target) -> Candidates:
    """Load the other's weight; if the other is not known, the weight that fits best."""
    if other is None:
        yield from _fitted_weights(now, target)
        return
    mine, theirs = now.capture, other.capture
    if theirs.weight.shape == mine.weight.shape and not np.array_equal(theirs.weight, mine.weight):
        yield Change("load the other's weight", now.evolve(weight=theirs.weight))
        if mine.bias is not None and theirs.bias is not None:
            yield Change("load the other's weight and bias", now.evolve(weight=theirs.weight, bias=theirs.bias))


def other_sizes(now: Computation, other: Computation | None, target: Target | None = None) -> Candidates:
    """Copy the other's kernel_size and groups, with its weight."""
    if other is None or other.capture.weight.shape == now.capture.weight.shape:
        return
    mine, theirs = now.capture, other.capture
    sizes = {name: (getattr(mine.spec, name), getattr(theirs.spec, name)) for name in ("kernel_size", "groups")}
    text = " and ".join(f"{name}={new} instead of {old}" for name, (old, new) in sizes.items() if old != new)
    resized = now.evolve(**{name: new for name, (_old, new) in sizes.items()}, weight=theirs.weight)
    yield Change(f"{text}, with the other's weight", resized)
    if mine.bias is not None and theirs.bias is not None:
        yield Change(f"{text}, with the other's weight and bias", resized.evolve(bias=theirs.bias))


MOST_PRODUCTS = 1 << 29  # multiplications in one least-squares fit
ROWS = 4  # outputs per unknown that a fit reads; the other outputs test the result


def _fitted_weights(now: Computation, target: Target) -> Candidates:
    """Fit the weight, or weight and bias, by least squares; needs twice as many outputs as unknowns."""
    capture, spec, plan = now.capture, now.capture.spec, now.plan
    each, per = spec.out_channels // spec.groups, spec.in_channels // spec.groups
    outputs, unknowns = len(now.data) * plan.length_out, per * spec.kernel_size + 1
    phases = spec.stride if spec.transposed else 1  # each tap is read in one phase of the stride only
    rows = min(outputs, ROWS * unknowns * phases)
    if plan.length_out != target.output.shape[2] or rows < 2 * unknowns or rows * unknowns**2 * spec.groups > MOST_PRODUCTS:
        return
    # not at equal distances, which could miss phases of the stride of a transposed convolution
    chosen = (np.arange(rows) + np.random.default_rng(0).random(rows)) * outputs / rows
    items, positions = np.divmod(chosen.astype(np.int64), plan.length_out)
    data, index, constant = readable(plan, now.data, positions)
    windows = data[items[:, None, None], np.arange(spec.in_channels)[:, None], index[:, None]]  # (rows, in, kernel)
    windows = np.where(index[:, None] < 0, constant, windows).reshape(rows, spec.in_channels, -1, spec.kernel_size).sum(2)
    windows = windows.reshape(rows, spec.groups, unknowns - 1)
    goal = target.output[items, :, positions].reshape(rows, spec.groups, each)
    bias = np.zeros(spec.out_channels) if capture.bias is None else capture.bias.astype(np.float64)
    ones = np.ones((rows, 1))
    for with_bias_too in (False, True)[: 1 if capture.bias is None else 2]:
        solutions = []
        for group in range(spec.groups):
            right = goal[:, group] - (0.0 if with_bias_too else bias.reshape(spec.groups, each)[group])
            left = np.hstack([windows[:, group], ones]) if with_bias_too else windows[:, group]
            solution, _residuals, rank, _singular = np.linalg.lstsq(left, right, rcond=None)
            if rank < left.shape[1]:
                return  # the solution is not unique
            solution += np.linalg.lstsq(left, right - left @ solution, rcond=None)[0]  # refined to full float64 precision
            solutions.append(solution.T)
        fitted = np.concatenate(solutions).astype(capture.weight.dtype)
        kernels = fitted[:, : unknowns - 1].reshape(spec.out_channels, per, spec.kernel_size)
        changed = now.evolve(weight=weight_of(kernels, spec))
        if with_bias_too:
            changed = changed.evolve(bias=fitted[:, -1])
        yield Change(f"load the other's weight{' and bias' if with_bias_too else ''}: one that fits exists", changed)

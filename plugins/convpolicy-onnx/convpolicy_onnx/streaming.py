"""ONNX models of a layer that takes its input in chunks. Their state is an input and an output of the model."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper

import convpolicy as cp
from convpolicy import Capture, InvalidValueError
from convpolicy.chunks.convolution import PENDING
from convpolicy.chunks.schedule import Schedule, schedule
from convpolicy.chunks.transposed import CUT, PARTIAL, SEEN, WAITING, TransposedSchedule, transposed_schedule
from convpolicy_onnx.graph import packed
from convpolicy_onnx.padding import Nodes, Value

STATE, NEXT = "state.", "next_state."  # prefixes of the inputs and of the outputs
ALL = np.iinfo(np.int64).max


def step_model(layer: Any) -> ModelProto:
    """Return a model of ``convpolicy.streaming(layer).step``, for every batch and every chunk length.

    Its inputs are ``chunk`` (batch, in, samples), and ``state.pending`` and the like: one for each array of the state. Its outputs are
    ``output`` (batch, out, samples_out), and ``next_state.pending`` and the like. ``convpolicy.streaming(layer).initial_state(batch)``
    returns the first state.

    Args:
        layer: a float32 Conv1d or ConvTranspose1d of any framework, or a `Capture`. Its padding must be constant and must not depend on
            the length.

    Raises:
        InvalidValueError: the padding is not constant, or the dtype is not float32.
        InvalidTypeError: the object is no such layer.
    """
    captured, plan = _read(layer)
    return _packed(captured, plan, (_step if isinstance(plan, Schedule) else _transposed_step), with_chunk=True)


def flush_model(layer: Any) -> ModelProto:
    """Return a model of ``convpolicy.streaming(layer).flush``. It has the inputs of `step_model` but ``chunk``, and one output, ``output``.

    The model does not check whether the layer refuses an input as short as the whole one was.

    Args:
        layer: see `step_model`.

    Raises:
        InvalidValueError, InvalidTypeError: see `step_model`.
    """
    captured, plan = _read(layer)
    return _packed(captured, plan, (_end if isinstance(plan, Schedule) else _transposed_end), with_chunk=False)


def _read(layer: Any) -> tuple[Capture, Schedule | TransposedSchedule]:
    captured = layer if isinstance(layer, Capture) else cp.capture(layer)
    if captured.dtype != "float32":
        raise InvalidValueError(f"layer must be float32, got {captured.dtype}; convert it with capture(layer).build('onnx').")
    spec, policy = captured.spec, captured.policy
    plan: Any = transposed_schedule(policy, spec) if spec.transposed else schedule(policy, spec)
    is_constant = plan.right is not None and (spec.transposed or (plan.after is not None and not plan.first))
    if not is_constant:
        raise InvalidValueError(
            f"padding must not read or remove samples at the start, and must be the same for every length, in a model of one step, got "
            f"{policy.padding} with mode {policy.padding_mode}; use 'causal', 'valid' or a pair of numbers with mode 'zeros'."
        )
    if not spec.transposed and (plan.before.learned or plan.after.learned):
        raise InvalidValueError(
            "padding_mode must not be learned in an ONNX model, which is not trained; build the layer with the constant that it learned."
        )
    return captured, plan


class _Graph(Nodes):
    """The nodes of one model, and functions of data (batch, channels, length). Numbers are int64 (1,)."""

    def __init__(self, captured: Capture, plan: Any) -> None:
        super().__init__()
        self.captured, self.spec, self.plan = captured, captured.spec, plan
        self.axis = self.number(2)

    def number(self, value: int) -> Value:
        return self.stored("number", np.array([value]))

    def state(self, name: str) -> Value:
        return Value(STATE + name, self)

    def length(self, data: Value) -> Value:
        return self.call("Shape", data, start=2, end=3)

    def minus(self, a: Value, b: Value) -> Value:
        return self.call("Sub", a, b)

    def positive(self, a: Value) -> Value:
        return self.call("Max", a, self.number(0))

    def cut(self, data: Value, start: Value | None = None, stop: Value | None = None) -> Value:
        return self.call("Slice", data, start or self.number(0), stop or self.number(ALL), self.axis)

    def extended(self, data: Value, right: Value) -> Value:
        pads = self.call("Concat", self.stored("pads", np.zeros(5, np.int64)), right, axis=0)
        return self.call("Pad", data, pads, mode="constant")

    def joined(self, *parts: Value) -> Value:
        return self.call("Concat", *parts, axis=2)

    def windows(self, length: Value, window: int) -> Value:
        """Return the number of windows, whose starts are a stride apart."""
        stride = self.spec.stride
        return self.call("Div", self.positive(length + self.number(stride - window)), self.number(stride))

    def convolved(self, data: Value, first: Value, last: Value) -> Value:
        """Return the outputs from ``first`` to ``last``; zeros are appended to data that is shorter than one window."""
        spec = self.spec
        data = self.extended(data, self.positive(self.minus(self.number(spec.effective_kernel), self.length(data))))
        return self.cut(self.biased(self.kernel("Conv", data)), first, last)

    def kernel(self, operator: str, data: Value) -> Value:
        """Return the result of a Conv or a ConvTranspose without padding and bias."""
        spec = self.spec
        sizes = {"kernel_shape": [spec.kernel_size], "strides": [spec.stride], "dilations": [spec.dilation], "group": spec.groups}
        return self.call(operator, data, self.stored("weight", self.captured.weight), **sizes)

    def biased(self, data: Value) -> Value:
        return data if self.captured.bias is None else data + self.stored("bias", self.captured.bias[:, None])


def _step(nodes: _Graph, chunk: Value) -> dict[str, Value]:
    plan, stride = nodes.plan, nodes.spec.stride
    pending = nodes.state(PENDING)
    joined = nodes.joined(pending, chunk)
    length = nodes.length(joined)
    count = nodes.windows(length, plan.window)
    hops = count if plan.window >= stride else nodes.call("Div", length, nodes.number(stride))
    output = nodes.convolved(joined, nodes.windows(nodes.length(pending), plan.window), count)
    return {"output": output, PENDING: nodes.cut(joined, hops * nodes.number(stride))} | _seen(nodes, chunk)


def _seen(nodes: _Graph, chunk: Value) -> dict[str, Value]:
    return {SEEN: nodes.state(SEEN) + nodes.length(chunk)} if nodes.plan.counts else {}


def _end(nodes: _Graph) -> dict[str, Value]:
    plan, pending = nodes.plan, nodes.state(PENDING)
    done = nodes.windows(nodes.length(pending), plan.window)
    if plan.right > 0:
        numbers = plan.after.constants()
        numbers = np.zeros((1, plan.right)) if numbers is None else numbers
        numbers = np.broadcast_to(numbers, (nodes.spec.in_channels, plan.right))
        nodes.input = pending  # whose batch the padding has
        padded = nodes.joined(pending, nodes.expanded(nodes.stored("padding", numbers.astype(np.float32)), plan.right))
    else:
        padded = nodes.cut(pending, None, nodes.positive(nodes.length(pending) + nodes.number(plan.right)))
    count = nodes.windows(nodes.length(padded), nodes.spec.effective_kernel)
    return {"output": nodes.convolved(padded, done, _if_any(nodes, count))}


def _if_any(nodes: _Graph, count: Value) -> Value:
    """Return 0 for a stream without samples, else ``count``."""
    if not nodes.plan.counts:
        return count
    longest = nodes.call("ReduceMax", nodes.state(SEEN), keepdims=1)
    return count * nodes.call("Min", longest, nodes.number(1))


def _transposed_step(nodes: _Graph, chunk: Value) -> dict[str, Value]:
    spec, plan, length = nodes.spec, nodes.plan, nodes.length(chunk)
    one = nodes.extended(
        chunk, nodes.positive(nodes.minus(nodes.number(1), length))
    )  # of no sample the sums are those of one zero
    full = nodes.kernel("ConvTranspose", one)
    if plan.overlap:
        rest = nodes.minus(nodes.length(full), nodes.number(plan.overlap))
        full = full + nodes.extended(nodes.state(PARTIAL), rest)
    if spec.stride > spec.effective_kernel:
        full = nodes.extended(full, nodes.number(spec.stride - spec.effective_kernel))
    stop = length * nodes.number(spec.stride)
    complete = nodes.cut(full, None, stop)
    new = {PARTIAL: nodes.cut(full, stop, stop + nodes.number(plan.overlap))} | _seen(nodes, chunk)
    if plan.left > 0:
        cut = nodes.state(CUT)
        new[CUT] = nodes.cut(nodes.joined(cut, complete), None, nodes.number(plan.left))
        complete = nodes.cut(complete, nodes.minus(nodes.number(plan.left), nodes.length(cut)))
    if plan.waits:
        complete = nodes.joined(nodes.state(WAITING), complete)
        held = nodes.number(plan.held)
        ready = nodes.positive(nodes.minus(nodes.length(complete), held))
        ready = ready * nodes.call("Min", length, nodes.number(1))  # without samples the state stays as it is
        new[WAITING] = nodes.cut(complete, ready)
        complete = nodes.cut(complete, None, ready)
    return {"output": nodes.biased(complete)} | new


def _transposed_end(nodes: _Graph) -> dict[str, Value]:
    spec, plan, rest = nodes.spec, nodes.plan, nodes.state(PARTIAL)
    if plan.waits:
        rest = nodes.joined(nodes.state(WAITING), rest)
    surplus = plan.right + max(spec.stride - spec.effective_kernel, 0)
    if surplus < 0:
        rest = nodes.extended(rest, nodes.number(-surplus))
    stop = nodes.positive(nodes.length(rest) + nodes.number(-max(surplus, 0)))
    start = nodes.minus(nodes.number(plan.left), nodes.length(nodes.state(CUT))) if plan.left > 0 else None
    return {"output": nodes.biased(nodes.cut(rest, start, _if_any(nodes, stop)))}


def _packed(captured: Capture, plan: Any, build: Any, *, with_chunk: bool) -> ModelProto:
    spec, nodes = captured.spec, _Graph(captured, plan)
    results = build(nodes, Value("chunk", nodes)) if with_chunk else build(nodes)
    shapes: dict[str, list[Any]] = {
        name: ["batch"] if len(shape) == 1 else ["batch", shape[1], name] for name, shape in _shapes(captured)
    }
    inputs = {STATE + name: shape for name, shape in shapes.items()}
    if with_chunk:
        inputs = {"chunk": ["batch", spec.in_channels, "samples"]} | inputs
    outputs: dict[str, list[Any]] = {"output": ["batch", spec.out_channels, "samples_out"]}
    if with_chunk:
        outputs |= {NEXT + name: [*shape[:2], *(f"next_{axis}" for axis in shape[2:])] for name, shape in shapes.items()}
    for name, value in results.items():
        nodes.call("Identity", value, output=name if name == "output" else NEXT + name)
    return packed(
        nodes.nodes,
        nodes.tensors,
        "step" if with_chunk else "flush",
        *(list(map(_typed, each.items())) for each in (inputs, outputs)),
    )


def _shapes(captured: Capture) -> Any:
    return cp.streaming(captured).state_shapes.items()


def _typed(named: tuple[str, list[Any]]) -> Any:
    name, shape = named
    return helper.make_tensor_value_info(name, TensorProto.INT64 if len(shape) == 1 else TensorProto.FLOAT, shape)

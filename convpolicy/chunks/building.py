"""`streaming`: a layer, a model, a capture or a row of them becomes a `Streaming`."""

from __future__ import annotations

import math
from contextlib import nullcontext
from fractions import Fraction
from typing import Any

import attrs

from convpolicy.chunks.arrays import Arrays
from convpolicy.chunks.convolution import ConvolutionStage
from convpolicy.chunks.row import RowStage
from convpolicy.chunks.same_bits import SameBitsConvolution, SameBitsTransposed
from convpolicy.chunks.schedule import schedule
from convpolicy.chunks.stage import Stage
from convpolicy.chunks.steps import Streaming
from convpolicy.chunks.transposed import TransposedStage, transposed_schedule
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import InvalidTypeError, InvalidValueError, placed, shown
from convpolicy.layers.capture import Capture, backends_of, capture
from convpolicy.layers.chain import Chain
from convpolicy.layers.learned import without_learning
from convpolicy.layers.wrapper import wrapper_of

OWN = "numpy"  # where a capture runs
# execution -> stage of a convolution, and of a transposed one
EXECUTIONS = {"fast": (ConvolutionStage, TransposedStage), "same-bits": (SameBitsConvolution, SameBitsTransposed)}


def streaming(layer: Any, *, execution: str = "fast") -> Streaming:
    """Prepare a layer or a model for input that comes in chunks.

    Args:
        layer: one of the following:

            - a Conv1d or ConvTranspose1d of any supported framework, or a module that a `Wrapper` describes
            - a `Capture`, which runs in NumPy
            - a PyTorch model: a ``torch.nn.Module`` whose forward method takes one tensor (batch, channels, time) and returns one tensor
              with a time axis. Modules that convpolicy does not know need a `StreamingForm`
            - a list of layers and models, or a `Chain` of layers: the outputs of each are the input of the next
        execution: ``"fast"``, or ``"same-bits"``: the outputs have the same bits for every chunking of an input, and for any other rows in
            the batch. They may differ in rounding from those of the layer itself, and take longer.

    Returns:
        A `Streaming`. It uses the weights of the layer itself: when they change, so do the outputs.

    Raises:
        InvalidTypeError: the object is no such layer.
        InvalidValueError: the layer cannot be streamed, or a part of the model. The message says why, and what to use instead.
    """
    if execution not in EXECUTIONS:
        raise InvalidValueError(f"execution must be one of {', '.join(EXECUTIONS)}, got {shown(execution)}; pick one.")
    stages, ratios = zip(*(_stage(each, number, execution) for number, each in _layers(layer)))
    return Streaming(stages[0] if len(stages) == 1 else RowStage(stages), math.prod(ratios, start=Fraction(1)))


def integers(chain: Chain) -> Streaming:
    """Return the streaming of a chain that has sizes and policies, but no weights: only its numbers can be used.

    Args:
        chain: the chain. Its layers count as layers of one channel.

    Raises:
        InvalidValueError: a layer cannot be streamed. The message contains its number.
    """
    stages: list[Stage] = []
    for number, layer in enumerate(chain.layers):
        spec = ConvSpec.of(1, 1, layer.kernel_size, layer.stride, layer.dilation, 1, transposed=layer.policy.is_transposed)
        with placed(f"layer {number}"):
            stages.append(stage_of(Arrays(), layer.policy, spec))
    return Streaming(RowStage(stages), Fraction(chain.stride))


def _layers(layer: Any) -> list[tuple[int | None, Any]]:
    if isinstance(layer, Chain):
        layer = [each.layer for each in layer.layers]
        if None in layer:
            raise InvalidTypeError(
                f"layer must be a chain of layers with weights, got one whose layer {layer.index(None)} is only sizes and a policy; build "
                f"the chain from native layers or captures."
            )
    if not isinstance(layer, (list, tuple)):
        return [(None, layer)]
    if not layer:
        raise InvalidValueError("layer must be a list of one or more layers, got none; pass the layers in order.")
    return list(enumerate(layer))


def _stage(layer: Any, number: int | None, execution: str) -> tuple[Stage, Fraction]:
    with nullcontext() if number is None else placed(f"layer {number}"):
        return layer_stage(layer, execution)


def layer_stage(layer: Any, execution: str = "fast") -> tuple[Stage, Fraction]:
    """Return the stage of a layer or a model, and the number of input samples per output.

    Raises:
        ConvPolicyError: see `streaming`.
    """
    if not isinstance(layer, Capture) and (model := _model_stage(layer, execution)) is not None:
        return model
    captured = layer if isinstance(layer, Capture) else capture(layer)
    native, name = layer, captured.backend
    if isinstance(layer, Capture):
        captured = attrs.evolve(layer, policy=without_learning(layer.policy))  # NumPy learns nothing
        native, name = captured.build(OWN), OWN
    elif (wrapper := wrapper_of(layer)) is not None:
        native = wrapper.convolution_in(layer)
    backend = next((each for each in backends_of(native) if each.name == name), None)
    if backend is None or backend.arrays is None:
        raise InvalidTypeError(
            f"layer must be one of a backend that can stream, got one of {name!r}; pass convpolicy.capture(layer)."
        )
    spec, policy = captured.spec, captured.policy
    arrays = backend.arrays(native, spec)
    return stage_of(arrays, policy, spec, execution), Fraction(1, spec.stride) if spec.transposed else Fraction(spec.stride)


def stage_of(arrays: Any, policy: Any, spec: ConvSpec, execution: str = "fast") -> Stage:
    """Return the stage of one layer.

    Args:
        arrays: the arrays of the layer; see `Backend`.
        policy: the policy of the layer.
        spec: sizes of the layer.
        execution: see `streaming`.

    Raises:
        InvalidValueError: the first outputs depend on the end of the input.
    """
    convolution, transposed = EXECUTIONS[execution]
    return (
        transposed(arrays, transposed_schedule(policy, spec)) if spec.transposed else convolution(arrays, schedule(policy, spec))
    )


def _model_stage(layer: Any, execution: str) -> tuple[Stage, Fraction] | None:
    backends = backends_of(layer)
    roots = [kind.__module__.partition(".")[0] for kind in type(layer).__mro__]
    # a layer of Keras on torch is a module of torch, too: the class that was derived last decides
    own = next((root for root in roots if any(root == backend.framework for backend in backends)), None)
    for backend in backends:
        if backend.streamed_model is None or own not in (None, backend.framework):
            continue
        if (found := backend.streamed_model(layer, execution)) is not None:
            stage: tuple[Stage, Fraction] = found
            return stage
    return None

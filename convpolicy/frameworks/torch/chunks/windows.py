"""Stages of functions with windows: paddings and cuts of the time axis, pooling, and convolutions whose weights are arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from convpolicy.chunks.building import EXECUTIONS
from convpolicy.chunks.schedule import schedule
from convpolicy.chunks.stage import Stage
from convpolicy.chunks.transposed import transposed_schedule
from convpolicy.core.named import policy
from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.torch.chunks.arrays import TensorArrays, WeightedArrays
from convpolicy.frameworks.torch.chunks.steps import Arguments, Staged, Stateless
from convpolicy.layers.capture import one
from convpolicy.parts.choice import Choice

MODES = {"constant": "zeros", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


class WindowArrays(TensorArrays):
    """Tensors of a function of windows that has no weights.

    Args:
        module: the model.
        function: function of padded data.
    """

    def __init__(self, module: nn.Module, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__(module)
        self._function = function

    def convolved(self, data: Tensor) -> Tensor:
        """Return the function of padded data."""
        return self._function(data)


def window_stage(
    module: nn.Module,
    channels: int,
    function: Callable[[Tensor], Tensor],
    kernel: int = 1,
    stride: int = 1,
    dilation: int = 1,
    padding: tuple[int, int] = (0, 0),
    mode: Any = "zeros",
    execution: str = "fast",
) -> Stage:
    """Return the stage of a function of windows of padded data.

    Args:
        module: the model.
        channels: number of channels.
        function: function of padded data (batch, channels, samples).
        kernel, stride, dilation: sizes of the windows, in samples.
        padding: samples that are added at the start and at the end. A negative number removes samples.
        mode: a padding mode.
        execution: see `convpolicy.streaming`. A function that rounds nothing needs only ``"fast"``.

    Raises:
        InvalidValueError: it cannot be streamed.
    """
    rule = policy("torch").evolve(padding=padding, padding_mode=mode)
    spec = ConvSpec.of(channels, channels, kernel, stride, dilation, channels)
    convolution, _transposed = EXECUTIONS[execution]
    return convolution(WindowArrays(module, function), schedule(rule, spec))


def shifting_stage(module: nn.Module, channels: int, padding: tuple[int, int], mode: Any = "zeros", stride: int = 1) -> Stage:
    """Return the stage that adds samples at both ends, or removes them if a number is negative, and then takes each ``stride``-th."""
    return window_stage(module, channels, lambda data: data[..., ::stride], stride=stride, padding=padding, mode=mode)


def mode_of(name: str, value: Any) -> Any:
    """Return the padding mode of ``torch.nn.functional.pad``."""
    return Choice("constant", value=float(value)) if name == "constant" and value else MODES.get(name, name)


def pool_stage(
    module: nn.Module, channels: int, function: Callable[..., Tensor], kernel: int, stride: int, padding: int, execution: str
) -> Stage:
    """Return the stage of a mean of windows, in which padding counts as 0, or of another function of windows without padding."""
    return window_stage(
        module,
        channels,
        lambda data: function(data, kernel, stride),
        kernel,
        stride,
        padding=(padding, padding),
        execution=execution,
    )


class Given(Staged):
    """A convolution whose weight and bias are arguments of its call, in the order of ``torch.nn.functional.conv1d``."""

    def __init__(self, stage: Any, axes: Sequence[str | int], module: nn.Module) -> None:
        super().__init__(stage, axes)
        self._module = module

    def of(self, arguments: Arguments, chunks: Sequence[Tensor]) -> Any:
        """Return the stage with the weights of the call."""
        positional, keywords = arguments(chunks)
        weight = keywords["weight"] if len(positional) < 2 else positional[1]
        bias = keywords.get("bias") if len(positional) < 3 else positional[2]
        stage: Any = self.stage
        values = {"weight": weight, "bias": bias}
        return stage.with_arrays(WeightedArrays(self._module, stage.arrays.spec, values.__getitem__))


def given_stage(module: nn.Module, transposed: bool, words: dict[str, Any], execution: str) -> Any:
    """Return the stage of a call of ``torch.nn.functional.conv1d`` or ``conv_transpose1d``, without weights.

    Args:
        module: the model.
        transposed: True for a transposed convolution.
        words: the arguments by name.
        execution: see `convpolicy.streaming`.
    """
    convolution, deconvolution = EXECUTIONS[execution]
    weight, groups = words["weight"], words["groups"]
    stride, dilation, padding = one(words["stride"]), one(words["dilation"]), words["padding"]
    sides = padding if isinstance(padding, str) else one(padding)
    inner, outer, kernel = weight.shape[1] * groups, weight.shape[0], weight.shape[2]
    if transposed:
        inner, outer = weight.shape[0], weight.shape[1] * groups
    spec = ConvSpec.of(inner, outer, kernel, stride, dilation, groups, transposed=transposed)
    given: dict[str, Any] = {}  # by each call
    arrays = WeightedArrays(module, spec, given.__getitem__)
    if transposed:
        left = one(padding)
        rule: Any = policy("torch").transposed
        rule = rule.evolve(padding=(left, left - one(words["output_padding"])))
        return deconvolution(arrays, transposed_schedule(rule, spec))
    return convolution(arrays, schedule(policy("torch").evolve(padding=sides), spec))


def extra_of(stage: Any) -> int | None:
    """Return the number of outputs of a convolution minus that of its samples, or None if it is no constant."""
    schedule, spec = stage.schedule, stage.schedule.spec
    if spec.stride != 1 or schedule.right is None:
        return None
    more: int = schedule.left + schedule.right - spec.effective_kernel + 1
    return -more if spec.transposed else more


class Repeat(Stateless):
    """Each sample is repeated, as by nearest-neighbour upsampling."""

    def __init__(self, factor: int, axis: int) -> None:
        self.factor, self.axis = factor, axis

    def advance(self, chunks: Sequence[Tensor], state: Any, last: bool, arguments: Arguments) -> tuple[Any, dict[str, Any]]:
        """Return the repeated samples."""
        return chunks[0].repeat_interleave(self.factor, dim=self.axis), {}

    def outputs(self, counts: Sequence[int]) -> int:
        """Return the number of samples."""
        return counts[0] * self.factor


def is_exact_factor(factor: Any) -> bool:
    """Return True if torch's nearest-neighbour upsampling by a factor repeats each sample, which rounding breaks for some factors."""
    if not isinstance(factor, (int, float)) or factor != int(factor) or factor < 1:
        return False
    import numpy as np

    places = np.arange(1 << 15, dtype=np.int64)
    scale = np.float32(1.0 / factor)
    return all(
        bool((np.floor((places * int(factor) + rest).astype(np.float32) * scale) == places).all())
        for rest in {0, int(factor) - 1}
    )

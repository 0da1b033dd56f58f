"""Write what a transposed convolution cuts: as its arguments if possible, otherwise as layers around one that cuts nothing.

- `as_padding` returns the arguments of a class that cuts like torch, with ``padding`` and ``output_padding``.
- `around` writes layers before and after the convolution, for any other crop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from convpolicy.arithmetic import effective_kernel, same_total, split
from convpolicy.core.resolution import OUTPUT_PADDING
from convpolicy.core.transposed_plan import CIRCULAR
from convpolicy.errors import ConvPolicyError, InvalidValueError
from convpolicy.translation.distributions import negative
from convpolicy.translation.paddings import PERIOD, Padding
from convpolicy.translation.reading import Request
from convpolicy.translation.values import Expression, Value, atom, code_of, plus

WINDOW = ("kernel_size", "stride", "dilation")
SAME_CROP = '''\
class {name}({base}):
    """Cut what padding "same" of a convolution would add to the input of a transposed convolution."""

    def __init__(self, kernel_size, stride, output_padding=0{init_head}):
        super().__init__({init_tail})
        self.kernel_size, self.stride, self.output_padding = kernel_size, stride, output_padding

    def {call}(self, x):
        first = {first}  # outputs of one input sample
        length = (x.shape[{axis}] - first) // self.stride + 1
        if self.output_padding:  # a zero was appended to the input
            length -= 1
        total = max(self.kernel_size - 1 - (length - 1) % self.stride, 0)
        left = total // 2
        full_length = (length - 1) * self.stride + self.kernel_size
        stop = full_length - (total - left) + self.output_padding
        return x[{slice}]
'''


@attrs.frozen(kw_only=True)
class CropCode:
    """Code fragments, for one framework, of the layers around a transposed convolution that cuts nothing.

    Args:
        arguments: arguments with which the convolution cuts nothing.
        crop: layer that cuts. A template with ``{left}`` and ``{right}``, in samples, their negatives ``{minus_left}`` and
            ``{minus_right}``, or ``{bounds}``, the bounds of a slice.
        crop_class: source code of the class of that layer, if it is not the framework's.
        pad: layer that adds zeros, a template with two ``{}``, in samples.
        circular: ``(code, classes)`` of a layer that adds samples from the other end, a template with two ``{}``. None refuses mode
            ``"circular"``.
        periodic: True if that layer repeats the input as often as needed.
        at_least_stride: True if the convolution appends zeros where its effective kernel is below the stride, up to
            ``length * stride`` samples.
        name: name of a class for crops that depend on the input length.
        base, call, axis, init_head, init_tail: as in `SamePad`.
        tail: further arguments of a layer of that class, starting with a comma.
        slice: index that selects the samples from ``left`` to ``stop``.
    """

    arguments: Mapping[str, Value] = attrs.field(factory=dict)
    crop: str
    crop_class: str = ""
    pad: str
    circular: tuple[str, tuple[str, ...]] | None = None
    periodic: bool = False
    at_least_stride: bool = False
    name: str = "SameCrop1d"
    base: str
    call: str
    axis: str = "-1"
    slice: str
    init_head: str = ""
    init_tail: str = ""
    tail: str = ""


def as_padding(request: Request) -> tuple[Value, Value] | None:
    """Return what is cut as ``(padding, output_padding)`` of torch, or None if torch's arguments cannot express it.

    Args:
        request: the layer.

    Raises:
        InvalidValueError: the crop depends on a size that is an expression, or the framework refuses the sizes.
    """
    if request.padding is not None:
        return request.padding, request.output_padding
    pads = request.pads()
    if pads is None or wraps(request, pads):
        return None
    left, right = pads
    arguments = request.policy.part("padding")[1]
    if request.policy.padding.name == "explicit" and arguments["left"] == arguments["right"] >= 0:
        return left, arguments[OUTPUT_PADDING]
    if left < 0 or left < right:
        return None
    if left == right:
        return left, 0
    stride, dilation = (request.number(name, "output_padding must be below it") for name in ("stride", "dilation"))
    return (left, left - right) if left - right < max(stride, dilation) else None


def wraps(request: Request, pads: tuple[Value, Value]) -> bool:
    """Return True if samples that are cut on one side are added to the other end."""
    return request.mode == CIRCULAR and any(isinstance(side, Expression) or side > 0 for side in pads)


def around(request: Request, code: CropCode) -> Padding:
    """Write a transposed convolution that cuts nothing, and the layers around it.

    - Samples to cut are cut by a layer after it.
    - Where zeros are appended, a layer before it adds zeros to the input instead. The bias is then added to the appended samples, too.
    - For mode ``"circular"``, a layer before it adds samples from the other end of the input.

    Args:
        request: the layer.
        code: code fragments of the target framework.

    Raises:
        InvalidValueError: the value of a name is needed, or the crop cannot be written; the message says why.
    """
    pads = request.pads()
    if pads is None:
        return _same_crop(request, code)
    left, right = pads
    if request.output_padding != 0:
        raise InvalidValueError(
            f"output_padding must be 0 unless padding and output_padding are numbers, got {code_of(request.output_padding)} with "
            f"padding={code_of(request.padding)}, as the code depends on them; write their values."
        )
    before: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    if wraps(request, pads):
        first, last, left, right = _circular(request, left, right)
        if first or last:
            if code.circular is None:
                raise InvalidValueError(f"padding_mode must be 'zeros' here, got {CIRCULAR!r}; translate to another framework.")
            before, classes = (code.circular[0].format(first, last),), code.circular[1]
    elif any(isinstance(side, int) and side < 0 for side in pads):
        stride = request.number("stride", "appended zeros depend on it")
        first, last = (_ceil(-min(side, 0), stride) for side in (left, right))
        left, right = left + first * stride, right + last * stride
        before = (code.pad.format(first, last),)
    if code.at_least_stride:
        right = plus(right, _appended(request))
    after: tuple[str, ...] = ()
    if left != 0 or right != 0:
        after = (_crop(code, request, left, right),)
        classes += (code.crop_class,) if code.crop_class else ()
    return Padding(code.arguments, before, classes, periodic=code.periodic, after=after)


def _crop(code: CropCode, request: Request, left: Value, right: Value) -> str:
    stop = f"x.shape[{code.axis}] - {atom(right)}" if right != 0 else ""
    sizes = request.spec
    is_safe = request.is_known("kernel_size", "dilation") and isinstance(right, int) and right <= sizes.effective_kernel
    if stop and not is_safe:  # the end of a slice must not be negative
        stop = f"max({stop}, 0)"
    start = code_of(left) if left != 0 else ""
    bounds = f"{start} : {stop}".strip() if stop else f"{start}:"
    numbers = {"left": left, "right": right, "minus_left": negative(left), "minus_right": negative(right)}
    return code.crop.format(bounds=bounds, **{name: code_of(number) for name, number in numbers.items()})


def _ceil(number: int, divisor: int) -> int:
    return -(-number // divisor)


def _circular(request: Request, left: Any, right: Any) -> tuple[int, int, int, int]:
    """Return the samples to add from the other end on each side, and what is then cut.

    The outputs repeat with the length of the result. They are those of a repeated input, if the result has length * stride samples.
    """
    kernel, stride, dilation = (request.number(name, "circular outputs depend on it") for name in WINDOW)
    window = effective_kernel(kernel, dilation)
    if left < 0 or left + right != window - stride:
        raise InvalidValueError(
            f"padding must keep length * stride outputs to be written with padding_mode 'circular', got cuts of {left} and {right} for an "
            f"effective kernel of {window} and stride {stride}; use 'same'."
        )
    first = max((window - 1 - left) // stride, 0)
    last = max(_ceil(left, stride), _ceil(left + stride - window, stride), 0)
    return first, last, left + first * stride, (last - 1) * stride + window - left


def _appended(request: Request) -> Value:
    """Return the zeros by which a result of at least length * stride samples is longer than the full result."""
    if request.is_known(*WINDOW):
        return max(request.spec.stride - request.spec.effective_kernel, 0)
    kernel, stride, dilation = (request.values[name] for name in WINDOW)
    window = atom(kernel) if dilation == 1 else f"({atom(kernel)} - 1) * {atom(dilation)} - 1"
    return Expression(f"max({atom(stride)} - {window}, 0)")


def _same_crop(request: Request, code: CropCode) -> Padding:
    """Write a crop that depends on the input length: what "same" of a convolution adds to such an input."""
    kernel, stride, dilation = (request.number(name, "the crop depends on it") for name in WINDOW)
    rule, arguments = request.policy.part("padding")
    lengths = range(1, PERIOD + 1)
    try:
        cuts = [rule.resolve(kernel, stride, dilation, length, arguments) for length in lengths]
    except ConvPolicyError:
        cuts = []
    more = arguments.get(OUTPUT_PADDING, 0)
    sides = (split(same_total(kernel, stride, dilation, length), "right") for length in lengths)
    if dilation != 1 or cuts != [(left, right - more) for left, right in sides]:
        raise InvalidValueError(
            f"padding must not depend on the input length, got {request.policy.padding}; pass length=... for one length."
        )
    fields = {name: getattr(code, name) for name in ("name", "base", "call", "axis", "slice", "init_head", "init_tail")}
    first = "max(self.kernel_size, self.stride)" if code.at_least_stride else "self.kernel_size"
    text = SAME_CROP.format(**fields, first=first)
    sizes = ", ".join(map(str, (kernel, stride, *([more] if more else []))))
    before = (code.pad.format(0, 1),) if more else ()
    return Padding(code.arguments, before, (text,), after=(f"{code.name}({sizes}{code.tail})",))

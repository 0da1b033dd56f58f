"""Write the padding of a layer: as an argument of the target's convolution if possible, otherwise as a layer before it.

- `native_word` finds the framework's name for a padding by comparing policies.
- `same_padding` writes a class for padding that depends on the input length. It needs only the target framework.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from convpolicy import registry
from convpolicy.arithmetic import static_total
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.named import policy as named_policy
from convpolicy.errors import ConvPolicyError, InvalidValueError
from convpolicy.parts.choice import Choice
from convpolicy.translation.reading import WITHOUT_SIZES, Request
from convpolicy.translation.values import Value

PROBED = {"kernel_size": range(1, 8), "stride": range(1, 4), "dilation": range(1, 4)}  # values compared for an unknown size
PERIOD = 32  # input lengths that are all compared
SAME_PAD = '''\
class {name}({base}):
    """Pad with zeros to ceil(length / stride) outputs; an extra zero goes on the {side}."""

    def __init__(self, kernel_size, stride, dilation{init_head}):
        super().__init__({init_tail})
        self.span, self.stride = (kernel_size - 1) * dilation, stride

    def {call}(self, x):
        total = self.span - (x.shape[{axis}] - 1) % self.stride
        if self.span < self.stride - 1:  # the stride skips samples
            total = max(total, 0)
        left = {left}
        return {pad}
'''
LEFTS = {"right": "total // 2", "left": "total - total // 2"}


@attrs.frozen
class Padding:
    """The padding of a layer in the target's code.

    Args:
        arguments: arguments of the convolution, by their name in the target.
        before: code of layers that run before the convolution.
        classes: source code of the classes that these layers need.
        word: True when the arguments are valid for every input length, although the number of samples depends on it.
        periodic: True when padding wider than the input repeats the input as often as needed.
        after: code of layers that cut the result of a transposed convolution.
        notes: comments for the reader of the translation.
    """

    arguments: Mapping[str, Value] = attrs.field(factory=dict)
    before: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    word: bool = False
    periodic: bool = False
    after: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    notes: tuple[str, ...] = attrs.field(default=(), kw_only=True)


@attrs.frozen(kw_only=True)
class SamePad:
    """Code fragments, for one framework, of a layer that computes its padding from the input length.

    Args:
        name: name of the class, with ``{}`` for ``Same`` or ``SameLower``, such as ``"{}Pad1d"``.
        base: base class of the framework's layers.
        call: name of the method that runs a layer.
        axis: index of the length in ``x.shape``.
        pad: expression that pads ``x`` with ``left`` zeros before and ``total - left`` zeros after.
        init_head: further parameters of ``__init__``, starting with a comma.
        init_tail: arguments of ``super().__init__``.
    """

    name: str = "{}Pad1d"
    base: str
    call: str
    axis: str = "-1"
    pad: str
    init_head: str = ""
    init_tail: str = ""


def same_padding(request: Request, pieces: SamePad, arguments: Mapping[str, Value], tail: str = "") -> Padding:
    """Pad with a layer that computes its padding from the input length, for ``ceil(length / stride)`` outputs.

    Args:
        request: the layer; its padding depends on the input length.
        pieces: code fragments of the pad layer in the target framework.
        arguments: arguments with which the convolution does not pad.
        tail: further arguments of the pad layer, starting with a comma.

    Raises:
        InvalidValueError: a size is an expression, or the padding mode is not ``zeros``.
    """
    require_mode(request, request.framework, ("zeros",))
    side = request.policy.part("padding")[1].get("odd_side", "right")
    sizes = [request.number(name, "the padding depends on it") for name in ("kernel_size", "stride", "dilation")]
    name = pieces.name.format({"right": "Same", "left": "SameLower"}[side])
    fields = {"name": name, "side": side, "left": LEFTS[side]}
    text = SAME_PAD.format(**{**attrs.asdict(pieces), **fields})
    return Padding(arguments, (f"{name}({', '.join(map(str, sizes))}{tail})",), (text,))


def require_mode(request: Request, target: str, modes: Iterable[str]) -> None:
    """Check that a target has the padding mode of a request, and that the padding does not remove samples.

    Args:
        request: the layer.
        target: name of the dialect.
        modes: names of the padding modes that the target has.

    Raises:
        InvalidValueError: the target does not have the mode, or the padding removes samples; the message says what is allowed.
    """
    if request.policy.padding.name in WITHOUT_SIZES or request.is_known("kernel_size", "stride", "dilation"):
        pads = request.pads() or ()
        if any(isinstance(side, int) and side < 0 for side in pads):
            raise InvalidValueError(
                f"padding must add 0 samples or more to be written for {target}, got {' and '.join(map(str, pads))}; slice the input yourself."
            )
        if pads == (0, 0):
            return
    if request.mode not in modes:
        raise InvalidValueError(
            f"padding_mode must be one of {', '.join(modes)} to be written for {target}, got {str(request.policy.padding_mode)!r}; "
            "pad the input yourself."
        )


def native_word(request: Request, target: str, words: Sequence[Any], *, modes: bool) -> Any:
    """Return the target's name for a padding, such as ``"same"``, or None.

    The name is returned only if it pads alike at every input length and, for a size that is an expression, at every value.

    Args:
        request: the layer.
        target: name of the target's policy.
        words: names to compare, in order.
        modes: True if the padding mode is a separate argument of the target, False if the name also determines the mode.
    """
    if request.padding is not None:
        return None
    policy = request.half(named_policy(target))
    for word in words:
        meaning = _meaning(policy, word, request.policy.padding_mode if modes else None)
        if meaning.padding_mode.name == request.mode and _pads_alike(request, meaning):
            return word
    return None


@registry.cached(maxsize=256)
def _meaning(policy: LayerPolicy, word: str, mode: Choice | None) -> LayerPolicy:
    """Return a framework's policy with one of its names for padding. With ``mode=None``, the name also determines the mode."""
    return policy.evolve(padding=word, **({} if mode is None else {"padding_mode": mode}))


def word_or_number(request: Request, target: str, words: Sequence[Any], *, modes: bool) -> Any:
    """Return `native_word`, except for equal numbers of samples on both sides, which remain numbers: return None."""
    word = native_word(request, target, words, modes=modes)
    if word is None or request.policy.padding.name != "explicit":
        return word
    pads = request.pads()
    return None if pads is not None and pads[0] == pads[1] else word


def _pads_alike(request: Request, meaning: LayerPolicy) -> bool:
    ranges = [(request.values[name],) if request.is_known(name) else values for name, values in PROBED.items()]
    rules = [policy.part("padding") for policy in (request.policy, meaning)]
    for kernel, stride, dilation in itertools.product(*ranges):
        span = static_total(kernel, dilation)
        ends = {stride, stride + 1, 2 * stride, span, span + 1, span + 2} - {0}  # padding repeats with period stride
        for length in sorted({*range(1, PERIOD + 1), *ends}):
            try:
                pads = [rule.resolve(kernel, stride, dilation, length, arguments) for rule, arguments in rules]
            except ConvPolicyError:
                return False
            if pads[0] != pads[1]:
                return False
    return True

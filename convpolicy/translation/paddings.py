"""How a target pads: by an argument of its convolution where it can, else by a layer before it.

A framework's own word is written where it pads the same (`native_word` asks the policies); numbers are the policies' too. Padding
that depends on the input length becomes a class with the formula in it (`same_padding`), which needs only its framework.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from convpolicy.arithmetic import static_total
from convpolicy.core.named import policy as named_policy
from convpolicy.core.policy import Policy
from convpolicy.errors import ConvPolicyError, InvalidValueError
from convpolicy.translation.reading import WITHOUT_SIZES, Request
from convpolicy.translation.values import Value

PROBED = {"kernel_size": range(1, 8), "stride": range(1, 4), "dilation": range(1, 4)}  # values tried for a size that is a name
PERIOD = 32  # lengths tried one by one
SAME_PAD = '''\
class {name}({base}):
    """Zeros for ceil(length / stride) outputs, an odd one on the {side}."""

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
    """How a layer pads in a target's code.

    Args:
        arguments: of the convolution, the target's own name -> value.
        before: code of layers that run before the convolution.
        classes: whole text of the classes that these layers need.
        word: True when the arguments hold for any input length although the pads depend on it.
        periodic: True when pads wider than the input go round it again and again.
    """

    arguments: Mapping[str, Value] = attrs.field(factory=dict)
    before: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    word: bool = False
    periodic: bool = False


@attrs.frozen(kw_only=True)
class SamePad:
    """The pieces of a pad layer that computes its pads from the input length, in one framework.

    Args:
        name: of the class, with ``{}`` where ``Same`` or ``SameLower`` goes: ``"{}Pad1d"``.
        base: the framework's base class of layers.
        call: the method that runs a layer.
        axis: of the length in ``x.shape``.
        pad: expression that pads ``x`` with ``left`` zeros before and ``total - left`` after.
        init_head: further parameters of ``__init__``, after a comma.
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
    """Pad by a class with the formula of ``ceil(length / stride)`` outputs, the only rule that reads the length.

    Args:
        request: what was read; its pads depend on the length.
        pieces: the class in the target's words.
        arguments: of the convolution, such that it does not pad.
        tail: further arguments of the pad layer, after a comma.

    Raises:
        InvalidValueError: a size that is an expression, or another mode than zeros.
    """
    require_mode(request, request.framework, ("zeros",))
    side = request.policy.part("padding")[1].get("odd_side", "right")
    sizes = [request.number(name, "the pads depend on it") for name in ("kernel_size", "stride", "dilation")]
    name = pieces.name.format({"right": "Same", "left": "SameLower"}[side])
    words = {"name": name, "side": side, "left": LEFTS[side]}
    text = SAME_PAD.format(**{**attrs.asdict(pieces), **words})
    return Padding(arguments, (f"{name}({', '.join(map(str, sizes))}{tail})",), (text,))


def require_mode(request: Request, target: str, modes: Iterable[str]) -> None:
    """Refuse what a target cannot add to the sides: samples of a padding mode that it has not, or less than none.

    Args:
        request: what was read.
        target: name of the dialect.
        modes: names of the padding modes it has.

    Raises:
        InvalidValueError: another mode where anything is added, or a padding that cuts samples; holds it and what is allowed.
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
    """Return the target's own word that pads the same for every value of a size that is a name and every length, or None.

    Args:
        request: what was read.
        target: name of the target's policy.
        words: to try, in order.
        modes: True where the padding mode is a separate argument; else the word also says the mode.
    """
    if request.padding is not None:
        return None
    own = named_policy(target)
    for word in words:
        meaning = own.evolve(padding=word, **({"padding_mode": request.policy.padding_mode} if modes else {}))
        if meaning.padding_mode.name == request.mode and _pads_alike(request, meaning):
            return word
    return None


def word_or_number(request: Request, target: str, words: Sequence[Any], *, modes: bool) -> Any:
    """Return `native_word`, but None where the source has equal numbers on both sides, which stay numbers."""
    word = native_word(request, target, words, modes=modes)
    if word is None or request.policy.padding.name != "explicit":
        return word
    pads = request.pads()
    return None if pads is not None and pads[0] == pads[1] else word


def _pads_alike(request: Request, meaning: Policy) -> bool:
    ranges = [(request.values[name],) if request.is_known(name) else values for name, values in PROBED.items()]
    rules = [policy.part("padding") for policy in (request.policy, meaning)]
    for kernel, stride, dilation in itertools.product(*ranges):
        span = static_total(kernel, dilation)
        ends = {stride, stride + 1, 2 * stride, span, span + 1, span + 2} - {0}  # rules repeat with the stride
        for length in sorted({*range(1, PERIOD + 1), *ends}):
            try:
                pads = [rule.resolve(kernel, stride, dilation, length, arguments) for rule, arguments in rules]
            except ConvPolicyError:
                return False
            if pads[0] != pads[1]:
                return False
    return True

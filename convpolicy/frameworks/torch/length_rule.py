"""`LengthRule`: a rule that depends on the input length, for lengths that may be symbolic.

ONNX rounds a negative quotient towards 0 where Python rounds it down, so no exported program divides a negative number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from convpolicy.errors import InvalidValueError

LENGTHS = (*range(1, 9), 13, 64, 1000, 10**6)  # lengths at which a rule is tried
# operators of an integer whose results are integers
OPERATORS = tuple(f"__{name}__" for name in ["add", "radd", "sub", "rsub", "mul", "rmul", "mod", "rmod", "neg", "pos", "abs"])
_is_exporting: Callable[[], bool] = getattr(torch.compiler, "is_exporting", lambda: False)  # new in torch 2.7


class LengthRule:
    """Computes ``(left, right)`` by a rule.

    Args:
        name: what an error calls the rule, e.g. ``"padding 'same_upper'"``.
        function: ``(kernel, stride, dilation, length, **arguments) -> (left, right)``.
        sizes: kernel, stride and dilation.
        arguments: the rule's parameters.
    """

    def __init__(
        self, name: str, function: Callable[..., Any], sizes: tuple[int, int, int], arguments: Mapping[str, Any]
    ) -> None:
        self._name, self._function, self._sizes, self._arguments = name, function, sizes, dict(arguments)
        self._divides_negative = any(map(self._divides, LENGTHS))

    def __call__(self, length: Any) -> tuple[Any, Any]:
        """Return ``(left, right)`` for a length.

        Raises:
            InvalidValueError: the rule divides negative numbers, and ``torch.export.export`` traces it with ``strict=True``.
        """
        if isinstance(length, Tensor):  # under torch.jit.trace, which freezes the numbers of this length
            length = int(length)
        if torch.compiler.is_dynamo_compiling():  # it does not trace a subclass of SymInt
            if self._divides_negative and _is_exporting():
                raise self._refusal()
        elif isinstance(length, torch.SymInt):
            length = TracedLength(length.node)  # type: ignore[no-untyped-call]
        left, right = self._function(*self._sizes, length, **self._arguments)
        return _plain(left), _plain(right)

    def _refusal(self) -> InvalidValueError:
        return InvalidValueError(
            f"strict must be False in torch.export.export for {self._name}, which divides a negative number, as ONNX would round the "
            f"quotient towards 0, got True; leave it out, or write the rule without a negative dividend."
        )

    def _divides(self, length: int) -> bool:
        """Return True if the rule divides a negative number for a length."""
        probe = _Probe(length)
        probe.quotients = []
        try:
            self._function(*self._sizes, probe, **self._arguments)
        except Exception:  # the layer raises it when it gets an input of this length
            return False
        return min(probe.quotients, default=0) < 0


class _Probe(int):
    """An integer that notes the quotients computed from it."""

    quotients: list[float]

    def __floordiv__(self, divisor: int) -> Any:
        self.quotients.append(int(self) / divisor)
        return _same_kind(self, int(self) // divisor)

    def __rfloordiv__(self, dividend: int) -> Any:
        self.quotients.append(dividend / int(self))
        return _same_kind(self, dividend // int(self))


class TracedLength(torch.SymInt):
    """A symbolic integer that divides no negative number."""

    def __floordiv__(self, divisor: Any) -> Any:
        """Return the quotient, rounded down."""
        return _same_kind(self, _quotient(_plain(self), _plain(divisor)))

    def __rfloordiv__(self, dividend: Any) -> Any:
        """Return the quotient, rounded down."""
        return _same_kind(self, _quotient(_plain(dividend), _plain(self)))

    def __divmod__(self, divisor: Any) -> tuple[Any, Any]:
        """Return the quotient, rounded down, and the remainder, as for a Python integer."""
        return self // divisor, self % divisor

    def __rdivmod__(self, dividend: Any) -> tuple[Any, Any]:
        """Return the quotient, rounded down, and the remainder, as for a Python integer."""
        return dividend // self, dividend % self


def _quotient(dividend: Any, divisor: Any) -> Any:
    """Return ``dividend // divisor`` without dividing a negative number, if torch knows the sign of the divisor."""
    from torch.fx.experimental.symbolic_shapes import statically_known_true  # here: it imports SymPy

    if statically_known_true(divisor < 0):
        dividend, divisor = -dividend, -divisor
    if statically_known_true(dividend >= 0) or not statically_known_true(divisor > 0):
        return dividend // divisor
    above, below = torch.sym_max(dividend, 0), torch.sym_max(divisor - 1 - dividend, 0)  # type: ignore[no-untyped-call]
    return above // divisor - below // divisor


def _same_kind(number: Any, result: Any) -> Any:
    """Return the result of an operator of a number, as a number of that kind."""
    if isinstance(number, _Probe) and type(result) is int:
        probe = _Probe(result)
        probe.quotients = number.quotients
        return probe
    return TracedLength(result.node) if isinstance(result, torch.SymInt) else result  # type: ignore[no-untyped-call]


def _plain(number: Any) -> Any:
    return torch.SymInt(number.node) if isinstance(number, TracedLength) else number  # type: ignore[no-untyped-call]


def _closed(kind: type, operator: str) -> Any:
    """Return an operator of a class whose results are of the kind that inherits from it."""
    function = getattr(kind, operator)
    return lambda *numbers: _same_kind(numbers[0], function(*numbers))


for _operator in OPERATORS:
    setattr(_Probe, _operator, _closed(int, _operator))
for _operator in (*OPERATORS, "__sym_max__", "__sym_min__"):
    setattr(TracedLength, _operator, _closed(torch.SymInt, _operator))

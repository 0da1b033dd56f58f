"""What a padding mode keeps: an index map, position by position, within the input, and every property it declares."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as some

from convpolicy import reference
from convpolicy.arithmetic import SIDES
from convpolicy.core.policy import Policy
from convpolicy.parts.choice import Choice
from convpolicy.parts.mode import RESERVED, PaddingMode
from convpolicy.parts.side import CONSTANT, value_of
from convpolicy.testing.backend_cases import TWO_COMPUTATIONS
from convpolicy.testing.common import (
    MAX_EXAMPLES,
    SIZES,
    Sizes,
    check_names,
    check_signature,
    choices,
    offered,
    require,
    smallest,
)
from convpolicy.testing.ladder import Check
from convpolicy.testing.probe import PROPERTIES, layer_of, plan_of

PADS = some.integers(0, 9)
LENGTHS = some.integers(1, 9)
NO_LIMIT = 2**31  # samples: wider than any pad
GROWS = range(1, 65)  # lengths between which a limit has to grow


def checks(mode: PaddingMode, max_examples: int = MAX_EXAMPLES) -> list[Check]:
    """Return the checks of a padding mode, lowest rung first; its properties decide which of them apply."""
    found = [("names", "names", partial(check_names, mode))]
    if not mode.is_per_side:  # which has no function
        found += [
            ("signature", "signatures", partial(_signature, mode)),
            ("indices", "shapes and dtypes", partial(_each, mode, max_examples, _indices)),
            ("repeatable", "values", partial(_each, mode, max_examples, _repeatable)),
            ("each-position", "values", partial(_each, mode, max_examples, _each_position)),
            ("values", "values", partial(_each, mode, max_examples, _values)),
        ]
    if mode.limit is not None:
        found.append(("limit", "shapes and dtypes", partial(_limit, mode)))
    found += [(name, "values", partial(_probed, mode, name, max_examples)) for name in sorted(mode.declares)]
    return [Check(mode, *check) for check in found]


def _each(mode: PaddingMode, max_examples: int, check: Any) -> None:
    smallest(partial(check, mode), max_examples, line=_line, left=PADS, right=PADS, length=LENGTHS, choice=choices(mode))


def _line(left: int, right: int, length: int, choice: Choice) -> str:
    return (
        f"from numpy import array; import convpolicy; from convpolicy import Choice; print(convpolicy.policy('torch').evolve("
        f"padding=({left}, {right}), padding_mode={choice!r}).plan(1, length={length}).sides)"
    )


def _own(mode: PaddingMode) -> list[str]:
    """Return the parameters that the function of a mode gets by keyword."""
    return [*(name for name in mode.params if name not in RESERVED), *(["width"] if mode.needs_width else [])]


def _signature(mode: PaddingMode) -> None:
    check_signature("source", mode.source, ("positions", "length"), _own(mode))
    if mode.limit is not None:
        check_signature("limit", mode.limit, ("length",))


def _source(mode: PaddingMode, positions: Any, length: int, choice: Choice, width: int) -> Any:
    words = {name: value for name, value in mode.arguments(choice).items() if name not in RESERVED}
    return mode.source(positions, length, **words, **({"width": width} if mode.needs_width else {}))


def _terms(given: Any) -> list[tuple[Any, Any]]:
    return given if isinstance(given, list) else [(1.0, given)]


def _elements(given: Any, count: int) -> list[dict[int, float]]:
    """Return what each element is: source -> coefficient, those of 0 left out."""
    found: list[dict[int, float]] = []
    for place in range(count):
        element: dict[int, float] = {}
        for coefficient, index in _terms(given):
            source, share = int(index[place]), float(np.broadcast_to(coefficient, (count,))[place])
            element[source] = element.get(source, 0.0) + share
        found.append({source: share for source, share in element.items() if share})
    return found


def _limit(mode: PaddingMode) -> None:
    assert mode.limit is not None
    found = [mode.limit(length) for length in (0, *GROWS)]
    for length, limit in enumerate(found):
        whole = isinstance(limit, (int, np.integer)) and not isinstance(limit, bool) and limit >= 0
        require(whole, f"limit must give an integer of 0 or more, got {limit!r} for length {length}.")
    for length in GROWS:
        require(
            found[length] >= found[length - 1],
            f"limit must not fall with the length, got {found[length - 1]} for length {length - 1} and {found[length]} for {length}.",
        )
    require(
        found[-1] > found[1] or found[1] >= NO_LIMIT,
        f"limit must grow with the length, got {found[1]} for length {GROWS[0]} and for {GROWS[-1]}: overflow='zero-extend' would "
        f"extend the input for ever; leave limit out where every width is defined.",
    )


def _positions(left: int, right: int, length: int) -> Any:
    return np.array([*range(-left, 0), *range(length, length + right)], dtype=np.int64)


def _indices(mode: PaddingMode, left: int, right: int, length: int, choice: Choice) -> None:
    """At any distance, also beyond the limit, as overflow='periodic' asks for."""
    positions = _positions(left, right, length)
    before = positions.copy()
    given = _source(mode, positions, length, choice, max(left, right))
    at = f"for positions {before.tolist()}, length {length}"
    require(np.array_equal(positions, before), f"source writes into the positions it is given, {at}; work on a copy.")
    is_sum = isinstance(given, list) and bool(given) and all(isinstance(term, tuple) and len(term) == 2 for term in given)
    require(
        is_sum or isinstance(given, np.ndarray),
        f"source must give an array, or a list of (coefficient, indices), got {type(given).__name__}, {at}.",
    )
    for coefficient, found in _terms(given):
        share = np.asarray(coefficient)
        require(
            share.dtype.kind in "iuf" and bool(np.isfinite(share).all()) and share.shape in ((), positions.shape),
            f"a coefficient must be a finite number, or an array of them of shape {positions.shape}, got {share.tolist()}, {at}.",
        )
        require(isinstance(found, np.ndarray), f"source must give an array, got {type(found).__name__}, {at}.")
        require(found.dtype.kind in "iu", f"source must give integers, got dtype {found.dtype}, {at}; round down with //.")
        require(found.shape == positions.shape, f"source must give shape {positions.shape}, got {found.shape}, {at}.")
        outside = found[(found < CONSTANT) | (found >= length)]
        require(
            not outside.size,
            f"source must give indices in [0, {length}) or -1 for the constant, got {found.tolist()}, {at}.",
        )


def _repeatable(mode: PaddingMode, left: int, right: int, length: int, choice: Choice) -> None:
    positions, width = _positions(left, right, length), max(left, right)
    first = _elements(_source(mode, positions.copy(), length, choice, width), positions.size)
    _source(mode, _positions(right + 1, left, length + 3), length + 3, choice, width + 1)
    again = _elements(_source(mode, positions.copy(), length, choice, width), positions.size)
    require(
        first == again,
        f"source gives {_text(first)} and then {_text(again)} for positions {positions.tolist()}, length {length}; let it "
        f"depend on its arguments alone.",
    )


def _text(elements: list[dict[int, float]]) -> str:
    """Return elements as a list of sources, or of sums where there are any."""
    plain = all(len(element) == 1 and set(element.values()) == {1.0} for element in elements)
    return str([next(iter(element)) for element in elements] if plain else elements)


def _each_position(mode: PaddingMode, left: int, right: int, length: int, choice: Choice) -> None:
    """Left and right side are asked for apart, and a shard of a signal asks for few: a position's index is its own."""
    positions, width = _positions(left, right, length), max(left, right)
    together = _elements(_source(mode, positions.copy(), length, choice, width), positions.size)
    for position, element in zip(positions, together):
        alone = _elements(_source(mode, np.array([position]), length, choice, width), 1)
        require(
            alone == [element],
            f"source gives {_text([element])[1:-1]} for position {position} among {positions.tolist()} and {_text(alone)[1:-1]} alone, "
            f"length {length}; map every position by itself.",
        )


def _hand_padded(mode: PaddingMode, signal: list[float], left: int, right: int, choice: Choice) -> list[tuple[float, float]]:
    """Pad element by element, as the overflow rule's words say; with the sum of magnitudes that each element is made of."""
    arguments = mode.arguments(choice)
    values = [value_of(arguments, side) for side in SIDES]
    extra = 0
    if arguments.get("overflow") == "zero-extend" and mode.limit is not None:
        while mode.limit(len(signal) + extra) < max(left, right):
            extra += 1
    padded = []
    for position in range(-left, len(signal) + extra + right):
        value: Any = values[0] if position < 0 else values[1]
        longer = signal + [value] * extra
        if 0 <= position < len(longer):
            parts = {position: 1.0}
        else:
            width = left if position < 0 else right
            parts = _elements(_source(mode, np.array([position]), len(longer), choice, width), 1)[0]
        numbers = [share * (value if source < 0 else longer[source]) for source, share in parts.items()]
        padded.append((sum(numbers), sum(map(abs, numbers))))
    return padded[: len(padded) - extra]


def _values(mode: PaddingMode, left: int, right: int, length: int, choice: Choice) -> None:
    """A layer with this mode is the float64 reference of the signal padded by hand."""
    sizes = Sizes(2, 1, 1, length)
    with offered(mode) as name:
        policy = _policy(name, choice, Choice("explicit", left=left, right=right))
        if plan_of(policy, sizes) is None:  # the mode does not reach
            return
        signal = [float(number) for number in range(1, length + 1)]
        found = layer_of(policy, sizes)([signal])
    padded = _hand_padded(mode, signal, left, right, choice)
    ones = np.ones((1, 1, sizes.kernel))
    ideal, large = (reference.conv1d([[numbers]], ones) for numbers in map(list, zip(*padded)))
    bound = TWO_COMPUTATIONS * reference.tolerance("float64", ideal.terms + reference.SUM_ROUNDINGS, large.output)
    same = found.shape == ideal.output[0].shape and bool((np.abs(found - ideal.output[0]) <= bound[0]).all())
    require(
        same,
        f"a layer gives {found[0].tolist()}, the signal padded by hand {ideal.output[0, 0].tolist()}, for {choice}, left {left}, "
        f"right {right}, length {length}.",
    )


def _policy(name: str, choice: Choice, padding: Choice) -> Policy:
    return Policy("probe", bias=False, padding=padding, padding_mode=Choice(name, **dict(choice.params)))


def _sized_line(rule: Choice, sizes: Sizes, choice: Choice) -> str:
    kernel, stride, dilation, length = sizes
    return (
        f"from numpy import array; import convpolicy; from convpolicy import Choice; print(convpolicy.policy('torch').evolve("
        f"padding={rule!r}, padding_mode={choice!r}).plan({kernel}, {stride}, {dilation}, length={length}).sides)"
    )


def _probed(mode: PaddingMode, name: str, max_examples: int) -> None:
    rule = Choice("causal") if name == "causal" else Choice("full")
    with offered(mode) as offer:

        def check(sizes: Sizes, choice: Choice) -> None:
            PROPERTIES[name](_policy(offer, choice, rule), sizes)

        policy = _policy(offer, Choice(mode.name), rule)
        plans = [plan_of(policy, Sizes(2, 1, 1, length)) for length in range(1, 9)]
        require(
            any(plan is not None for plan in plans), f"declared {name}, but it refuses to pad by one element at every length."
        )
        smallest(check, max_examples, line=partial(_sized_line, rule), sizes=SIZES, choice=choices(mode))

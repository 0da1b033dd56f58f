"""Checks of a padding mode: its function maps each position to samples of the input, and its declared properties are true."""

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
NO_LIMIT = 2**31  # samples, more than any padding adds
GROWS = range(1, 65)  # input lengths over which a limit must grow


def checks(mode: PaddingMode, max_examples: int = MAX_EXAMPLES) -> list[Check]:
    """Return the checks of a padding mode, lowest rung first, with one for each property that it declares."""
    rows = [("names", "names", partial(check_names, mode))]
    if not mode.is_per_side:  # such a mode has no function
        rows += [
            ("signature", "signatures", partial(_signature, mode)),
            ("indices", "shapes and dtypes", partial(_each, mode, max_examples, _indices)),
            ("repeatable", "values", partial(_each, mode, max_examples, _repeatable)),
            ("each-position", "values", partial(_each, mode, max_examples, _each_position)),
            ("values", "values", partial(_each, mode, max_examples, _values)),
        ]
    if mode.limit is not None:
        rows.append(("limit", "shapes and dtypes", partial(_limit, mode)))
    rows += [(name, "values", partial(_probed, mode, name, max_examples)) for name in sorted(mode.declares)]
    return [Check(mode, *check) for check in rows]


def _each(mode: PaddingMode, max_examples: int, check: Any) -> None:
    smallest(partial(check, mode), max_examples, line=_line, left=PADS, right=PADS, length=LENGTHS, choice=choices(mode))


def _line(left: int, right: int, length: int, choice: Choice) -> str:
    return (
        f"from numpy import array; import convpolicy; from convpolicy import Choice; print(convpolicy.policy('torch').evolve("
        f"padding=({left}, {right}), padding_mode={choice!r}).plan(1, length={length}).sides)"
    )


def _keywords(mode: PaddingMode) -> list[str]:
    """Return the names of the keyword arguments of a mode's function."""
    return [*(name for name in mode.params if name not in RESERVED), *(["width"] if mode.needs_width else [])]


def _signature(mode: PaddingMode) -> None:
    check_signature("source", mode.source, ("positions", "length"), _keywords(mode))
    if mode.limit is not None:
        check_signature("limit", mode.limit, ("length",))


def _source(mode: PaddingMode, positions: Any, length: int, choice: Choice, width: int) -> Any:
    arguments = {name: value for name, value in mode.arguments(choice).items() if name not in RESERVED}
    return mode.source(positions, length, **arguments, **({"width": width} if mode.needs_width else {}))


def _terms(sources: Any) -> list[tuple[Any, Any]]:
    return sources if isinstance(sources, list) else [(1.0, sources)]


def _elements(sources: Any, count: int) -> list[dict[int, float]]:
    """Return, for each added sample, the coefficients by source index, without coefficients of 0."""
    elements: list[dict[int, float]] = []
    for place in range(count):
        element: dict[int, float] = {}
        for coefficient, index in _terms(sources):
            source, share = int(index[place]), float(np.broadcast_to(coefficient, (count,))[place])
            element[source] = element.get(source, 0.0) + share
        elements.append({source: share for source, share in element.items() if share})
    return elements


def _limit(mode: PaddingMode) -> None:
    assert mode.limit is not None
    limits = [mode.limit(length) for length in (0, *GROWS)]
    for length, limit in enumerate(limits):
        is_valid = isinstance(limit, (int, np.integer)) and not isinstance(limit, bool) and limit >= 0
        require(is_valid, f"limit must return an integer of 0 or more, got {limit!r} for length {length}.")
    for length in GROWS:
        require(
            limits[length] >= limits[length - 1],
            f"limit must not decrease with the length, got {limits[length - 1]} for length {length - 1} and {limits[length]} for {length}.",
        )
    require(
        limits[-1] > limits[1] or limits[1] >= NO_LIMIT,
        f"limit must grow with the length, got {limits[1]} for length {GROWS[0]} and for {GROWS[-1]}: overflow='zero-extend' would "
        f"extend the input endlessly; leave limit out if the mode is defined for every width.",
    )


def _positions(left: int, right: int, length: int) -> Any:
    return np.array([*range(-left, 0), *range(length, length + right)], dtype=np.int64)


def _indices(mode: PaddingMode, left: int, right: int, length: int, choice: Choice) -> None:
    """The indices are valid at any distance, also beyond the limit, which overflow='periodic' needs."""
    positions = _positions(left, right, length)
    original = positions.copy()
    sources = _source(mode, positions, length, choice, max(left, right))
    at = f"for positions {original.tolist()}, length {length}"
    require(np.array_equal(positions, original), f"source must not write into positions, {at}; work on a copy.")
    is_sum = isinstance(sources, list) and bool(sources) and all(isinstance(term, tuple) and len(term) == 2 for term in sources)
    require(
        is_sum or isinstance(sources, np.ndarray),
        f"source must return an array, or a list of (coefficient, indices), got {type(sources).__name__}, {at}.",
    )
    for coefficient, indices in _terms(sources):
        share = np.asarray(coefficient)
        require(
            share.dtype.kind in "iuf" and bool(np.isfinite(share).all()) and share.shape in ((), positions.shape),
            f"a coefficient must be a finite number, or an array of them of shape {positions.shape}, got {share.tolist()}, {at}.",
        )
        require(isinstance(indices, np.ndarray), f"source must return an array, got {type(indices).__name__}, {at}.")
        require(indices.dtype.kind in "iu", f"source must return integers, got dtype {indices.dtype}, {at}; round down with //.")
        require(indices.shape == positions.shape, f"source must return shape {positions.shape}, got {indices.shape}, {at}.")
        outside = indices[(indices < CONSTANT) | (indices >= length)]
        require(
            not outside.size,
            f"source must return indices in [0, {length}) or -1 for the constant, got {indices.tolist()}, {at}.",
        )


def _repeatable(mode: PaddingMode, left: int, right: int, length: int, choice: Choice) -> None:
    positions, width = _positions(left, right, length), max(left, right)
    first = _elements(_source(mode, positions.copy(), length, choice, width), positions.size)
    _source(mode, _positions(right + 1, left, length + 3), length + 3, choice, width + 1)
    again = _elements(_source(mode, positions.copy(), length, choice, width), positions.size)
    require(
        first == again,
        f"source returns {_text(first)} and then {_text(again)} for positions {positions.tolist()}, length {length}; let it "
        f"depend on its arguments only.",
    )


def _text(elements: list[dict[int, float]]) -> str:
    """Return elements as text: a list of indices or, if there are sums, of coefficients by index."""
    are_copies = all(len(element) == 1 and set(element.values()) == {1.0} for element in elements)
    return str([next(iter(element)) for element in elements] if are_copies else elements)


def _each_position(mode: PaddingMode, left: int, right: int, length: int, choice: Choice) -> None:
    """The source of a position does not depend on the other positions, because each side is computed separately."""
    positions, width = _positions(left, right, length), max(left, right)
    together = _elements(_source(mode, positions.copy(), length, choice, width), positions.size)
    for position, element in zip(positions, together):
        alone = _elements(_source(mode, np.array([position]), length, choice, width), 1)
        require(
            alone == [element],
            f"source returns {_text([element])[1:-1]} for position {position} among {positions.tolist()} and {_text(alone)[1:-1]} alone, "
            f"length {length}; map every position independently.",
        )


def _hand_padded(mode: PaddingMode, signal: list[float], left: int, right: int, choice: Choice) -> list[tuple[float, float]]:
    """Pad sample by sample, with the overflow rule, and return each sample with the sum of the magnitudes of its terms."""
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
    """A layer with this mode equals the float64 reference of the signal padded by hand."""
    sizes = Sizes(2, 1, 1, length)
    with offered(mode) as name:
        policy = _policy(name, choice, Choice("explicit", left=left, right=right))
        if plan_of(policy, sizes) is None:  # the mode cannot pad this much
            return
        signal = [float(number) for number in range(1, length + 1)]
        output = layer_of(policy, sizes)([signal])
    padded = _hand_padded(mode, signal, left, right, choice)
    ones = np.ones((1, 1, sizes.kernel))
    ideal, magnitudes = (reference.conv1d([[numbers]], ones) for numbers in map(list, zip(*padded)))
    bound = TWO_COMPUTATIONS * reference.tolerance("float64", ideal.terms + reference.SUM_ROUNDINGS, magnitudes.output)
    same = output.shape == ideal.output[0].shape and bool((np.abs(output - ideal.output[0]) <= bound[0]).all())
    require(
        same,
        f"a layer returns {output[0].tolist()}, and {ideal.output[0, 0].tolist()} is expected, for {choice}, left {left}, "
        f"right {right}, length {length}.",
    )


def _policy(name: str, choice: Choice, padding: Choice) -> Policy:
    return Policy("probe", bias=False, padding=padding, padding_mode=choice.evolve(name))


def _sized_line(rule: Choice, sizes: Sizes, choice: Choice) -> str:
    kernel, stride, dilation, length = sizes
    return (
        f"from numpy import array; import convpolicy; from convpolicy import Choice; print(convpolicy.policy('torch').evolve("
        f"padding={rule!r}, padding_mode={choice!r}).plan({kernel}, {stride}, {dilation}, length={length}).sides)"
    )


def _probed(mode: PaddingMode, name: str, max_examples: int) -> None:
    rule = Choice("causal") if name == "causal" else Choice("full")
    with offered(mode) as registered_name:

        def check(sizes: Sizes, choice: Choice) -> None:
            PROPERTIES[name](_policy(registered_name, choice, rule), sizes)

        policy = _policy(registered_name, Choice(mode.name), rule)
        plans = [plan_of(policy, Sizes(2, 1, 1, length)) for length in range(1, 9)]
        require(any(plan is not None for plan in plans), f"declared {name}, but it refuses to pad one sample at every length.")
        smallest(check, max_examples, line=partial(_sized_line, rule), sizes=SIZES, choice=choices(mode))

"""What a padding mode keeps: an index map, position by position, within the input, and every property it declares."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as some

from convpolicy import reference
from convpolicy.core.policy import Policy
from convpolicy.parts.choice import Choice
from convpolicy.parts.mode import PaddingMode
from convpolicy.parts.side import CONSTANT
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
    found = [
        ("names", "names", partial(check_names, mode)),
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
    smallest(partial(check, mode), max_examples, left=PADS, right=PADS, length=LENGTHS, choice=choices(mode))


def _signature(mode: PaddingMode) -> None:
    check_signature("source", mode.source, ("positions", "length"))
    if mode.limit is not None:
        check_signature("limit", mode.limit, ("length",))


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
    found = mode.source(positions, length)
    at = f"for positions {before.tolist()}, length {length}"
    require(np.array_equal(positions, before), f"source writes into the positions it is given, {at}; work on a copy.")
    require(isinstance(found, np.ndarray), f"source must give an array, got {type(found).__name__}, {at}.")
    require(found.dtype.kind in "iu", f"source must give integers, got dtype {found.dtype}, {at}; round down with //.")
    require(found.shape == positions.shape, f"source must give shape {positions.shape}, got {found.shape}, {at}.")
    outside = found[(found < CONSTANT) | (found >= length)]
    require(
        not outside.size,
        f"source must give indices in [0, {length}) or -1 for the constant, got {found.tolist()}, {at}.",
    )


def _repeatable(mode: PaddingMode, left: int, right: int, length: int, choice: Choice) -> None:
    positions = _positions(left, right, length)
    first = np.array(mode.source(positions.copy(), length))
    mode.source(_positions(right + 1, left, length + 3), length + 3)
    again = np.array(mode.source(positions.copy(), length))
    require(
        np.array_equal(first, again),
        f"source gives {first.tolist()} and then {again.tolist()} for positions {positions.tolist()}, length {length}; let it "
        f"depend on its arguments alone.",
    )


def _each_position(mode: PaddingMode, left: int, right: int, length: int, choice: Choice) -> None:
    """Left and right side are asked for apart, and a shard of a signal asks for few: a position's index is its own."""
    positions = _positions(left, right, length)
    together = np.array(mode.source(positions.copy(), length))
    for position, index in zip(positions, together):
        alone = int(mode.source(np.array([position]), length)[0])
        require(
            alone == index,
            f"source gives {index} for position {position} among {positions.tolist()} and {alone} alone, length {length}; map every "
            f"position by itself.",
        )


def _hand_padded(mode: PaddingMode, signal: list[float], left: int, right: int, choice: Choice) -> list[float]:
    """Pad element by element, as the overflow rule's words say."""
    arguments = mode.arguments(choice)
    value, extra = arguments.get("value", 0.0), 0
    if arguments.get("overflow") == "zero-extend" and mode.limit is not None:
        while mode.limit(len(signal) + extra) < max(left, right):
            extra += 1
    longer = signal + [value] * extra
    padded = []
    for position in range(-left, len(longer) + right):
        inside = 0 <= position < len(longer)
        index = position if inside else int(mode.source(np.array([position]), len(longer))[0])
        padded.append(value if index < 0 else longer[index])
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
    ideal = reference.conv1d([[padded]], np.ones((1, 1, sizes.kernel)))
    bound = TWO_COMPUTATIONS * reference.tolerance("float64", ideal.terms, ideal.magnitude)
    same = found.shape == ideal.output[0].shape and bool((np.abs(found - ideal.output[0]) <= bound[0]).all())
    require(
        same,
        f"a layer gives {found[0].tolist()}, the signal padded by hand {ideal.output[0, 0].tolist()}, for {choice}, left {left}, "
        f"right {right}, length {length}.",
    )


def _policy(name: str, choice: Choice, padding: Choice) -> Policy:
    return Policy("probe", bias=False, padding=padding, padding_mode=Choice(name, **dict(choice.params)))


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
        smallest(check, max_examples, sizes=SIZES, choice=choices(mode))

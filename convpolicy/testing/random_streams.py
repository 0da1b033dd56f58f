"""Checks of a random stream: the numbers depend on the seed only, and have the requested distribution."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as some
from numpy.typing import NDArray

from convpolicy import reference
from convpolicy.bits.float32 import rounded
from convpolicy.core.initial_values import ROLES
from convpolicy.parts.choice import Choice
from convpolicy.parts.stream import REDRAWS, RandomStream, Stream
from convpolicy.registry import current
from convpolicy.testing.backend_cases import numpy_dtype
from convpolicy.testing.common import check_names, check_signature, choices, refuses, require, smallest
from convpolicy.testing.ladder import Check
from convpolicy.testing.random_states import twice
from convpolicy.testing.stream_cases import DRAWS, UNIFORM, Draw

MAX_EXAMPLES = 40
SHAPES = some.lists(some.integers(0, 5), min_size=1, max_size=3).map(tuple)
TENSOR = (4, 3, 5)  # shape of a layer's weight
MANY = 4096  # numbers drawn to estimate mean and standard deviation
SIGMAS = 6  # allowed difference in standard errors
METHODS = {  # arguments of each method between shape and dtype
    "uniform": ("low", "high"),
    "normal": ("mean", "std"),
    "truncated_normal": ("mean", "std", "lower", "upper"),
    "scaled": ("fans", "fan", "gain", "distribution"),
}
SEEDS = (
    0,
    1,
    42,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**63,
    2**64 - 1,
    2**64,
    -1,
    -(2**63) - 1,
    True,
    0.5,
    math.nan,
    "0",
    None,
    (),
)


def checks(part: RandomStream, max_examples: int = MAX_EXAMPLES) -> list[Check]:
    """Return the checks of a random stream, lowest rung first."""
    rows: list[tuple[str, str, Any]] = [
        ("names", "names", partial(check_names, part)),
        ("signature", "signatures", partial(_signature, part)),
        ("shapes", "shapes and dtypes", partial(_each, part, max_examples, _shapes)),
        ("accepts", "shapes and dtypes", partial(_accepts, part)),
        ("refusals", "shapes and dtypes", partial(_refusals, part)),
        ("interval", "values", partial(_intervals, part, max_examples)),
        ("repeatable", "values", partial(_each, part, max_examples, _repeatable)),
        ("seeds", "values", partial(_seeds, part, max_examples)),
        ("layers", "values", partial(_layers, part)),
        ("order", "values", partial(_order, part)),
        ("distribution", "values", partial(_distribution, part)),
    ]
    if part.constructed:
        rows.insert(1, ("constructed", "names", partial(_constructed, part)))
    return [Check(part, *check) for check in rows]


def _each(part: RandomStream, max_examples: int, check: Any) -> None:
    def line(shape: tuple[int, ...], draw: Draw, dtype: str, choice: Choice) -> str:
        parameters = "".join(f", {name}={value!r}" for name, value in choice.params)
        policy = f"convpolicy.policy('torch').evolve(random_stream=convpolicy.Choice({part.name!r}{parameters}))"
        return (
            f"import convpolicy; from convpolicy.arithmetic import Fans; "
            f"print({policy}.start_stream(0).{draw.method}({shape}, *{draw.arguments}, {dtype!r}))"
        )

    smallest(
        partial(check, part), max_examples, line=line, shape=SHAPES, draw=some.sampled_from(DRAWS),
        dtype=some.sampled_from(_dtypes(part)), choice=choices(part),
    )  # fmt: skip


def _started(part: RandomStream, seed: Any = 0, choice: Choice | None = None) -> Stream:
    """Return the stream after a seed; every framework accepts the default seed."""
    return part.seeded(seed, part.arguments(choice or Choice(part.name)))


def _dtypes(part: RandomStream) -> tuple[str, ...]:
    return _started(part).dtypes


def _about(shape: Any, draw: Draw, dtype: str, choice: Choice | None = None) -> str:
    return f"for {draw} of shape {shape}, {dtype}" + ("" if choice is None or not choice.params else f", {choice}")


# -- names and signatures -------------------------------------------------------------------------------------------------


def _constructed(part: RandomStream) -> None:
    for role, choice in part.constructed.items():
        require(role in ROLES, f"constructed must have the keys {' and '.join(ROLES)}, got {role!r}.")
        initializer = current().get("initializer", choice.name)
        initializer.arguments(choice)  # raises for a parameter that it does not have


def _signature(part: RandomStream) -> None:
    check_signature("start", part.start, ("seed",), [name for name in part.params if name != REDRAWS or not part.constructed])
    stream = _started(part)
    require(isinstance(stream, Stream), f"start must return a Stream, got {type(stream).__name__}; subclass convpolicy.Stream.")
    check_signature("begin", stream.begin, ("role",))
    for method, arguments in METHODS.items():
        check_signature(method, getattr(stream, method), ("shape", *arguments, "dtype"))
    dtypes, known = stream.dtypes, reference.UNIT_ROUNDOFF
    require(isinstance(dtypes, tuple) and bool(dtypes), f"dtypes must be a tuple of names, got {dtypes!r}.")
    for dtype in dtypes:
        require(dtype in known, f"dtypes must be of {', '.join(known)}, got {dtype!r}.")


# -- shapes and dtypes ----------------------------------------------------------------------------------------------------


def _shapes(part: RandomStream, shape: tuple[int, ...], draw: Draw, dtype: str, choice: Choice) -> None:
    drawn, about = draw.of(_started(part, 0, choice), shape, dtype), _about(shape, draw, dtype, choice)
    if drawn is None:
        return
    require(isinstance(drawn, np.ndarray), f"it must draw a NumPy array, got {type(drawn).__name__}, {about}.")
    require(drawn.shape == shape, f"it must draw shape {shape}, got {drawn.shape}, {about}.")
    expected = numpy_dtype(dtype)
    require(drawn.dtype == np.dtype(expected), f"it must draw {expected}, got {drawn.dtype}, {about}.")
    is_exact = dtype != "bfloat16" or np.array_equal(drawn, rounded(drawn, dtype), equal_nan=True)
    require(is_exact, f"it must draw numbers that bfloat16 can represent, got others, {about}.")


def _accepts(part: RandomStream) -> None:
    for dtype in _dtypes(part):
        accepted = [draw for draw in DRAWS if draw.of(_started(part), (3,), dtype) is not None]
        require(bool(accepted), f"it refuses every distribution in {dtype}, which is in its dtypes; remove it from dtypes.")


def _refusals(part: RandomStream) -> None:
    """A dtype that is not in its dtypes is refused, and every seed is accepted or refused with a `ConvPolicyError`."""
    stream = _started(part)
    for dtype in (*(name for name in reference.UNIT_ROUNDOFF if name not in stream.dtypes), "int8"):
        drawn = UNIFORM.of(stream, (3,), dtype)
        require(drawn is None, f"a dtype that is not in its dtypes must be refused, got numbers for {dtype!r}; call check_dtype.")
    for seed in SEEDS:
        started = refuses(partial(_started, part, seed))  # raises a PluginError if `start` fails
        drawn = None if started is None else UNIFORM.of(started, (3,))
        require(
            drawn is None or bool(np.isfinite(drawn).all()),
            f"a seed must be refused, or result in finite numbers, got {drawn} after seed {seed!r}.",
        )


# -- values ---------------------------------------------------------------------------------------------------------------


def _intervals(part: RandomStream, max_examples: int) -> None:
    for draw in DRAWS:
        _interval(part, (MANY,), draw, "float32", Choice(part.name))
    _each(part, max_examples, _interval)


def _interval(part: RandomStream, shape: tuple[int, ...], draw: Draw, dtype: str, choice: Choice) -> None:
    drawn, about = draw.of(_started(part, 0, choice), shape, dtype), _about(shape, draw, dtype, choice)
    if drawn is None:
        return
    require(bool(np.isfinite(drawn).all()), f"it draws NaN or infinity {about}.")
    low, high = draw.bounds
    outside = drawn[(drawn < low) | (drawn > high)]
    require(not outside.size, f"it must draw numbers from {low} to {high}, got {outside[:1]}, {about}.")


def _repeatable(part: RandomStream, shape: tuple[int, ...], draw: Draw, dtype: str, choice: Choice) -> None:
    """The numbers depend on the seed only, and the global random states do not change."""
    about = _about(shape, draw, dtype, choice)
    one, two = twice(lambda: draw.of(_started(part, 7, choice), shape, dtype), about, "keep a generator in the stream")
    if one is None or two is None:
        return
    require(
        one.tobytes() == two.tobytes(), f"it draws other numbers after the same seed {about}; let them depend on the seed only."
    )
    require(not np.shares_memory(one, two) or not one.size, f"it returns the same array twice {about}; return a new one.")


def _seeds(part: RandomStream, max_examples: int) -> None:
    smallest(partial(_seed, part), max_examples, seed=some.integers(0, 2**31 - 2), step=some.integers(1, 2))


def _seed(part: RandomStream, seed: int, step: int) -> None:
    one, two = (refuses(partial(_seeded_layer, part, number)) for number in (seed, seed + step))
    require(
        not one or not two or one[0].tobytes() != two[0].tobytes(),
        f"it draws the same numbers after seed {seed} and after seed {seed + step}; draw different numbers for every seed.",
    )


def _seeded_layer(part: RandomStream, seed: int) -> list[NDArray[Any]]:
    return _layer(_started(part, seed))


def _layer(stream: Stream) -> list[NDArray[Any]]:
    """Return the weight and the bias of one layer, without those that the stream refuses to draw."""
    drawn = []
    for role in ROLES:
        stream.begin(role)
        values = next((values for draw in DRAWS if (values := draw.of(stream, TENSOR)) is not None), None)
        drawn += [] if values is None else [values]
    return drawn


def _layers(part: RandomStream) -> None:
    """Tensors drawn one after another differ, and two streams are independent."""
    alone = [_tensors(_started(part, seed)) for seed in (0, 1)]
    streams = [_started(part, seed) for seed in (0, 1)]
    side_by_side: list[list[NDArray[Any]]] = [[], []]
    for _layer_number in range(2):
        for stream, tensors in zip(streams, side_by_side):
            tensors.extend(refuses(partial(_layer, stream)) or [])
    for number, (one, two) in enumerate(zip(alone, side_by_side)):
        same = len(one) == len(two) and all(a.tobytes() == b.tobytes() for a, b in zip(one, two))
        require(
            same,
            f"it draws other numbers after seed {number} when a second stream is in use; keep the state in the stream object.",
        )
    for tensors in alone:
        bits = [tensor.tobytes() for tensor in tensors]
        repeated = next((at for at, own in enumerate(bits) if own in bits[:at]), None)
        require(
            repeated is None,
            f"it draws the same numbers for tensor {repeated} as for an earlier one; continue after the previous tensor.",
        )


def _tensors(stream: Stream) -> list[NDArray[Any]]:
    """Return the tensors of two layers drawn one after the other, or of one if the stream refuses the second."""
    first = _layer(stream)
    return [*first, *(refuses(partial(_layer, stream)) or [])]


def _order(part: RandomStream) -> None:
    """Elements are drawn in C order, so that the shape does not change the numbers."""
    flat, shaped = (UNIFORM.of(_started(part), shape) for shape in ((math.prod(TENSOR),), TENSOR))
    require(
        flat is None or shaped is None or flat.tobytes() == shaped.tobytes(),
        f"it must draw element by element in C order, but {UNIFORM} of shape {TENSOR} has other numbers than of {math.prod(TENSOR)}.",
    )


def _distribution(part: RandomStream) -> None:
    """Mean and standard deviation of many numbers are the requested ones, up to statistical error."""
    for draw in DRAWS:
        drawn = draw.of(_started(part), (MANY,))
        if drawn is None:
            continue
        mean, std = draw.moments
        for name, estimate, expected, error in (
            ("mean", float(drawn.mean(dtype=np.float64)), mean, std / math.sqrt(MANY)),
            ("standard deviation", float(drawn.std(dtype=np.float64)), std, std / math.sqrt(2 * MANY)),
        ):
            require(
                abs(estimate - expected) <= SIGMAS * error,
                f"{draw} must have the {name} {expected:.4g}, got {estimate:.4g} over {MANY} numbers.",
            )

"""Checks of an initializer: it draws new, finite numbers of the right shape, and only from the stream that it gets."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as some
from numpy.typing import NDArray

from convpolicy.core.initial_values import ROLES
from convpolicy.core.spec import ConvSpec
from convpolicy.frameworks.numpy.stream import NumpyStream
from convpolicy.parts.choice import Choice
from convpolicy.parts.initializer import Initializer, Target
from convpolicy.parts.layout import Layout
from convpolicy.parts.stream import Draws
from convpolicy.registry import current
from convpolicy.testing.common import check_names, check_signature, choices, refuses, require, smallest
from convpolicy.testing.ladder import Check
from convpolicy.testing.random_states import twice

MAX_EXAMPLES = 50
SPECS = some.builds(
    lambda groups, inputs, outputs, kernel: ConvSpec(groups * inputs, groups * outputs, kernel, 1, 1, groups),
    some.integers(1, 3), some.integers(1, 3), some.integers(1, 3), some.integers(1, 5),
)  # fmt: skip


def checks(initializer: Initializer, max_examples: int = MAX_EXAMPLES) -> list[Check]:
    """Return the checks of an initializer, lowest rung first."""
    rows = [
        ("names", "names", partial(check_names, initializer)),
        ("signature", "signatures", partial(_signature, initializer)),
        ("shapes", "shapes and dtypes", partial(_each, initializer, max_examples, _shapes)),
        ("accepts", "shapes and dtypes", partial(_accepts, initializer)),
        ("finite", "values", partial(_each, initializer, max_examples, _finite)),
        ("repeatable", "values", partial(_each, initializer, max_examples, _repeatable)),
        ("fresh", "values", partial(_each, initializer, max_examples, _fresh)),
    ]
    return [Check(initializer, *check) for check in rows]


def _each(initializer: Initializer, max_examples: int, check: Any) -> None:
    smallest(partial(check, initializer), max_examples, spec=SPECS, role=some.sampled_from(ROLES), choice=choices(initializer))


def _signature(initializer: Initializer) -> None:
    check_signature("draw", initializer.draw, ("draws", "target"), initializer.params)
    if initializer.check is not None:
        check_signature("check", initializer.check, ("target",), initializer.params)
    if initializer.distribution is not None:
        check_signature("distribution", initializer.distribution, (), initializer.params)


def _filled(initializer: Initializer, spec: ConvSpec, role: str, choice: Choice, seed: int = 0) -> NDArray[Any] | None:
    """Return the initial values in float64, or None if the initializer refuses; array parameters get the target's shape."""
    shape = spec.weight_shape if role == "weight" else (spec.out_channels,)
    target = Target(shape, spec.fans, spec.groups)
    array_params = {
        name: np.arange(float(np.prod(shape))).reshape(shape)
        for name, param in initializer.params.items()
        if param.kind == "array" and param.default is None
    }
    arguments = initializer.arguments(choice.evolve(**array_params))
    layout: Layout = current().get("layout", "OIW")
    draws = Draws(NumpyStream(seed), layout, spec.groups, "float64")
    drawn: NDArray[Any] | None = refuses(lambda: initializer.fill(draws, target, arguments))
    return drawn


def _about(spec: ConvSpec, role: str, choice: Choice) -> str:
    shape = spec.weight_shape if role == "weight" else (spec.out_channels,)
    return f"for a {role} of shape {shape}, groups {spec.groups}, {choice}"


def _shapes(initializer: Initializer, spec: ConvSpec, role: str, choice: Choice) -> None:
    _filled(initializer, spec, role, choice)  # a wrong shape or dtype raises a PluginError


def _accepts(initializer: Initializer) -> None:
    tried = [ConvSpec(channels, channels, kernel, 1, 1, 1) for channels in (1, 2, 4) for kernel in (1, 3)]
    results = [_filled(initializer, spec, role, Choice(initializer.name)) for spec in tried for role in ROLES]
    require(
        any(values is not None for values in results),
        "it refuses every weight and every bias; raise ValueError only for shapes that it cannot fill.",
    )


def _finite(initializer: Initializer, spec: ConvSpec, role: str, choice: Choice) -> None:
    values = _filled(initializer, spec, role, choice)
    require(
        values is None or bool(np.isfinite(values).all()),
        f"it draws a NaN or an infinity {_about(spec, role, choice)}.",
    )


def _repeatable(initializer: Initializer, spec: ConvSpec, role: str, choice: Choice) -> None:
    """The numbers depend on ``draws`` only, and the global random states do not change."""
    about = _about(spec, role, choice)
    one, two = twice(lambda: _filled(initializer, spec, role, choice), about, "draw from draws")
    require(
        one is None or two is None or one.tobytes() == two.tobytes(),
        f"it draws other numbers after the same seed {about}; draw only from draws.",
    )


def _fresh(initializer: Initializer, spec: ConvSpec, role: str, choice: Choice) -> None:
    """A new array is returned each time, so that training one layer does not change the next one."""
    one = _filled(initializer, spec, role, choice)
    if one is None:
        return
    original = one.copy()
    if one.flags.writeable:
        one += 1
    two = _filled(initializer, spec, role, choice)
    require(
        two is not None and two.tobytes() == original.tobytes() and not np.shares_memory(one, two),
        f"it returns the same array twice {_about(spec, role, choice)}, so that two layers share their numbers; return a new one.",
    )

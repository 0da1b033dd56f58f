"""What differs in a pair of modules: the smallest set of settings and arrays that makes one compute what the other computes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs
import numpy as np

from convpolicy.bits.float32 import rounded
from convpolicy.diagnosis.models.comparing import Comparison, apart, fitted, follows
from convpolicy.diagnosis.models.differing_convolutions import differences
from convpolicy.diagnosis.models.formulas import FUNCTIONS, SLOPES, Result
from convpolicy.diagnosis.models.units import Unit
from convpolicy.diagnosis.models.values import difference
from convpolicy.layers.capture import Capture
from convpolicy.models.description import DEFAULTS, Description

Change = tuple[str, Any, Any]  # setting or role, value of a, value of b
LATENT = {"momentum": "matters in training only", "rate": "matters in training only"}
HIDDEN = {"eps": "changes this output by no more than rounding"}  # where nothing else differs
EPS = (1e-3, 1e-5, 1e-6, 1e-12, 1e-8, 1e-7, 1e-4, 0.0)
MOST_TOGETHER = 3


@attrs.frozen
class ModelCause:
    """One thing in which two modules differ.

    Attributes:
        path_a, path_b: paths of the modules; empty where a model has none.
        kind: kind of module, e.g. ``"batch norm"``.
        aspect: setting or array that differs, e.g. ``"eps"`` or ``"weight"``.
        text: what differs, as a sentence.
        fix: line of code that changes ``b``, here called ``model``; empty if there is none. ``diagnosis`` is the answer of `why`.
        changed: the convolution of ``b`` after the change, or None.
    """

    path_a: str
    path_b: str
    kind: str
    aspect: str
    text: str
    fix: str = ""
    changed: Capture | None = attrs.field(default=None, eq=False, repr=False)


def causes(found: Comparison) -> tuple[ModelCause, ...]:
    """Return what differs in a pair whose outputs differ by more than rounding."""
    return tuple(_causes(found)) or (_cause(found, "output", _unexplained(found)),)


def _unexplained(found: Comparison) -> str:
    if found.problem:
        return f"b's module cannot take a's input: {found.problem}"
    for name, unit, follow in zip("ab", (found.a, found.b), found.follows, strict=True):
        if follow is False:
            return f"{name}'s module {unit.path!r} does not compute what its attributes describe"
    return "the outputs differ; convpolicy knows no cause"


def _cause(found: Comparison, aspect: str, text: str, value: Any = None) -> ModelCause:
    kind = found.b.main.description
    reader, main = found.b.reader, found.b.main
    can_fix = reader.fixes_functions or not main.function
    fix = reader.fix(main.path, kind.kind, aspect, value) if kind is not None and can_fix else ""
    return ModelCause(found.a.path, found.b.path, found.b.title, aspect, text, fix)


def _causes(found: Comparison) -> Iterator[ModelCause]:
    a, b = found.a.main.description, found.b.main.description
    if a is None and b is not None and not found.problem:
        a = _reproducing(found, b)
    if a is None or b is None:
        return
    if a.kind != b.kind:
        yield _cause(found, "kind", f"a has {a.title}, b has {b.title}")
        return
    if b.kind == "convolution":
        yield from _of_convolutions(found, a, b)
        return
    if b.kind == "dropout":
        for name, description in (("a", a), ("b", b)):
            if description.settings["active"]:
                text = f"dropout is on in {name}, with rate {description.settings['rate']:g}: the model is in training mode"
                cause = _cause(found, "active", text, value=False)
                yield cause if name == "b" else attrs.evolve(cause, fix="")  # only b is changed
        return
    a, b = _as_computed(found, a, b)
    reference = _in_axes_of_b(found, a)
    reference = _narrowed(reference, found.b.dtype) if found.a.dtype != found.b.dtype else reference
    a = _narrowed(a, found.b.dtype) if found.a.dtype != found.b.dtype else a
    changes = list(_changes(reference, b))
    for change in _smallest(found, a, b, changes):
        yield _change(found, change)


def _in_axes_of_b(found: Comparison, a: Description) -> Description:
    """Return the description of ``a`` with its axis, and the columns of a weight that is applied to flattened data, in the axes of ``b``."""
    if "axis" in a.settings:
        return attrs.evolve(a, settings={**a.settings, "axis": _axis_of_b(found, a.settings["axis"])})
    if found.axes.name != "flattened" or a.kind != "linear":
        return a
    return attrs.evolve(a, arrays={**a.arrays, "weight": found.axes.to_b(a.arrays["weight"])})


def _axis_of_b(found: Comparison, axis: int) -> int:
    """Return the axis of ``b``'s data that is an axis of ``a``'s, counted from the end as ``b`` counts it."""
    sizes = tuple(range(2, 2 + found.a.inputs[0].ndim))
    if found.axes.name == "moved":
        axis = found.axes.to_b(np.empty(sizes)).shape.index(sizes[axis])
    own = found.b.main.description
    assert own is not None
    other = own.settings.get("axis", -1)
    return int(other if (axis - other) % len(sizes) == 0 else axis)


def dtype(found: Comparison) -> ModelCause | None:
    """Return the cause that the modules of a pair compute in other dtypes, or None."""
    if found.a.dtype == found.b.dtype:
        return None
    return _cause(found, "dtype", f"a computes in {found.a.dtype}, b in {found.b.dtype}", value=found.a.dtype)


def _of_convolutions(found: Comparison, a: Description, b: Description) -> Iterator[ModelCause]:
    """Return what differs in two convolutions, with the line that replaces that of ``b``."""
    main, reader = found.b.main, found.b.reader
    for aspect, text, changed in differences(found, a, b):
        cause = attrs.evolve(_cause(found, aspect, text), changed=changed)
        if changed is not None and not main.function:
            code = f"diagnosis.changed[{main.path!r}].build({changed.backend!r})"
            cause = attrs.evolve(cause, fix=reader.replacement(main.path, code))
        yield cause


def _narrowed(a: Description, dtype: str) -> Description:
    """Return a description with its arrays rounded to a dtype."""
    return attrs.evolve(a, arrays={role: np.asarray(rounded(array, dtype), np.float32) for role, array in a.arrays.items()})


def _changes(a: Description, b: Description) -> Iterator[Change]:
    """Yield the settings and arrays in which two descriptions differ, without those that matter in training only."""
    for name in dict.fromkeys((*a.settings, *b.settings)):
        one, other = (description.settings.get(name, DEFAULTS.get(name)) for description in (a, b))
        if name in LATENT or one == other:
            continue
        if b.kind == "activation" and name in ("slope", "axis") and a.settings["function"] != b.settings["function"]:
            continue
        yield name, one, other
    for role in dict.fromkeys((*a.arrays, *b.arrays)):
        if difference(role, a.arrays.get(role), b.arrays.get(role)):
            yield role, a.arrays.get(role), b.arrays.get(role)


def latent(found: Comparison) -> tuple[tuple[str, str], ...]:
    """Return the path of a module and how settings differ that do not change this output."""
    a, b = found.a.main.description, found.b.main.description
    if a is None or b is None or a.kind != b.kind:
        return ()
    return tuple(
        (found.b.path, f"{name} is {_number(b.settings[name])} in b and {_number(a.settings[name])} in a; it {why}")
        for name, why in {**LATENT, **(HIDDEN if found.ok else {})}.items()
        if name in a.settings and name in b.settings and not _close(a.settings[name], b.settings[name])
    )


def _close(a: Any, b: Any) -> bool:
    return a == b or (isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, rel_tol=1e-5))


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _change(found: Comparison, change: Change) -> ModelCause:
    name, a, b = change
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        cause = _cause(found, name, f"{name}: {difference(name, a, b)}")
        return attrs.evolve(cause, fix="") if a is None or b is None else cause  # no values can be copied
    texts = (_number(b), _number(a)) if _number(a) != _number(b) else (repr(b), repr(a))
    axes = ", in the axes of b," if name == "axis" and found.axes.name == "moved" else ""
    return _cause(found, name, f"{name} is {texts[0]} in b and{axes} {texts[1]} in a", value=a)


def _smallest(found: Comparison, a: Description, b: Description, changes: list[Change]) -> tuple[Change, ...]:
    """Return the smallest set of changes of ``b`` after which it computes what ``a`` computes; all of them if no set does."""
    for size in range(1, min(len(changes), MOST_TOGETHER) + 1):
        fitting = []
        for chosen in itertools.combinations(changes, size):
            distance = _distance(found, a, _changed(b, chosen))
            if distance is not None:
                fitting.append((distance, chosen))
        if fitting:
            return min(fitting, key=lambda pair: pair[0])[1]
    return tuple(changes)


def _changed(b: Description, changes: Iterable[Change]) -> Description:
    settings, arrays = dict(b.settings), dict(b.arrays)
    for name, value, other in changes:
        if isinstance(value, np.ndarray) or isinstance(other, np.ndarray):
            arrays.pop(name, None)
            if value is not None:
                arrays[name] = value
        elif value is None:
            settings.pop(name, None)
        else:
            settings[name] = value
    return attrs.evolve(b, settings=settings, arrays=arrays)


def _distance(found: Comparison, a: Description, b: Description) -> float | None:
    """Return by how much ``b`` misses ``a``'s output; None if by more than rounding."""
    result = _result(found.b, b, found)
    target = _result(found.a, a, None)
    assert found.a.output is not None
    if result is None:
        return None
    if target is not None and follows(target, found.a.output, found.a.dtype):
        distance = apart(target.values, result.values)
        rounding = (apart(target.values, found.a.output) or 0.0) * 4
        return distance if distance is not None and distance <= rounding else None
    return apart(found.a.output, result.values) if follows(result, found.a.output, found.a.dtype) else None


def _result(unit: Unit, description: Description, found: Comparison | None) -> Result | None:
    """Return what a unit computes with another description of its main call, in the axes of ``a``."""
    changes: Mapping[str, Description] = {unit.main.path: description}
    inputs = unit.inputs if found is None else found.input
    result = unit.computed(inputs, changes)
    if result is None or found is None or found.a.output is None:
        return result
    values, magnitude = (fitted(found.axes.to_a(part), found.a.output) for part in (result.values, result.magnitude))
    return None if values is None or magnitude is None else attrs.evolve(result, values=values, magnitude=magnitude)


def _as_computed(found: Comparison, a: Description, b: Description) -> tuple[Description, Description]:
    """Replace a description that its module does not follow by one that it follows, if there is one."""
    described = [a, b]
    for number, unit in enumerate((found.a, found.b)):
        if found.follows[number] is not False:
            continue
        output = found.a.output if number == 0 else found.output
        assert output is not None
        for other in _variants(described[number]):
            result = _result(unit, other, found if number else None)
            if result is not None and follows(result, output, unit.dtype):
                described[number] = other
                break
    return described[0], described[1]


def _reproducing(found: Comparison, b: Description) -> Description | None:
    """Return what computes the output of a module that is not known: ``b`` with one other setting, if that does."""
    assert found.a.output is not None
    for other in _variants(b):
        result = _result(found.b, other, found)
        if result is not None and follows(result, found.a.output, found.a.dtype):
            return other
    return None


def _variants(description: Description) -> Iterator[Description]:
    """Yield descriptions that differ in one setting, with the values that frameworks have."""
    settings = description.settings
    values: dict[str, tuple[Any, ...]] = {}
    if "eps" in settings:
        values["eps"] = EPS
    for name in ("batch_statistics", "ceil_mode", "count_padding", "align_corners"):
        if name in settings:
            values[name] = (not settings[name],)
    if description.kind == "activation":
        values["function"] = tuple(FUNCTIONS)
        values["slope"] = SLOPES.get(settings["function"], ())
    for name, candidates in values.items():
        for value in candidates:
            yield attrs.evolve(description, settings={**settings, name: value})

"""`why_models`: find the modules in which two models differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convpolicy.diagnosis.models.causes import ModelCause, causes, dtype, latent
from convpolicy.diagnosis.models.comparing import ROUNDINGS, Comparison, apart, largest, units
from convpolicy.diagnosis.models.matching import matched
from convpolicy.diagnosis.models.named import compared, record_named
from convpolicy.diagnosis.models.report import EQUAL, ROUNDED, ModelDiagnosis, ModelRow
from convpolicy.diagnosis.models.units import Unit
from convpolicy.diagnosis.report import counted
from convpolicy.errors import ConvPolicyError, InvalidTypeError, InvalidValueError, shown
from convpolicy.models.description import NEUTRAL
from convpolicy.models.reader import Reader
from convpolicy.models.readers import reader_of, reading
from convpolicy.models.recording import Recording, record
from convpolicy.reference import UNIT_ROUNDOFF

GROWTH = 64.0  # times by which rounding may grow from one module to the next, relative to the largest value
SMALLEST = 1e-6  # relative difference below which nothing is said to arise between modules


def why_models(
    a: Any,
    b: Any,
    x: Any,
    *,
    names: Mapping[str, str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> ModelDiagnosis:
    """Explain why two models give different outputs; see `convpolicy.why`."""
    names = _names(names)
    if reader_of(a) is None and callable(a):
        recordings = _recorded_with_function(a, _reader("b", b), x, progress)
        rows = compared(recordings, names)
        return _answer(rows, recordings, rows[-1].total)
    recordings = _recorded((_reader("a", a), _reader("b", b)), x, progress)
    pairs = matched(recordings[0].leaves(), recordings[1].leaves(), names)
    if not any(one is not None and other is not None for one, other in pairs):
        raise InvalidValueError(
            "a and b must have modules in common, got none of the same kind; pass names={path in a: path in b}, or two models of the "
            "same network."
        )
    found = units(pairs, recordings)
    difference = apart(recordings[0].output, _like(recordings, [item for item in found if isinstance(item, Comparison)][-1]))
    return _answer(found, recordings, difference)


def _names(names: Any) -> Mapping[str, str]:
    if names is None:
        return {}
    if not isinstance(names, Mapping) or not all(isinstance(path, str) for pair in names.items() for path in pair):
        raise InvalidTypeError(
            f"names must be a dict from path in a to path in b, got {shown(names)}; pass for example {{'conv': 'conv1'}}."
        )
    return names


def _reader(name: str, model: Any) -> Reader:
    reader = reader_of(model)
    if reader is None and name == "b" and callable(model):
        raise InvalidTypeError("b must be a model, got a function; pass the function as a and the model as b.")
    if reader is None:
        kind = type(model)
        raise InvalidTypeError(
            f"{name} must be a model of one of the backends {', '.join(reading())}, got an object of class {kind.__module__}."
            f"{kind.__qualname__}; pass the model object."
        )
    return reader


# -- running --------------------------------------------------------------------------------------------------------------


def _recorded(readers: tuple[Reader, Reader], x: Any, progress: Callable[[str], None] | None) -> tuple[Recording, Recording]:
    """Run both models; of several forms of the input the first one that a model accepts."""
    if isinstance(x, (tuple, list)) and len(x) == 2:
        pair = [_arrays(item) for item in x]
        return record("a", readers[0], pair[0], progress), record("b", readers[1], pair[1], progress)
    data = _arrays(x)
    return _run("a", readers[0], data, progress), _run("b", readers[1], data, progress)


def _recorded_with_function(
    function: Any, reader: Reader, x: Any, progress: Callable[[str], None] | None
) -> tuple[Recording, Recording]:
    pair = [_arrays(item) for item in x] if isinstance(x, (tuple, list)) and len(x) == 2 else None
    one = record_named(function, pair[0] if pair else _arrays(x), reader)
    return one, record("b", reader, pair[1], progress) if pair else _run("b", reader, _arrays(x), progress)


def _arrays(x: Any) -> Any:
    if isinstance(x, Mapping):
        return {name: _array(item) for name, item in x.items()}
    return _array(x)


def _array(x: Any) -> NDArray[Any]:
    array = np.asarray(x)
    if array.dtype.kind not in "fiub" or not array.size:
        raise InvalidTypeError(
            f"x must be an array of real numbers with elements, got dtype {array.dtype} and shape {array.shape}; pass a NumPy array."
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InvalidValueError(
            f"x must contain finite numbers only, got {int((~np.isfinite(array)).sum())} others; replace them."
        )
    return array


def _run(name: str, reader: Reader, data: Any, progress: Callable[[str], None] | None) -> Recording:
    """Run a model whose channels are on the last axis with the channels moved there, and as passed if it then fails."""
    moving = not isinstance(data, Mapping) and reader.channels == -1 and data.ndim > 2 and data.dtype.kind == "f"
    if not moving:
        return record(name, reader, data, progress)
    try:
        recording = record(name, reader, np.moveaxis(data, 1, -1), progress)
    except ConvPolicyError as error:
        try:
            return record(name, reader, data, progress)
        except ConvPolicyError:
            raise error from None
    if any(call.description is not None and call.description.axis is not None for call in recording.leaves()):
        return recording
    try:
        return record(name, reader, data, progress)
    except ConvPolicyError:
        return recording


# -- reading the comparisons ----------------------------------------------------------------------------------------------


def _answer(
    pairs: Sequence[Comparison | Unit], recordings: tuple[Recording, Recording], difference: float | None
) -> ModelDiagnosis:
    rows: list[ModelRow] = []
    found: list[ModelCause] = []
    unseen: dict[str, list[str]] = {}  # settings that do not change this output -> paths
    noise = SMALLEST
    waiting: list[ModelCause] = []  # modules without a partner since the last pair
    for item in pairs:
        if isinstance(item, Unit):
            side = "ab"[item.reader is recordings[1].reader]
            rows.append(_alone(item, side))
            if not _neutral(item):
                waiting.append(_missing(item, side))
            continue
        noise = max(noise, *(ROUNDINGS * UNIT_ROUNDOFF.get(unit.dtype, 0.0) for unit in (item.a, item.b)))
        row, jump = _row(item, noise)
        if jump and waiting:
            found += waiting
        elif jump and item.ok:
            row = ModelRow(row.path_a, row.path_b, row.kind, row.own, row.inherited, "unseen")
            found.append(_unseen(item))
        waiting = []
        rows.append(row)
        if (other := dtype(item)) is not None and not any(cause.aspect == other.aspect for cause in found):
            found.append(other)
        if not item.ok:
            found += causes(item)
        for path, text in latent(item):
            unseen.setdefault(text, []).append(path)
        noise = max(
            noise,
            np.inf if item.total is None else _relative(item.total, item),
            _relative(item.own if np.isfinite(item.own) else None, item),
        )
    scale = largest(recordings[0].output)
    if difference is None or difference > GROWTH * noise * scale:
        found += waiting
    found = list(dict.fromkeys(found))  # a module that is called twice has its causes twice
    notes = [
        f"{paths[0]}: {text}"
        if len(paths) == 1
        else f"{paths[0]} and {len(paths) - 1} other module{'s' * (len(paths) > 2)}: {text}"
        for text, paths in unseen.items()
    ]
    return _verdict(difference, rows, found, notes, recordings)


def _like(recordings: tuple[Recording, Recording], last: Comparison) -> NDArray[Any]:
    """Return ``b``'s output in the axes of ``a``'s; ``last`` is the last pair of modules."""
    a, b = recordings[0].output, recordings[1].output
    if np.array_equal(a, last.a.calls[-1].output) and np.array_equal(b, last.b.calls[-1].output):  # type: ignore[arg-type]
        return last.axes.to_a(b)
    if a.ndim < 3 or recordings[0].reader.channels == recordings[1].reader.channels:
        return b
    source, target = recordings[1].reader.channels, recordings[0].reader.channels
    candidates = [c for c in (b, np.moveaxis(b, source, target)) if c.shape == a.shape]
    return min(candidates, key=lambda c: float(np.abs(c - a).max(initial=0.0)), default=b)


def _verdict(
    difference: float | None,
    rows: list[ModelRow],
    found: list[ModelCause],
    notes: list[str],
    recordings: tuple[Recording, Recording],
) -> ModelDiagnosis:
    notes += [text for side, recording in zip("ab", recordings, strict=True) for text in _not_finite(side, recording)]
    modes = [recording.reader.training() for recording in recordings]
    if modes[0] != modes[1]:
        notes.append(f"{'ab'[modes[1]]} is in training mode, {'ab'[modes[0]]} is not.")
    most = np.inf if difference is None else _of_numbers(difference)
    scale = largest(recordings[0].output)
    if found:
        verdict = counted(len(found))
    elif most == 0.0:
        verdict = EQUAL
    else:
        verdict = ROUNDED if most <= GROWTH * max([SMALLEST * scale, *_last(rows)]) else counted(0)
        if verdict == counted(0):
            notes.append("every module that was seen is equal; the difference arises in code that is no module.")
    return ModelDiagnosis(verdict, most, tuple(rows), tuple(found), tuple(dict.fromkeys(notes)))


def _not_finite(side: str, recording: Recording) -> Iterator[str]:
    """Yield where NaN or infinity arises in a model that returns it."""

    def finite(data: NDArray[Any] | None) -> bool:
        return data is None or bool(np.isfinite(data).all())

    if not finite(recording.output):
        calls = (call for call in recording.leaves() if not finite(call.output) and all(map(finite, call.inputs)))
        where = next((call.path or "(the model)" for call in calls), "")
        yield (
            f"{where}: {side} returns NaN or infinity here."
            if where
            else f"{side} returns NaN or infinity, which no module returns first."
        )


def _last(rows: list[ModelRow]) -> list[float]:
    """Return the differences in the last pair."""
    return [number for row in rows[-1:] for number in (row.own, row.inherited) if number is not None and np.isfinite(number)]


def _relative(number: float | None, item: Comparison) -> float:
    return 0.0 if number is None or not item.scale else number / item.scale


def _row(item: Comparison, noise: float) -> tuple[ModelRow, bool]:
    """Return the row of a pair, and whether its input differs by more than what is known explains."""
    scale = max((largest(data) for data in item.a.inputs if data.dtype.kind == "f"), default=0.0)
    inherited = np.inf if item.inherited is None else item.inherited
    jump = bool(item.a.inputs) and inherited > GROWTH * noise * max(scale, 1e-30)
    verdict = "differs"
    if item.ok:
        verdict = "inherited" if inherited > SMALLEST * scale else "rounding" if item.own else "equal"
    own = item.own if item.problem else _of_numbers(item.own)
    return ModelRow(item.a.path, item.b.path, item.a.title, own, _of_numbers(item.inherited), verdict), jump


def _of_numbers(difference: float | None) -> Any:
    """Return a difference of arrays of one shape, NaN in place of infinity; None stays None."""
    return np.nan if difference == np.inf else difference


def _alone(unit: Unit, side: str) -> ModelRow:
    paths = (unit.path, "") if side == "a" else ("", unit.path)
    return ModelRow(*paths, unit.title, None, None, f"only in {side}")


def _neutral(unit: Unit) -> bool:
    """Return True if a module returns its input, perhaps in another shape."""
    call = unit.main
    if call.description is not None and call.description.kind in NEUTRAL and not call.description.settings.get("active"):
        return True
    return call.output is not None and any(
        data.size == call.output.size and np.array_equal(np.ravel(data), np.ravel(call.output)) for data in call.inputs
    )


def _missing(unit: Unit, side: str) -> ModelCause:
    other = "b" if side == "a" else "a"
    paths = (unit.path, "") if side == "a" else ("", unit.path)
    return ModelCause(*paths, unit.title, "missing", f"only {side} has this {unit.title}; {other} has none there")


def _unseen(item: Comparison) -> ModelCause:
    text = "the difference arises before this module, in code that is no module, which convpolicy cannot see"
    return ModelCause(item.a.path, item.b.path, item.a.title, "unseen", text)

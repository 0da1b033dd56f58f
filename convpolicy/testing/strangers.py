"""Padding modes and a crop rule like those of a third-party plugin, to check a backend with: it knows only their functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from convpolicy import reference
from convpolicy.core.spec import ConvSpec
from convpolicy.layers.backend import Backend
from convpolicy.parts.choice import Choice
from convpolicy.parts.crop import CropRule
from convpolicy.parts.mode import PaddingMode
from convpolicy.parts.part import Param
from convpolicy.parts.side import value_of
from convpolicy.testing.backend_cases import (
    IN,
    OUT,
    PER_CHANNEL,
    POLICY,
    TRANSPOSED_MODES,
    Case,
    arrays,
    build,
    compare,
    judge,
    trying,
)
from convpolicy.testing.common import offered


def _every_other(positions: Any, length: int) -> Any:
    """Return every other sample, alternating with the constant."""
    return np.where(positions % 2, -1, np.clip(positions // 2 * 2, 0, length - 1))


def _affine(positions: Any, length: int) -> Any:
    """Return a sum of half a sample, a quarter of the next one, and twice the constant of the channel."""
    first = np.clip(positions // 2 * 2, 0, length - 1)
    return [
        (0.5, first),
        (np.where(positions < 0, 0.25, -0.25), np.minimum(first + 1, length - 1)),
        (2.0, np.full_like(positions, -1)),
    ]


STRANGERS = {  # name of each mode, with the mode and the choice that selects it
    "index-map": (PaddingMode("index-map", _every_other), Choice("index-map")),
    "sum-of-terms": (
        PaddingMode("sum-of-terms", _affine, params={"value": Param(0.0, kind="values")}),
        Choice("sum-of-terms", value=PER_CHANNEL),
    ),
}


def _hand_padded(data: Any, left: int, right: int, mode: PaddingMode, value: Any, absolute: bool = False) -> Any:
    """Pad an input (batch, channels, length) sample by sample with the function of a mode."""
    length = data.shape[2]
    columns = []
    for position in range(-left, length + right):
        if 0 <= position < length:
            columns.append(data[..., position].astype(np.float64))
            continue
        source_terms = mode.source(np.array([position]), length)
        column = np.zeros(data.shape[:2])
        for coefficient, index in source_terms if isinstance(source_terms, list) else [(1.0, source_terms)]:
            share, source = float(np.ravel(coefficient)[0]), int(np.ravel(index)[0])
            column += (abs(share) if absolute else share) * (value if source < 0 else data[..., source].astype(np.float64))
        columns.append(column)
    return np.stack(columns, axis=-1)


def stranger(backend: Backend, which: str) -> None:
    """A layer with a third-party mode equals the reference of the input padded by hand."""
    dtype = backend.dtypes[0]
    mode, choice = STRANGERS[which]
    value = np.asarray(value_of(mode.arguments(choice), "left"))
    with offered(mode) as name:
        for number, length in enumerate((1, 2, 5, 8)):
            spec = ConvSpec(IN, OUT, 3, 2, 1, 2)
            case = Case(spec, True, Choice("explicit", left=3, right=2), choice.evolve(name), length, POLICY)
            with trying(case, backend, dtype):
                values, data = arrays(number, case, dtype)
                output = backend.run(build(backend, case, values, dtype), data)
                weight, bias = values["weight"], values["bias"]
                padded = _hand_padded(data, 3, 2, mode, value)
                ideal = reference.conv1d(padded, weight, bias, stride=2, groups=2)
                large = _hand_padded(np.abs(data), 3, 2, mode, np.abs(value), absolute=True)
                sizes = reference.conv1d(large, np.abs(weight), np.abs(bias), stride=2, groups=2)  # type: ignore[arg-type]
                compare(case, output, ideal._replace(magnitude=sizes.output, terms=ideal.terms + reference.SUM_ROUNDINGS), dtype)


def _uneven(kernel: int, stride: int, dilation: int, length: int) -> tuple[int, int]:
    """Cut other numbers for each length; of two samples more than there is, where the output is zeros appended on the other side."""
    return (-7, 8) if length == 2 else (length % 3 - 1, 1 - length % 2)


STRANGE_CROP = CropRule("uneven", _uneven, needs_length=True)


def strange_crop(backend: Backend) -> None:
    """A transposed layer with a third-party crop rule, which depends on the length, equals the reference for several lengths."""
    dtype = backend.dtypes[0]
    spec = ConvSpec(IN, OUT, 4, 2, 1, 2, transposed=True)
    with offered(STRANGE_CROP) as name:
        for mode in TRANSPOSED_MODES:
            case = Case(spec, True, Choice(name), mode, 2, POLICY)
            values, _data = arrays(0, case, dtype)
            with trying(case, backend, dtype):
                layer = build(backend, case, values, dtype)
            for length in (2, 3, 4, 7):
                resized = case._replace(length=length)
                with trying(resized, backend, dtype):
                    _values, data = arrays(length, resized, dtype)
                    judge(resized, values, data, backend.run(layer, data), dtype)

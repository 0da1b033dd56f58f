"""`Paper`: where a policy of one paper's model comes from, what it avoids, and the sizes of the paper's own layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from convpolicy.arithmetic import integer
from convpolicy.errors import InvalidTypeError, InvalidValueError, nearest, shown, unknown_name, with_hint
from convpolicy.parts.arguments import of_type
from convpolicy.parts.choice import Choice

Arguments = tuple[tuple[str, Any], ...]
SIZES = ("in_channels", "out_channels", "kernel_size", "stride", "dilation", "groups")
# what a layer of the paper may say besides its sizes, where it differs from the policy: arguments of Conv1d
OVERRIDES = ("padding", "padding_mode", "bias", "weight_init", "bias_init", "weight_norm")


def _as_layers(value: Any) -> tuple[tuple[str, Arguments], ...]:
    """Turn a table of layers, name -> arguments of Conv1d, into pairs that can be hashed."""
    layers = []
    for name, arguments in _table("layers", value).items():
        given = _table(f"layer {name!r}", arguments)
        for argument in given:
            if argument not in (*SIZES, *OVERRIDES):
                fault, names = f"layer {name!r} has no argument {shown(argument)}", (*SIZES, *OVERRIDES)
                raise InvalidValueError(with_hint(fault, "it has", names, nearest(argument, names)))
        if missing := [size for size in SIZES[:3] if size not in given]:
            raise InvalidValueError(f"layer {name!r} must have {' and '.join(missing)}, got {', '.join(given)}; add it.")
        layers.append((name, tuple((key, _frozen(key, item)) for key, item in given.items())))
    return tuple(layers)


def _table(what: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, (Mapping, tuple)):  # a tuple of pairs is what this module itself makes of a table
        raise InvalidTypeError(f"{what} must be a table, got {shown(value)} of type {type(value).__name__}; write one.")
    return dict(value)


def _frozen(argument: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return Choice.of(argument, value)
    return tuple(value) if isinstance(value, list) else value


def _in_any_order(layers: tuple[tuple[str, Arguments], ...]) -> frozenset[tuple[str, Any]]:
    return frozenset((name, frozenset(arguments)) for name, arguments in layers)


def _as_length(value: Any) -> int:
    return integer("drawn_length", value, 1)


def _text() -> Any:
    return attrs.field(validator=of_type(str), kw_only=True)


@attrs.frozen(cache_hash=True)
class Paper:
    """Where a policy of one paper's model comes from.

    Args:
        model: what the policy is of, e.g. ``"EnCodec, 24 kHz"``.
        citation: authors, year, title.
        link: of the paper.
        trap: how its convolution is commonly reproduced wrongly.
        numbers: which initial weights the paper's numbers came from.
        evidence: the reference implementations and versions it was compared with, and how.
        drawn_layer, drawn_length: one of the layers, and an input length in samples, that show what it does in a drawing.
        layers: the paper's own layers, name -> arguments of `Conv1d`: sizes, and what differs from the policy in that layer.
    """

    model: str = _text()
    citation: str = _text()
    link: str = _text()
    trap: str = _text()
    numbers: str = _text()
    evidence: str = _text()
    drawn_layer: str = _text()
    drawn_length: int = attrs.field(converter=_as_length, kw_only=True)
    layers: tuple[tuple[str, Arguments], ...] = attrs.field(converter=_as_layers, kw_only=True, eq=_in_any_order)

    def __attrs_post_init__(self) -> None:
        self.layer(self.drawn_layer)

    def layer(self, name: str) -> dict[str, Any]:
        """Return the arguments of `Conv1d` for one of the paper's layers, all but ``policy``.

        Raises:
            UnknownNameError: no such layer; lists those there are.
        """
        layers = dict(self.layers)
        if name not in layers:
            raise unknown_name("layer", name, layers)
        return dict(layers[name])

    def sizes(self, name: str) -> dict[str, int]:
        """Return kernel_size, stride and dilation of one of the paper's layers.

        Raises:
            UnknownNameError: no such layer; lists those there are.
        """
        found = self.layer(name)
        return {size: found.get(size, 1) for size in ("kernel_size", "stride", "dilation")}

    def to_data(self) -> dict[str, Any]:
        """Return plain data, as it stands in a file."""
        data = {field.name: getattr(self, field.name) for field in attrs.fields(Paper)}
        data["layers"] = {name: {key: _plain(value) for key, value in arguments} for name, arguments in self.layers}
        return data


def _plain(value: Any) -> Any:
    if isinstance(value, Choice):
        return value.to_data()
    return list(value) if isinstance(value, tuple) else value


def as_paper(value: Any) -> Paper | None:
    """Turn plain data into a `Paper`; None and a `Paper` are given back.

    Raises:
        InvalidTypeError, InvalidValueError: a key that is missing, unknown or of the wrong type; holds it.
    """
    if value is None or isinstance(value, Paper):
        return value
    names = [field.name for field in attrs.fields(Paper)]
    if not isinstance(value, Mapping):
        raise InvalidTypeError(f"paper must be a table of {', '.join(names)}, got {shown(value)}; write one.")
    for key in value:
        if key not in names:
            raise InvalidValueError(with_hint(f"paper has no key {shown(key)}", "it has", names, nearest(key, names)))
    if missing := [name for name in names if name not in value]:
        raise InvalidValueError(f"paper must have the key {missing[0]!r}, got {', '.join(value)}; add it.")
    return Paper(**value)

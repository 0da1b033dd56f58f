"""`Paper`: the source of a published model's policy, its common pitfall, and the sizes of its layers."""

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
# arguments of Conv1d and ConvTranspose1d that a layer of the paper may have besides its sizes, to differ from the policy
OVERRIDES = ("padding", "padding_mode", "bias", "weight_init", "bias_init", "weight_norm")


def _as_layers(value: Any) -> tuple[tuple[str, Arguments], ...]:
    """Convert a table of layers, name -> arguments of Conv1d, to pairs that can be hashed."""
    layers = []
    for name, table in _table("layers", value).items():
        arguments = _table(f"layer {name!r}", table)
        for argument in arguments:
            if argument not in (*SIZES, *OVERRIDES):
                fault, names = f"layer {name!r} has no argument {shown(argument)}", (*SIZES, *OVERRIDES)
                raise InvalidValueError(with_hint(fault, "it has", names, nearest(argument, names)))
        if missing := [size for size in SIZES[:3] if size not in arguments]:
            raise InvalidValueError(f"layer {name!r} must have {' and '.join(missing)}, got {', '.join(arguments)}; add it.")
        layers.append((name, tuple((key, _frozen(key, item)) for key, item in arguments.items())))
    return tuple(layers)


def _table(title: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, (Mapping, tuple)):  # `_as_layers` returns tables as tuples of pairs
        raise InvalidTypeError(f"{title} must be a table, got {shown(value)} of type {type(value).__name__}; write one.")
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
    """The source of the policy of a published model.

    Args:
        model: name of the model, e.g. ``"EnCodec, 24 kHz"``.
        citation: authors, year and title of the paper.
        link: address of the paper.
        trap: common mistake in reproductions of the model's convolution.
        numbers: initial weights that produced the published results.
        evidence: comparison of the policy with reference implementations: their names, their versions and the result.
        drawn_layer: name of the layer to draw.
        drawn_length: input length of the drawing, in samples.
        layers: mapping from the name of a layer to its arguments of `Conv1d`. The arguments are the sizes, and options that differ
            from the policy.
        transposed_layers: the same for `ConvTranspose1d`. Empty if the policy has no transposed half. No name may be in both.
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
    transposed_layers: tuple[tuple[str, Arguments], ...] = attrs.field(
        default=(), converter=_as_layers, kw_only=True, eq=_in_any_order
    )

    def __attrs_post_init__(self) -> None:
        if both := dict(self.layers).keys() & dict(self.transposed_layers).keys():
            raise InvalidValueError(f"transposed_layers must have new names, got {min(both)!r}, which is in layers; rename it.")
        if self.is_transposed(self.drawn_layer):
            raise InvalidValueError(f"drawn_layer must be in layers, got {self.drawn_layer!r}, a transposed layer; pick another.")

    def is_transposed(self, name: str) -> bool:
        """Return True if a layer of the model is a transposed convolution.

        Raises:
            UnknownNameError: the model has no such layer. The message lists its layers.
        """
        self.layer(name)
        return name in dict(self.transposed_layers)

    def layer(self, name: str) -> dict[str, Any]:
        """Return the arguments of one layer of the model. The result does not contain ``policy``.

        They are arguments of `Conv1d`, and of `ConvTranspose1d` for a layer in ``transposed_layers``.

        Raises:
            UnknownNameError: the model has no such layer. The message lists its layers.
        """
        layers = dict(self.layers + self.transposed_layers)
        if name not in layers:
            raise unknown_name("layer", name, layers)
        return dict(layers[name])

    def sizes(self, name: str) -> dict[str, int]:
        """Return ``kernel_size``, ``stride`` and ``dilation`` of one layer of the model, in samples.

        Raises:
            UnknownNameError: the model has no such layer. The message lists its layers.
        """
        arguments = self.layer(name)
        return {size: arguments.get(size, 1) for size in ("kernel_size", "stride", "dilation")}

    def to_data(self) -> dict[str, Any]:
        """Return plain data for a file. `as_paper` reads this data."""
        data = {field.name: getattr(self, field.name) for field in attrs.fields(Paper)}
        for field in ("layers", "transposed_layers"):
            data[field] = {name: {key: _plain(value) for key, value in arguments} for name, arguments in data[field]}
        if not self.transposed_layers:
            del data["transposed_layers"]
        return data


def _plain(value: Any) -> Any:
    if isinstance(value, Choice):
        return value.to_data()
    return list(value) if isinstance(value, tuple) else value


def as_paper(value: Any) -> Paper | None:
    """Convert plain data to a `Paper`. None and a `Paper` are returned unchanged.

    Raises:
        InvalidTypeError, InvalidValueError: a key is missing, unknown or of the wrong type. The message contains it.
    """
    if value is None or isinstance(value, Paper):
        return value
    names = [field.name for field in attrs.fields(Paper)]
    if not isinstance(value, Mapping):
        raise InvalidTypeError(f"paper must be a table of {', '.join(names)}, got {shown(value)}; write one.")
    for key in value:
        if key not in names:
            raise InvalidValueError(with_hint(f"paper has no key {shown(key)}", "it has", names, nearest(key, names)))
    if missing := [name for name in names if name not in value and name != "transposed_layers"]:
        raise InvalidValueError(f"paper must have the key {missing[0]!r}, got {', '.join(value)}; add it.")
    return Paper(**value)

"""Which tensors are weights of a Conv1d: told by a stamp, or guessed from names and shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from convpolicy import registry
from convpolicy.conversion.formats import ParameterNames
from convpolicy.conversion.stamps import Stamp
from convpolicy.conversion.tensors import Entry
from convpolicy.core.named import policy
from convpolicy.core.policy import Policy
from convpolicy.errors import ConvPolicyError, InvalidTypeError, InvalidValueError
from convpolicy.parts.layout import Layout

PLAIN = "weight"
# weight normalisation keeps that as two: its lengths and its directions
NORMS = (("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1"))


@attrs.frozen
class Side:
    """Source or target of a conversion: a policy, or a layout alone.

    Attributes:
        name: of the policy or layout.
        layout: its layout of weights.
        policy: None for a layout alone.
        names: how the file names parameters.
    """

    name: str
    layout: Layout
    policy: Policy | None = None
    names: ParameterNames = attrs.field(factory=ParameterNames)

    @property
    def weight(self) -> str:
        """Last part of a weight's name."""
        return self.names.weight or self.layout.weight

    @property
    def bias(self) -> str:
        """Last part of a bias's name."""
        return self.names.bias or self.layout.bias

    @property
    def framework(self) -> str:
        """The policy's framework, else empty."""
        return "" if self.policy is None else self.policy.framework


def side(argument: str, named: Any) -> Side:
    """Return what a policy, a layout, or the name of either means.

    Raises:
        UnknownNameError, InvalidTypeError: neither; holds the argument.
    """
    if isinstance(named, str) and named in registry.current().parts("layout"):
        named = registry.current().get("layout", named)
    if isinstance(named, Layout):
        if named.holds_data:
            raise InvalidTypeError(
                f"{argument} must be a layout of weights, got {named.name!r}, which is of data; pick one of weights."
            )
        return Side(named.name, named)
    try:
        found = policy(named)
    except ConvPolicyError as error:
        raise type(error)(f"{argument}: {error}") from error
    return Side(found.name, found.part("layout")[0], found)


@attrs.frozen
class Move:
    """A weight of a Conv1d, or a tensor that only gets another name.

    Attributes:
        source, target: layouts; None when only the name changes.
        stem: its name without the parameter's, e.g. ``"encoder.conv1."``.
        why: how it was found.
        groups: for depthwise layouts.
        part: ``"weight"``, or ``"g"`` or ``"v"`` of weight normalisation.
        name: new name, when it is given.
    """

    source: Layout | None
    target: Layout | None
    stem: str
    why: str
    groups: int | None = None
    part: str = "weight"
    name: str | None = None


def parts_of(name: str, weight: str) -> tuple[str, str] | None:
    """Return stem and part of the name of a weight, else None."""
    endings = [(weight, "weight"), *((pair[i], "gv"[i]) for pair in NORMS for i in range(2) if weight == PLAIN)]
    for ending, part in endings:
        stem = name.removesuffix(ending)
        if stem != name and (not stem or stem[-1] in "./"):
            return stem, part
    return None


def partner(name: str) -> str:
    """Return the name of the lengths that belong to directions."""
    for lengths, directions in NORMS:
        if name.endswith(directions):
            return name.removesuffix(directions) + lengths
    return ""


def by_guess(entries: Mapping[str, Entry], source: Side, target: Side) -> Iterator[tuple[str, Move]]:
    """Yield what has the name and number of axes of a weight."""
    ones = [at for at, axis in enumerate(source.layout.axes) if axis == "1"]
    for name, entry in entries.items():
        found = parts_of(name, source.weight)
        if found is None or len(entry.shape) != len(source.layout.axes) or any(entry.shape[at] != 1 for at in ones):
            continue
        if found[1] == "g" and not any(partner(other) == name for other in entries):
            continue
        if found[1] == "v" and partner(name) not in entries:
            continue
        yield name, Move(source.layout, target.layout, found[0], "guessed", part=found[1])


def by_stamp(stamp: Stamp, entries: Mapping[str, Entry], source: Side, target: Side) -> Iterator[tuple[str, Move]]:
    """Yield the weights that an earlier conversion moved."""
    for name, origin in stamp.tensors.items():
        if name not in entries:
            raise InvalidValueError(f"the file's stamp names {name!r}, which it has not; pass layers, mapping or guess instead.")
        if origin.target:
            stem, part = parts_of(name, source.weight) or ("", "weight")
            own = side("the file's stamp", origin.target).layout
            back = origin.source and stamp.source == target.name  # to the layout it had, which may be a depthwise one
            then = side("the file's stamp", origin.source).layout if back else target.layout
            yield name, Move(own, then, stem, "stamp", origin.groups, part, None if stem or part != "weight" else name)

"""The two sides of a conversion, and the weights that move between them: names, layouts, and what a stamp tells."""

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


@attrs.frozen
class Selection:
    """What is known of the tensors of a file.

    Attributes:
        moves: name of a tensor -> its `Move`.
        names: name of a tensor -> the name that a map has for it, where the map has a name alone.
        left: name of a tensor that looks like a weight -> why it is copied as it is.
    """

    moves: Mapping[str, Move]
    names: Mapping[str, str] = attrs.field(factory=dict)
    left: Mapping[str, str] = attrs.field(factory=dict)


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


def has_layout(side: Side, layout: Layout) -> bool:
    """Whether a layer of the side's framework has weights of a layout."""
    return layout.name in _layouts(side.framework)


def has_depthwise(side: Side) -> bool:
    """Whether the side's framework has a layout for depthwise weights alone."""
    return any("M" in layout.axes for layout in _layouts(side.framework).values())


def _layouts(framework: str) -> dict[str, Layout]:
    policies = registry.current().working("policy").values() if framework else ()
    names = {policy.layout.name for policy in policies if policy.framework == framework}
    return {name: layout for name, layout in registry.current().parts("layout").items() if name in names}


def kept_in(target: Side, layout: Layout, source: Side) -> Layout:
    """Return the target's layout of a weight: its own where that is another one than the source's and the target's framework has it."""
    own = layout.name != source.layout.name and target.framework == source.framework and has_layout(target, layout)
    return layout if own else target.layout


def by_stamp(
    stamp: Stamp, entries: Mapping[str, Entry], source: Side, target: Side, *, complete: bool
) -> Iterator[tuple[str, Move]]:
    """Yield the weights that an earlier conversion moved.

    Raises:
        InvalidValueError: a tensor that is no longer there, where the stamp must be ``complete``; holds its name.
    """
    for name, origin in stamp.tensors.items():
        if name not in entries:
            if not complete:
                continue
            raise InvalidValueError(f"the file's stamp names {name!r}, which it has not; pass layers, mapping or guess instead.")
        if origin.target:
            stem, part = parts_of(name, source.weight) or ("", "weight")
            own = side("the file's stamp", origin.target).layout
            back = origin.source and stamp.source == target.name  # to the layout it had, which may be a depthwise one
            then = side("the file's stamp", origin.source).layout if back else target.layout
            yield name, Move(own, then, stem, "stamp", origin.groups, part, None if stem or part != "weight" else name)

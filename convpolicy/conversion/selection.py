"""The two sides of a conversion, and the weights that move between them."""

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
from convpolicy.errors import InvalidTypeError, InvalidValueError, placed
from convpolicy.parts.layout import Layout

PLAIN = "weight"
# the two tensors of weight normalisation: lengths, directions
NORMS = (("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1"))


@attrs.frozen
class Side:
    """The source or the target of a conversion: a policy, or a layout alone.

    Attributes:
        name: name of the policy or layout.
        layout: weight layout of Conv1d layers, or the only layout of this side.
        policy: the policy; None for a layout alone.
        names: names of parameters in the file.
        transposed: weight layout of ConvTranspose1d layers; None if this side has none.
    """

    name: str
    layout: Layout
    policy: Policy | None = None
    names: ParameterNames = attrs.field(factory=ParameterNames)
    transposed: Layout | None = None

    def layout_of(self, transposed: bool) -> Layout:
        """Return the weight layout of Conv1d layers, or of ConvTranspose1d layers.

        Raises:
            InvalidValueError: this side has no such layout.
        """
        layout = self.transposed if transposed else self.layout
        if layout is None or layout.transposed != transposed:
            kind = "transposed convolutions" if transposed else "convolutions that are not transposed"
            raise InvalidValueError(
                f"{self.name!r} has no layout of the weights of {kind}; pass a policy or a layout that has one."
            )
        return layout

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
        """Framework of the policy; empty for a layout alone."""
        return "" if self.policy is None else self.policy.framework


def side(argument: str, named: Any) -> Side:
    """Return the side that a policy, a layout, or the name of either describes.

    Args:
        argument: name of the caller's argument, used in the message.
        named: the policy, layout or name.

    Raises:
        UnknownNameError, InvalidTypeError: ``named`` is something else; the message contains the argument's name.
    """
    if isinstance(named, str) and named in registry.current().parts("layout"):
        named = registry.current().get("layout", named)
    if isinstance(named, Layout):
        if named.holds_data:
            raise InvalidTypeError(
                f"{argument} must be a weight layout, got the data layout {named.name!r}; choose a weight layout."
            )
        return Side(named.name, named, transposed=named if named.transposed else None)
    with placed(argument):
        chosen = policy(named)
    transposed = None if chosen.transposed is None else chosen.transposed.part("layout")[0]
    return Side(chosen.name, chosen.part("layout")[0], chosen, transposed=transposed)


@attrs.frozen
class Move:
    """A tensor selected as the weight of a Conv1d or ConvTranspose1d, and how it moves.

    Attributes:
        source, target: layouts before and after; None when only the name changes.
        stem: start of the name, without the parameter's name, such as ``"encoder.conv1."``.
        why: how the tensor was selected; see `Converted`.
        groups: number of groups, for depthwise layouts and for transposed ones.
        part: ``"weight"``, or ``"g"`` (lengths) or ``"v"`` (directions) of weight normalisation.
        name: new name; None to build it from stem and layout.
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
    """The tensors of a file that change, and those that only resemble weights.

    Attributes:
        moves: name of each Conv1d weight, with its `Move`.
        names: name of each tensor for which a map has only a new name, with that name.
        left: name of each tensor that resembles a weight and is copied unchanged, with the reason.
        doubtful: names of guessed Conv1d weights that could also be those of transposed convolutions.
    """

    moves: Mapping[str, Move]
    names: Mapping[str, str] = attrs.field(factory=dict)
    left: Mapping[str, str] = attrs.field(factory=dict)
    doubtful: tuple[str, ...] = ()


def parts_of(name: str, weight: str) -> tuple[str, str] | None:
    """Split the name of a weight into its stem and the ``part`` of a `Move`; return None for other tensors."""
    endings = [(weight, "weight"), *((pair[i], "gv"[i]) for pair in NORMS for i in range(2) if weight == PLAIN)]
    for ending, part in endings:
        stem = name.removesuffix(ending)
        if stem != name and (not stem or stem[-1] in "./"):
            return stem, part
    return None


def partner(name: str) -> str:
    """Return the name of the lengths that belong to directions of weight normalisation; empty for other tensors."""
    for lengths, directions in NORMS:
        if name.endswith(directions):
            return name.removesuffix(directions) + lengths
    return ""


def has_layout(side: Side, layout: Layout) -> bool:
    """Return whether a layer of the side's framework has this weight layout."""
    return layout.name in _layouts(side.framework)


def has_depthwise(side: Side) -> bool:
    """Return whether the side's framework has a separate layout for depthwise weights."""
    return any("M" in layout.axes for layout in _layouts(side.framework).values())


def _layouts(framework: str) -> dict[str, Layout]:
    policies = registry.current().working("policy").values() if framework else ()
    own = [policy for policy in policies if policy.framework == framework]
    halves = [policy.transposed for policy in own if policy.transposed is not None]
    names = {policy.layout.name for policy in (*own, *halves)}
    return {name: layout for name, layout in registry.current().parts("layout").items() if name in names}


def kept_in(target: Side, layout: Layout, source: Side) -> Layout:
    """Return the layout of a weight in the output: the target's or, for a special layer of the same framework, its own.

    Raises:
        InvalidValueError: the weight is that of a transposed convolution, for which the target has no layout.
    """
    usual = source.transposed if layout.transposed else source.layout
    special = layout is not usual and target.framework == source.framework and has_layout(target, layout)
    return layout if special else target.layout_of(layout.transposed)


def alike(one: Layout, other: Layout) -> bool:
    """Return whether two layouts store weights in the same form."""
    return (one.axes, one.flip, one.transposed) == (other.axes, other.flip, other.transposed)


def by_stamp(
    stamp: Stamp, entries: Mapping[str, Entry], source: Side, target: Side, *, complete: bool
) -> Iterator[tuple[str, Move]]:
    """Yield the name and the `Move` of each weight that an earlier conversion moved.

    Args:
        stamp: stamp of the file.
        entries: tensors of the file by name.
        source, target: the two sides of the conversion.
        complete: True to refuse a stamp that lists a tensor that the file does not have.

    Raises:
        InvalidValueError: the file does not have a tensor of the stamp; the message names it.
    """
    for name, origin in stamp.tensors.items():
        if name not in entries:
            if not complete:
                continue
            raise InvalidValueError(
                f"the file's stamp lists {name!r}, which the file does not have; pass layers, mapping or guess instead."
            )
        if origin.target:
            stem, part = parts_of(name, source.weight) or ("", "weight")
            own = side("the file's stamp", origin.target).layout
            back = origin.source and stamp.source == target.name  # the original layout may be a depthwise one
            new = side("the file's stamp", origin.source).layout if back else target.layout_of(own.transposed)
            yield name, Move(own, new, stem, "stamp", origin.groups, part, None if stem or part != "weight" else name)

"""`Policy`: how a convolution behaves, without sizes. Plain data that names one part of each kind; frozen and hashable."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar, cast

import attrs
from numpy.typing import NDArray

from convpolicy import registry
from convpolicy.arithmetic import SIDES, integer
from convpolicy.core import initial_values, plain_data, resolution
from convpolicy.core.initial_values import Fill
from convpolicy.core.lengths import Lengths
from convpolicy.core.paper import Paper, as_paper
from convpolicy.core.plain_data import CLAIMS, PART_FIELDS
from convpolicy.core.plan import ConvSpec, Plan, check_length
from convpolicy.core.resolution import Mode, named_part
from convpolicy.core.versions import holds
from convpolicy.errors import InvalidValueError, nearest, shown, with_hint
from convpolicy.parts import arguments as accepted
from convpolicy.parts.choice import Choice
from convpolicy.parts.layout import Layout
from convpolicy.parts.stream import Stream
from convpolicy.registry.offer import Offer

INIT_WORDS = ("as_written", "as_trained")  # every policy has these two words for weight_init
IS_CHOICE = accepted.of_type(Choice)


def _text(default: Any = "") -> Any:
    return attrs.field(default=default, validator=accepted.of_type(str))


@attrs.frozen(cache_hash=True, repr=False)
class Policy(Offer):
    """How a 1-D convolution pads, initialises and lays out its weights.

    Args:
        name: its name; a framework profile carries the framework's.
        padding, padding_mode, weight_init, bias_init, layout, data_layout, random_stream: a `Choice` of one registered part each.
        bias: whether a layer has a bias when the call does not say.
        padding_names: the framework's own words for ``padding`` and the rules they stand for.
        mode_names: those of the words that also say the padding mode, and the `Choice` of it.
        init_names: words for ``weight_init`` and the `Choice` of each: ``"as_written"``, the initializer that the reference code
            calls, and ``"as_trained"``, the one its weights start from. Without them both words are ``weight_init``.
        weight_norm: axis of the weight (out, in/groups, kernel) along which weight normalisation keeps one norm per index, or None.
        strided_dilation: False for a framework that refuses a stride and a dilation above 1 in one layer.
        framework: the framework this policy claims to be, or empty.
        versions: versions of the framework it holds for, a specifier such as ``">=2.1,<2.11"``.
        measured: versions it was run against; the other edges of ``versions`` are documented only.
        source: where the behaviour is defined.
        description: one sentence.
        paper: what a `Paper` holds, for a policy of one paper's model.
    """

    kind: ClassVar[str] = "policy"
    name: str = _text(attrs.NOTHING)
    padding: Choice = attrs.field(default=Choice("valid"), converter=accepted.named, validator=IS_CHOICE)
    padding_mode: Choice = attrs.field(default=Choice("zeros"), converter=accepted.named_mode, validator=IS_CHOICE)
    bias: bool = attrs.field(default=True, converter=accepted.plain_bool, validator=accepted.of_type(bool))
    weight_init: Choice = attrs.field(default=Choice("uniform"), converter=accepted.named, validator=IS_CHOICE)
    bias_init: Choice = attrs.field(default=Choice("uniform"), converter=accepted.named, validator=IS_CHOICE)
    layout: Choice = attrs.field(default=Choice("OIW"), converter=accepted.named, validator=IS_CHOICE)
    data_layout: Choice = attrs.field(default=Choice("NCW"), converter=accepted.named, validator=IS_CHOICE)
    random_stream: Choice = attrs.field(default=Choice("numpy"), converter=accepted.named, validator=IS_CHOICE)
    padding_names: tuple[tuple[str, str], ...] = attrs.field(default=(), converter=accepted.as_words, eq=accepted.unordered)
    mode_names: tuple[tuple[str, Choice], ...] = attrs.field(default=(), converter=accepted.as_mode_words, eq=accepted.unordered)
    init_names: tuple[tuple[str, Choice], ...] = attrs.field(default=(), converter=accepted.as_init_words, eq=accepted.unordered)
    weight_norm: int | None = attrs.field(default=None, converter=accepted.as_axis)
    strided_dilation: bool = attrs.field(default=True, converter=accepted.plain_bool, validator=accepted.of_type(bool))
    framework: str = _text()
    versions: str = _text()
    measured: str = _text()
    source: str = _text()
    description: str = _text()
    paper: Paper | None = attrs.field(default=None, converter=as_paper)
    provider: str = attrs.field(default="", eq=False)

    def __attrs_post_init__(self) -> None:
        plain_data.require_own_name(self)  # and when a part is looked up: only then the registry is loaded

    def evolve(self, **changes: Any) -> Policy:
        """Return a changed copy; this one stays as it is. Under another name it no longer claims to be the framework.

        Args:
            **changes: any field. ``padding`` takes an int, a pair, a name (the framework's own words first), or a Choice;
                ``padding_mode`` a name, a Choice, or a pair of them, one per side; ``weight_init`` and ``bias_init`` also a number or an
                array (out, in/groups, kernel).

        Raises:
            InvalidTypeError, InvalidValueError, UnknownNameError: before anything is built; holds the field, what came and
                what is allowed.
        """
        if changes.get("name", self.name) != self.name:
            changes = CLAIMS | changes
        changes = accepted.with_mode(changes, dict(self.mode_names))
        for field, value in changes.items():
            if field not in _FIELDS:
                fault = f"a policy has no field {shown(field)}"
                raise InvalidValueError(with_hint(fault, "it has", _FIELDS, nearest(field, _FIELDS)))
            if field in PART_FIELDS:
                changes[field] = accepted.as_choice(field, value, self.words(field))
        return attrs.evolve(self, **changes).checked(changes)

    def checked(self, fields: Any = PART_FIELDS) -> Policy:
        """Return this policy when every part it names in ``fields`` is registered and takes the parameters given."""
        for field in fields:
            if field == "padding_mode":
                self.modes()
            elif field in PART_FIELDS:
                part = self.part(field)[0]
                if isinstance(part, Layout) and part.holds_data != (field == "data_layout"):
                    raise InvalidValueError(
                        f"{field} must name a layout of {'weights' if part.holds_data else 'data'}, got {shown(part.name)}; "
                        f"see convpolicy.layouts()."
                    )
        return self

    def words(self, field: str) -> Mapping[str, Any]:
        """Return the policy's own words for a field of a part, and what they stand for."""
        if field == "weight_init":
            return dict.fromkeys(INIT_WORDS, self.weight_init) | dict(self.init_names)
        return dict(self.padding_names) if field == "padding" else {}

    def covers(self, version: str) -> bool:
        """Return True when the policy holds for a version of its framework; without ``versions`` it holds for all.

        Raises:
            InvalidValueError: not a version; holds what came.
        """
        return holds(self.versions, version)

    def part(self, field: str) -> tuple[Any, Mapping[str, Any]]:
        """Return the registered part that a field names, and its parameters.

        Raises:
            UnknownNameError: the name is not registered.
            InvalidValueError, InvalidTypeError: a parameter it does not have, or a bad value.
        """
        plain_data.require_own_name(self)
        return named_part(PART_FIELDS[field], getattr(self, field), self.padding_names if field == "padding" else ())

    def modes(self) -> tuple[Mode, ...]:
        """Return the padding mode and its parameters, or those of the left and of the right side where they differ."""
        mode, words = self.part("padding_mode")
        if not mode.is_per_side:
            return ((mode, words),)
        return tuple(named_part("padding mode", Choice.of(side, words[side])) for side in SIDES)

    def static_pads(self, kernel_size: int, stride: int, dilation: int) -> tuple[int, int] | None:
        """Return ``(left, right)`` in samples when every length gets the same, else None.

        Raises:
            InvalidValueError: sizes that the rule or the framework refuses; holds them.
        """
        resolution.check_strided_dilation(self, stride, dilation)
        return resolution.static_pads(*self.part("padding"), kernel_size, stride, dilation)

    def plan(self, kernel_size: int, stride: int = 1, dilation: int = 1, *, length: int) -> Plan:
        """Say exactly what will be done to an input of one length.

        Args:
            kernel_size, stride, dilation: in samples, 1 or more.
            length: input length in samples, 0 or more.

        Returns:
            A `Plan`; its ``length_out`` is 0 when not even one window fits.

        Raises:
            InvalidTypeError, InvalidValueError: bad sizes, a rule that refuses them, or a mode that does not reach.
        """
        spec = ConvSpec.of(1, 1, kernel_size, stride, dilation, 1)
        return _plan(self, spec, check_length(length))

    def length(self, length: int, kernel_size: int, stride: int = 1, dilation: int = 1) -> int:
        """Return the outputs for an input of ``length`` samples, 0 where no window fits or the padding mode does not reach."""
        return self._lengths(kernel_size, stride, dilation).of_output(check_length(length))

    def shortest_length(self, length_out: int, kernel_size: int, stride: int = 1, dilation: int = 1) -> int:
        """Return the fewest samples that give ``length_out`` outputs or more; see `Chain.shortest_length`."""
        return self._lengths(kernel_size, stride, dilation).shortest(integer("length_out", length_out, 1))

    def is_causal(self, kernel_size: int, stride: int = 1, dilation: int = 1, *, length: int | None = None) -> bool:
        """Return whether no output depends on a sample after its own hop, for one input length or several; see `Chain.causality`."""
        return self._lengths(kernel_size, stride, dilation).is_causal(None if length is None else check_length(length))

    def _lengths(self, kernel_size: int, stride: int, dilation: int) -> Lengths:
        spec = ConvSpec.of(1, 1, kernel_size, stride, dilation, 1)
        self.static_pads(spec.kernel_size, spec.stride, spec.dilation)  # a rule that refuses these sizes does so now
        return Lengths(lambda length: _plan(self, spec, length), spec)

    def initial(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        groups: int = 1,
        seed: int = 0,
        *,
        stream: Stream | None = None,
        dtype: str = "float32",
    ) -> dict[str, NDArray[Any] | None]:
        """Draw initial weights, with no framework.

        Args:
            in_channels, out_channels, kernel_size, groups: sizes.
            seed: what the policy's framework would be seeded with; the numbers are those its own layer then has.
            stream: a random stream to go on drawing from, instead of ``seed``: layer after layer as the framework builds them.
            dtype: ``"float32"``, ``"float64"``, ``"float16"``, or ``"bfloat16"``, which comes as the float32 numbers it holds.

        Returns:
            ``{"weight": (out, in/groups, kernel) array, "bias": (out,) array, or None without bias}``.

        Raises:
            InvalidTypeError, InvalidValueError: bad sizes, or an initializer that does not fit the shape.
        """
        spec = ConvSpec.of(in_channels, out_channels, kernel_size, 1, 1, groups)
        initial_values.check_dtype(dtype)
        return self.draw(spec, self.start_stream(seed) if stream is None else stream, dtype)

    def draw(self, spec: ConvSpec, stream: Stream, dtype: str = "float32") -> dict[str, NDArray[Any] | None]:
        """Draw weight (out, in/groups, kernel), then bias (out,) or None, for checked sizes; see `initial`.

        Raises:
            InvalidValueError: an initializer that does not fit the shape, or values that ``dtype`` does not hold.
        """
        random_stream, arguments = self.part("random_stream")
        constructed = random_stream.constructed if arguments.get("redraws") else {}
        return initial_values.draw(self.fills(), self._fills(constructed), self.part("layout")[0], spec, stream, dtype)

    def fills(self) -> dict[str, Fill]:
        """Return how each tensor of a layer gets its initial values, by role: ``"weight"``, and ``"bias"`` where there is one."""
        return self._fills({"weight": self.weight_init, "bias": self.bias_init})

    def _fills(self, choices: Mapping[str, Choice]) -> dict[str, Fill]:
        roles = [role for role in choices if self.bias or role != "bias"]
        return {role: Fill(choices[role], *named_part("initializer", choices[role])) for role in roles}

    def start_stream(self, seed: Any) -> Stream:
        """Return the policy's own random stream, as after the framework's own seeding function.

        Raises:
            InvalidTypeError, InvalidValueError: a seed that the framework refuses; holds the seed and the range.
        """
        part, arguments = self.part("random_stream")
        return cast("Stream", part.seeded(seed, arguments))

    def to_dict(self) -> dict[str, Any]:
        """Return the policy as plain data with its schema version; `from_dict` reads it back."""
        return plain_data.to_data(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Policy:
        """Read what `to_dict` gave.

        Raises:
            InvalidValueError, InvalidTypeError: wrong schema, unknown key (holds the nearest), or a bad value.
            UnknownNameError: a part that is not registered.
        """
        policy: Policy = plain_data.from_data(cls, data)
        return policy.checked()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the policy as TOML or JSON, by suffix; the file is written beside and then renamed.

        Raises:
            InvalidTypeError, InvalidValueError: no path, another suffix, or a policy that no such file can hold.
        """
        from convpolicy.files import data, whole  # here: not needed to build a layer

        target = data.path_of("path", path)
        whole.write(target, data.text_of(self.to_dict(), target))

    def _repr_html_(self) -> str:
        return plain_data.to_html(self)

    def __repr__(self) -> str:
        return f"Policy({str(self)!r})"

    def __str__(self) -> str:
        weight, bias = (initial_values.in_words(choice) for choice in (self.weight_init, self.bias_init))
        bias = f"bias {bias}" if self.bias else "no bias"
        norm = "" if self.weight_norm is None else f", weight_norm {self.weight_norm}"
        return (
            f"{self.name}: padding {self.padding}, mode {self.padding_mode}, weight {weight}{norm}, {bias}, "
            f"layout {self.layout}/{self.data_layout}"
        )


_FIELDS = plain_data.field_names(Policy)


@registry.cached(maxsize=1024)
def _plan(policy: Policy, spec: ConvSpec, length: int) -> Plan:
    resolution.check_strided_dilation(policy, spec.stride, spec.dilation)
    return resolution.resolve(*policy.part("padding"), policy.modes(), spec, length)

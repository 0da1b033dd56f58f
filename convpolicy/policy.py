"""`Policy`: what is wanted, without sizes. Plain data that names one part of each kind; frozen and hashable."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
from numpy.typing import NDArray

from convpolicy import filling, planning, registry
from convpolicy.choices import as_axis, as_choice, as_init_words, as_mode_words, as_words, named, of_type, plain_bool, with_mode
from convpolicy.errors import InvalidValueError, nearest
from convpolicy.layouts import Layout
from convpolicy.papers import Paper, as_paper
from convpolicy.parts import Choice
from convpolicy.plan import ConvSpec, Plan, check_length
from convpolicy.random.stream import Stream

if TYPE_CHECKING:
    from convpolicy.chains import Chain

# field -> the kind of part it names
PART_FIELDS = {
    "padding": "padding rule",
    "padding_mode": "padding mode",
    "weight_init": "initializer",
    "bias_init": "initializer",
    "layout": "layout",
    "data_layout": "layout",
    "stream": "stream",
}


# what a policy says of the framework it is named after, and what it says otherwise
CLAIMS = MappingProxyType(
    {"framework": "", "versions": "", "measured": "", "source": "", "description": "", "strided_dilation": True, "paper": None}
)
INIT_WORDS = ("as_written", "as_trained")  # every policy has these two words for weight_init
INITIAL_DTYPES = ("float32", "float64", "float16", "bfloat16")


def _text(default: Any = "") -> Any:
    return attrs.field(default=default, validator=of_type(str))


@attrs.frozen(cache_hash=True)
class Policy:
    """How a 1-D convolution pads, initialises and lays out its weights.

    Args:
        name: its name; a framework profile carries the framework's.
        padding, padding_mode, weight_init, bias_init, layout, data_layout, stream: a `Choice` of one registered part each.
        bias: whether a layer has a bias when the call does not say.
        padding_names: the framework's own words for ``padding`` and the rules they stand for.
        mode_names: those of the words that also say the padding mode, and the `Choice` of it.
        init_names: words for ``weight_init`` and the `Choice` of each: ``"as_written"``, the law that the reference code calls, and
            ``"as_trained"``, the one its weights start from. Without them both words are the policy's own law.
        redraws: True for a reference code that builds torch's own layer, whose weight and bias are then drawn already, and draws
            anew what it wants otherwise: the stream gives both.
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
    padding: Choice = attrs.field(default=Choice("valid"), converter=named, validator=of_type(Choice))
    padding_mode: Choice = attrs.field(default=Choice("zeros"), converter=named, validator=of_type(Choice))
    bias: bool = attrs.field(default=True, converter=plain_bool, validator=of_type(bool))
    weight_init: Choice = attrs.field(default=Choice("uniform"), converter=named, validator=of_type(Choice))
    bias_init: Choice = attrs.field(default=Choice("uniform"), converter=named, validator=of_type(Choice))
    layout: Choice = attrs.field(default=Choice("OIW"), converter=named, validator=of_type(Choice))
    data_layout: Choice = attrs.field(default=Choice("NCW"), converter=named, validator=of_type(Choice))
    stream: Choice = attrs.field(default=Choice("numpy"), converter=named, validator=of_type(Choice))
    padding_names: tuple[tuple[str, str], ...] = attrs.field(default=(), converter=as_words)
    mode_names: tuple[tuple[str, Choice], ...] = attrs.field(default=(), converter=as_mode_words)
    init_names: tuple[tuple[str, Choice], ...] = attrs.field(default=(), converter=as_init_words)
    redraws: bool = attrs.field(default=False, converter=plain_bool, validator=of_type(bool))
    weight_norm: int | None = attrs.field(default=None, converter=as_axis)
    strided_dilation: bool = attrs.field(default=True, converter=plain_bool, validator=of_type(bool))
    framework: str = _text()
    versions: str = _text()
    measured: str = _text()
    source: str = _text()
    description: str = _text()
    paper: Paper | None = attrs.field(default=None, converter=as_paper)
    provider: str = attrs.field(default="", eq=False)

    def evolve(self, **changes: Any) -> Policy:
        """Return a changed copy; this one stays as it is. Under another name it no longer claims to be the framework.

        Args:
            **changes: any field. ``padding`` takes an int, a pair, a name (the framework's own words first), or a Choice;
                ``weight_init`` and ``bias_init`` also a number or an array (out, in/groups, kernel).

        Raises:
            InvalidTypeError, InvalidValueError, UnknownNameError: before anything is built; holds the field, what came and
                what is allowed.
        """
        if changes.get("name", self.name) != self.name:
            changes = CLAIMS | changes
        changes = with_mode(changes, dict(self.mode_names))
        for field, value in changes.items():
            if field not in _FIELDS:
                raise InvalidValueError(
                    f"a policy has no field {field!r}; it has: {', '.join(_FIELDS)}.{nearest(field, _FIELDS)}"
                )
            if field in PART_FIELDS:
                changes[field] = as_choice(field, value, self.words(field))
        return attrs.evolve(self, **changes).checked(changes)

    def checked(self, fields: Any = PART_FIELDS) -> Policy:
        """Return this policy when every part it names in ``fields`` is registered and takes the parameters given."""
        for field in fields:
            if field in PART_FIELDS:
                part = self.part(field)[0]
                if isinstance(part, Layout) and part.holds_data != (field == "data_layout"):
                    raise InvalidValueError(
                        f"{field} must name a layout of {'weights' if part.holds_data else 'data'}, got {part.name!r}; "
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
        from packaging.specifiers import SpecifierSet
        from packaging.version import InvalidVersion, Version

        try:
            return SpecifierSet(self.versions).contains(Version(version), prereleases=True)
        except InvalidVersion:
            raise InvalidValueError(f"version must be one such as 2.10.0, got {version!r}; write it so.") from None

    def part(self, field: str) -> tuple[Any, Mapping[str, Any]]:
        """Return the registered part that a field names, and its parameters.

        Raises:
            UnknownNameError: the name is not registered.
            InvalidValueError, InvalidTypeError: a parameter it does not have, or a bad value.
        """
        words = self.padding_names if field == "padding" else ()
        return _part(PART_FIELDS[field], getattr(self, field), words, registry.current().generation)

    # -- padding ----------------------------------------------------------------------------------------------------

    def static_pads(self, kernel_size: int, stride: int, dilation: int) -> tuple[int, int] | None:
        """Return ``(left, right)`` in samples when every length gets the same, else None.

        Raises:
            InvalidValueError: sizes that the rule or the framework refuses; holds them.
        """
        return planning.static_pads(self, kernel_size, stride, dilation)

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
        return planning.resolve(self, spec, check_length(length), registry.current().generation)

    def length(self, length: int, kernel_size: int, stride: int = 1, dilation: int = 1) -> int:
        """Return the outputs for an input of ``length`` samples, 0 where no window fits; see `Chain.length`."""
        return self._alone(kernel_size, stride, dilation).length(length)

    def shortest_length(self, length_out: int, kernel_size: int, stride: int = 1, dilation: int = 1) -> int:
        """Return the fewest samples that give ``length_out`` outputs or more; see `Chain.shortest_length`."""
        return self._alone(kernel_size, stride, dilation).shortest_length(length_out)

    def is_causal(self, kernel_size: int, stride: int = 1, dilation: int = 1, *, length: int | None = None) -> bool:
        """Return whether no output changes with a sample after its own hop, found by running it; see `Chain.causality`."""
        return self._alone(kernel_size, stride, dilation).is_causal(length)

    def _alone(self, kernel_size: int, stride: int, dilation: int) -> Chain:
        from convpolicy import chains  # not needed to import convpolicy

        return chains.chain([(self, kernel_size, stride, dilation)])

    # -- initial values ---------------------------------------------------------------------------------------------

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
        if dtype not in INITIAL_DTYPES:
            raise InvalidValueError(f"dtype must be one of {', '.join(INITIAL_DTYPES)}, got {dtype!r}; pick one.")
        return filling.draw(self, spec, self.start_stream(seed) if stream is None else stream, dtype)

    def start_stream(self, seed: Any) -> Stream:
        """Return the policy's own random stream, as after the framework's own seeding function.

        Raises:
            InvalidTypeError, InvalidValueError: a seed that the framework refuses; holds the seed and the range.
        """
        part, arguments = self.part("stream")
        started: Stream = part.start(seed, **arguments)
        return started

    # -- files ------------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return the policy as plain data with its schema version; `from_dict` reads it back."""
        from convpolicy import policy_files  # cattrs stays out of `import convpolicy`

        return policy_files.to_dict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Policy:
        """Read what `to_dict` gave.

        Raises:
            InvalidValueError, InvalidTypeError: wrong schema, unknown key (holds the nearest), or a bad value.
            UnknownNameError: a part that is not registered.
        """
        from convpolicy import policy_files

        return policy_files.from_dict(data)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the policy as TOML or JSON, by suffix; the file is written beside and then renamed.

        Raises:
            InvalidValueError: another suffix.
        """
        from convpolicy import policy_files

        policy_files.save(self, path)

    def __str__(self) -> str:
        bias = f"bias {self.bias_init}" if self.bias else "no bias"
        norm = "" if self.weight_norm is None else f", weight_norm {self.weight_norm}"
        return (
            f"{self.name}: padding {self.padding}, mode {self.padding_mode}, weight {self.weight_init}{norm}, {bias}, "
            f"layout {self.layout}/{self.data_layout}"
        )


_FIELDS = tuple(field.name for field in attrs.fields(Policy) if field.name != "provider")


@lru_cache(maxsize=256)
def _part(kind: str, choice: Choice, words: Any, _generation: int) -> tuple[Any, Mapping[str, Any]]:
    part = registry.current().get(kind, choice.name, [word for word, _rule in words])
    return part, MappingProxyType(part.arguments(choice))

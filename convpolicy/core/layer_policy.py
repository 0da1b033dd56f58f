"""`LayerPolicy`: what the policies of convolutions and of transposed convolutions have in common."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar, cast

import attrs
from numpy.typing import NDArray

from convpolicy import registry
from convpolicy.arithmetic import integer
from convpolicy.core import initial_values, plain_data, resolution
from convpolicy.core.initial_values import Fill
from convpolicy.core.lengths import Lengths
from convpolicy.core.paper import Paper, as_paper
from convpolicy.core.plain_data import CLAIMS, PART_FIELDS
from convpolicy.core.plan import check_length
from convpolicy.core.resolution import Mode, named_part
from convpolicy.core.spec import ConvSpec
from convpolicy.core.versions import includes
from convpolicy.errors import InvalidValueError, nearest, shown, with_hint
from convpolicy.parts import arguments as accepted
from convpolicy.parts.choice import Choice
from convpolicy.parts.layout import Layout
from convpolicy.parts.stream import Stream
from convpolicy.registry.offer import Offer

INIT_NAMES = ("as_written", "as_trained")  # names for weight_init that every policy has
Kind = TypeVar("Kind", bound="LayerPolicy")
IS_CHOICE = accepted.of_type(Choice)


def _text(default: Any = "") -> Any:
    return attrs.field(default=default, validator=accepted.of_type(str))


def _of_class(name: str) -> Any:
    return attrs.Factory(lambda policy: getattr(policy, name), takes_self=True)


@attrs.frozen(cache_hash=True, repr=False)
class LayerPolicy(Offer):
    """What `Policy` and `TransposedPolicy` have in common; see there for the fields."""

    part_kinds: ClassVar[Mapping[str, str]] = PART_FIELDS  # field -> the kind of part that it names
    claims: ClassVar[Mapping[str, Any]] = CLAIMS  # what a policy with another name does not claim
    is_transposed: ClassVar[bool] = False  # True if the policy describes transposed convolutions
    default_padding: ClassVar[Choice] = Choice("valid")
    default_layout: ClassVar[Choice] = Choice("OIW")
    name: str = _text(attrs.NOTHING)
    padding: Choice = attrs.field(default=_of_class("default_padding"), converter=accepted.named, validator=IS_CHOICE)
    padding_mode: Choice = attrs.field(default=Choice("zeros"), converter=accepted.named_mode, validator=IS_CHOICE)
    bias: bool = attrs.field(default=True, converter=accepted.plain_bool, validator=accepted.of_type(bool))
    weight_init: Choice = attrs.field(default=Choice("uniform"), converter=accepted.named, validator=IS_CHOICE)
    bias_init: Choice = attrs.field(default=Choice("uniform"), converter=accepted.named, validator=IS_CHOICE)
    layout: Choice = attrs.field(default=_of_class("default_layout"), converter=accepted.named, validator=IS_CHOICE)
    data_layout: Choice = attrs.field(default=Choice("NCW"), converter=accepted.named, validator=IS_CHOICE)
    random_stream: Choice = attrs.field(default=Choice("numpy"), converter=accepted.named, validator=IS_CHOICE)
    padding_names: tuple[tuple[str, str], ...] = attrs.field(default=(), converter=accepted.as_rule_names, eq=accepted.unordered)
    mode_names: tuple[tuple[str, Choice], ...] = attrs.field(default=(), converter=accepted.as_mode_names, eq=accepted.unordered)
    init_names: tuple[tuple[str, Choice], ...] = attrs.field(default=(), converter=accepted.as_init_names, eq=accepted.unordered)
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
        plain_data.require_own_name(self)  # `part` checks again, since the registry may not be loaded yet

    def evolve(self: Kind, **changes: Any) -> Kind:  # noqa: PYI019 - typing.Self is newer than the oldest Python
        """Return a modified copy.

        A copy with another name no longer claims to reproduce the framework. ``convpolicy verify`` does not test this copy.

        Args:
            **changes: new values of fields. ``padding`` can also be an int, a pair (left, right) or one of ``padding_names``.
                ``padding_mode`` can be a pair (left, right). ``weight_init`` and ``bias_init`` can be a number or an array.

        Raises:
            InvalidTypeError, InvalidValueError, UnknownNameError: a value is not allowed. The message names the field and the fix.
        """
        if changes.get("name", self.name) != self.name:
            changes = {**self.claims, **changes}
        changes = accepted.with_mode(changes, dict(self.mode_names))
        fields = plain_data.field_names(type(self))
        for field, value in changes.items():
            if field not in fields:
                fault = f"a policy has no field {shown(field)}"
                raise InvalidValueError(with_hint(fault, "it has", fields, nearest(field, fields)))
            if field in self.part_kinds:
                changes[field] = accepted.as_choice(field, self.part_kinds[field], value, self.words(field))
        return attrs.evolve(self, **changes).checked(changes)

    def checked(self: Kind, fields: Any = PART_FIELDS) -> Kind:  # noqa: PYI019 - as above
        """Check the parts named in ``fields``: each is registered and accepts its parameters. Return the policy."""
        for field in fields:
            if field == "padding_mode":
                self.modes()
            elif field in self.part_kinds:
                part = self.part(field)[0]
                if isinstance(part, Layout):
                    self._check_layout(field, part)
        return self

    def _check_layout(self, field: str, layout: Layout) -> None:
        kinds = {"data_layout": "data", "layout": "weights of transposed convolutions" if self.is_transposed else "weights"}
        if (layout.holds_data, layout.transposed) != (field == "data_layout", field == "layout" and self.is_transposed):
            raise InvalidValueError(
                f"{field} must name a layout of {kinds[field]}, got {shown(layout.name)}; see convpolicy.layouts()."
            )

    def words(self, field: str) -> Mapping[str, Any]:
        """Return the names that this policy adds for a field. The values are the parts that these names select."""
        if field == "weight_init":
            return dict.fromkeys(INIT_NAMES, self.weight_init) | dict(self.init_names)
        return dict(self.padding_names) if field == "padding" else {}

    def covers(self, version: str) -> bool:
        """Return True if the policy reproduces a version of its framework. An empty ``versions`` covers all versions.

        Raises:
            InvalidValueError: ``version`` is not a valid version number. The message contains the text.
        """
        return includes(self.versions, version)

    def part(self, field: str) -> tuple[Any, Mapping[str, Any]]:
        """Return the registered part that a field names, and the parameters of the part.

        Raises:
            UnknownNameError: the part is not registered.
            InvalidValueError, InvalidTypeError: the part has no parameter of this name, or a value is not allowed.
        """
        plain_data.require_own_name(self)
        return named_part(self.part_kinds[field], getattr(self, field), self.padding_names if field == "padding" else ())

    def modes(self) -> tuple[Mode, ...]:
        """Return the padding mode with its parameters. If the two sides differ, the result is the left and the right mode.

        Raises:
            InvalidValueError: the mode of one side has itself a mode for each side.
        """
        plain_data.require_own_name(self)
        return tuple(named_part("padding mode", choice) for choice in resolution.mode_choices(self.padding_mode))

    def static_pads(self, kernel_size: int, stride: int, dilation: int) -> tuple[int, int] | None:
        """Return the padding ``(left, right)`` in samples, or None if the padding depends on the input length.

        For a transposed convolution, the numbers are what is cut.

        Raises:
            InvalidValueError: the padding rule or the framework refuses the sizes. The message contains the sizes.
        """
        resolution.check_sizes(self, stride, dilation)
        return resolution.static_pads(*self.part("padding"), kernel_size, stride, dilation)

    def plan(self, kernel_size: int, stride: int = 1, dilation: int = 1, *, length: int) -> Any:
        """Return the plan for one input length."""
        return self.planned(self._spec(kernel_size, stride, dilation), check_length(length))

    def planned(self, spec: ConvSpec, length: int) -> Any:
        """Return the plan for one input length. The sizes and the length are already checked."""
        return _planned(self, spec, length)

    def _spec(self, kernel_size: Any, stride: Any, dilation: Any) -> ConvSpec:
        return ConvSpec.of(1, 1, kernel_size, stride, dilation, 1, transposed=self.is_transposed)

    def length(self, length: int, kernel_size: int, stride: int = 1, dilation: int = 1) -> int:
        """Return the output length for an input of ``length`` samples. The result is 0 if the input is too short."""
        return self._lengths(kernel_size, stride, dilation).of_output(check_length(length))

    def shortest_length(self, length_out: int, kernel_size: int, stride: int = 1, dilation: int = 1) -> int:
        """Return the shortest input length with at least ``length_out`` outputs; see `Chain.shortest_length`."""
        return self._lengths(kernel_size, stride, dilation).shortest(integer("length_out", length_out, 1))

    def is_causal(self, kernel_size: int, stride: int = 1, dilation: int = 1, *, length: int | None = None) -> bool:
        """Return True if the layer is causal. With ``length=None``, several lengths are tested; see `Chain.causality`."""
        return self._lengths(kernel_size, stride, dilation).is_causal(None if length is None else check_length(length))

    def _lengths(self, kernel_size: Any, stride: Any, dilation: Any) -> Lengths:
        spec = self._spec(kernel_size, stride, dilation)
        self.static_pads(spec.kernel_size, spec.stride, spec.dilation)  # raises the error of a rule that refuses these sizes
        return Lengths(lambda length: self.planned(spec, length), spec)

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
        """Draw initial weights with NumPy. The framework's random stream makes them bit-identical to the framework's weights.

        Args:
            in_channels, out_channels, kernel_size, groups: sizes of the layer; see `ConvSpec`.
            seed: a seed that the framework's own seeding function accepts.
            stream: a random stream that replaces ``seed``. Use one stream to draw the layers of a model one after another.
            dtype: ``"float32"``, ``"float64"``, ``"float16"`` or ``"bfloat16"``. The arrays of bfloat16 values have dtype float32.

        Returns:
            A dictionary with ``"weight"``, an array (out, in/groups, kernel), for a transposed convolution (in, out/groups, kernel),
            and ``"bias"``, an array (out,) or None.

        Raises:
            InvalidTypeError, InvalidValueError: a size is not allowed, or an initializer refuses the shape.
        """
        spec = ConvSpec.of(in_channels, out_channels, kernel_size, 1, 1, groups, transposed=self.is_transposed)
        initial_values.check_dtype(dtype)
        return self.draw(spec, self.start_stream(seed) if stream is None else stream, dtype)

    def draw(self, spec: ConvSpec, stream: Stream, dtype: str = "float32") -> dict[str, NDArray[Any] | None]:
        """Draw a weight of ``spec.weight_shape`` and a bias (out,) or None. The sizes are already checked. See `initial`.

        Raises:
            InvalidValueError: an initializer refuses the shape, or a value is outside the range of ``dtype``.
        """
        random_stream, arguments = self.part("random_stream")
        constructed = random_stream.constructed if arguments.get("redraws") else {}
        return initial_values.draw(self.fills(), self._fills(constructed), self.part("layout")[0], spec, stream, dtype)

    def fills(self) -> dict[str, Fill]:
        """Return a mapping from ``"weight"`` to its initializer. If the layer has a bias, ``"bias"`` is a second key."""
        return self._fills({"weight": self.weight_init, "bias": self.bias_init})

    def _fills(self, choices: Mapping[str, Choice]) -> dict[str, Fill]:
        roles = [role for role in choices if self.bias or role != "bias"]
        return {role: Fill(choices[role], *named_part("initializer", choices[role])) for role in roles}

    def start_stream(self, seed: Any) -> Stream:
        """Start the policy's random stream with a seed that the framework's own seeding function accepts.

        Raises:
            InvalidTypeError, InvalidValueError: the framework refuses the seed. The message contains the seed and the range.
        """
        part, arguments = self.part("random_stream")
        return cast("Stream", part.seeded(seed, arguments))

    def to_dict(self) -> dict[str, Any]:
        """Return the policy as plain data with a schema version. `from_dict` reads this data."""
        return plain_data.to_data(self)

    @classmethod
    def from_dict(cls: type[Kind], data: Mapping[str, Any]) -> Kind:  # noqa: PYI019 - as above
        """Build a policy from a dictionary that `to_dict` returned.

        Raises:
            InvalidValueError, InvalidTypeError: the data has another schema, an unknown key, or a value that is not allowed.
            UnknownNameError: a part is not registered.
        """
        policy: Kind = plain_data.from_data(cls, data)
        return policy.checked()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the policy to a TOML or JSON file. ``load_policy`` reads this file.

        Args:
            path: path that ends in ``.toml`` or ``.json``. An existing file is replaced when the new file is complete.

        Raises:
            InvalidTypeError, InvalidValueError: the path is invalid or has another suffix, or the format cannot represent a value.
        """
        from convpolicy.files import data, whole  # imported late: not needed to build a layer

        target = data.path_of("path", path)
        whole.write(target, data.text_of(self.to_dict(), target))

    def _repr_html_(self) -> str:
        return plain_data.to_html(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __str__(self) -> str:
        return plain_data.to_text(self)


@registry.cached(maxsize=1024)
def _planned(policy: LayerPolicy, spec: ConvSpec, length: int) -> Any:
    resolution.check_sizes(policy, spec.stride, spec.dilation)
    resolve = resolution.resolve_transposed if spec.transposed else resolution.resolve
    return resolve(*policy.part("padding"), resolution.mode_choices(policy.padding_mode), spec, length)

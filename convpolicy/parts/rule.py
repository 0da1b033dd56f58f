"""`Rule`: the base class of `PaddingRule` and `CropRule`, a function from sizes to one number for each side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import attrs

from convpolicy.arithmetic import integer
from convpolicy.errors import ConvPolicyError, InvalidValueError, PluginError, raised, said, shown
from convpolicy.parts.part import Part, first_sentence


@attrs.frozen(eq=False)
class Rule(Part):
    """A rule that computes one number for the left side and one for the right side.

    Args:
        name: unique name.
        needs_length: True if the numbers depend on the input length, or a function ``(kernel, stride, dilation) -> bool``.
        alias_of: name of the original rule, if this rule is an alias. Empty for other rules.
        params: see `Part`. A rule that splits an odd total has the parameter ``odd_side``.
    """

    kind: ClassVar[str] = "rule"
    needs_length: bool | Callable[[int, int, int], bool] = attrs.field(default=False, kw_only=True)
    alias_of: str = attrs.field(default="", kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not self.description:
            object.__setattr__(self, "description", first_sentence(self.function))

    @property
    def function(self) -> Callable[..., tuple[int, int]]:
        """The function ``(kernel, stride, dilation, length, **params) -> (left, right)``."""
        raise NotImplementedError

    def alias(self, name: str, description: str, **defaults: Any) -> Any:
        """Return an alias of this rule.

        Args:
            name: name of the alias.
            description: meaning of the name. The text ``"Alias of RULE: "`` is put before the description.
            **defaults: new default values of parameters.
        """
        params = {key: attrs.evolve(param, default=defaults.get(key, param.default)) for key, param in self.params.items()}
        settings = f"({', '.join(f'{key}={value}' for key, value in defaults.items())})" if defaults else ""
        return attrs.evolve(
            self, name=name, params=params, alias_of=self.name, description=f"Alias of {self.name}{settings}: {description}"
        )

    def is_static(self, kernel: int, stride: int, dilation: int) -> bool:
        """Return True if the numbers are the same for every input length."""
        needs = self.needs_length
        try:
            return not (needs(kernel, stride, dilation) if callable(needs) else needs)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise PluginError(
                f"{self.kind} {self.name!r} ({self.provider}): needs_length failed for kernel {kernel}, stride {stride}, "
                f"dilation {dilation}: {raised(error)}."
            ) from error

    def resolve(
        self, kernel: int, stride: int, dilation: int, length: int | None, arguments: Mapping[str, Any]
    ) -> tuple[int, int]:
        """Return ``(left, right)`` in samples for one input length.

        Args:
            kernel, stride, dilation: sizes of the convolution, in samples.
            length: input length in samples. It may be None if the rule does not depend on the length.
            arguments: the rule's parameters, from `Part.arguments`.

        Raises:
            InvalidValueError: the rule refuses these sizes. The message contains the reason.
            PluginError: the function fails or does not return two integers.
        """
        known_length = None if self.is_static(kernel, stride, dilation) else length
        try:
            numbers = self.function(kernel, stride, dilation, known_length, **arguments)
        except ConvPolicyError as error:
            raise PluginError(f"{self.kind} {self.name!r} ({self.provider}) must return two integers: {error}") from error
        except ValueError as error:
            raise InvalidValueError(f"{self.kind} {self.name!r}: {said(error)}") from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            reads_length = known_length is None and isinstance(error, TypeError)
            hint = "; set needs_length=True if it reads the length" if reads_length else ""
            raise PluginError(
                f"{self.kind} {self.name!r} ({self.provider}) failed for kernel {kernel}, stride {stride}, dilation "
                f"{dilation}, length {known_length}: {raised(error)}{hint}."
            ) from error
        try:
            left, right = numbers
        except (TypeError, ValueError):
            raise PluginError(
                f"{self.kind} {self.name!r} ({self.provider}) must return (left, right), got {shown(numbers)}."
            ) from None
        try:
            return integer("left", left), integer("right", right)
        except ConvPolicyError as error:
            raise PluginError(f"{self.kind} {self.name!r} ({self.provider}) must return two integers: {error}") from error

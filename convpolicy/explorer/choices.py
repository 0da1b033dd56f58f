"""The choices of the page: policies, and every padding rule and padding mode with its variants."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from convpolicy import registry
from convpolicy.arithmetic import SIDES
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.policy import Policy
from convpolicy.core.transposed_plan import MODES
from convpolicy.core.transposed_policy import TransposedPolicy
from convpolicy.parts.choice import Choice
from convpolicy.parts.part import Param, Part

NUMBERS = "explicit"  # the rule for pads as numbers; the page has two fields for it
EXAMPLE_VALUE = 1.5  # an example of a constant that is not zero


def policies(extra: Sequence[Policy] = ()) -> list[Policy]:
    """Return ``extra``, then the registered policies by name; a policy of ``extra`` replaces a registered one."""
    # of two equal keys, a dictionary keeps the first place and the last value
    return list({policy.name: policy for policy in (*extra, *registry.current().working("policy").values(), *extra)}.values())


def paddings(offered: Sequence[LayerPolicy]) -> dict[str, Choice]:
    """Return text -> padding: every rule, its variants and the paddings of the policies, except `NUMBERS`.

    For policies of transposed convolutions, the rules are crop rules.
    """
    named = (Choice(rule) for policy in offered for _name, rule in policy.padding_names)
    used = (choice for choice in (*(policy.padding for policy in offered), *named) if not is_numbers(choice))
    return _choices(offered[0].part_kinds["padding"], used, lambda part: part.name != NUMBERS)


def is_numbers(choice: Choice) -> bool:
    """Return True if the page can write a padding as two numbers."""
    return choice.name == NUMBERS and set(dict(choice.params)) <= set(SIDES)


def halves(offered: Iterable[Policy]) -> list[TransposedPolicy]:
    """Return the policies of transposed convolutions."""
    return [policy.transposed for policy in offered if policy.transposed is not None]


def modes(offered: Iterable[Policy]) -> dict[str, Choice]:
    """Return text -> padding mode: every mode, its variants and the modes of the policies."""
    named = (choice for policy in offered for _name, choice in policy.mode_names)
    used = (*(policy.padding_mode for policy in offered), *named)
    return _choices("padding mode", used, lambda part: not part.is_per_side)


def transposed_modes(offered: Iterable[TransposedPolicy]) -> dict[str, Choice]:
    """Return text -> padding mode of transposed convolutions: the modes and the settings of the policies."""
    named = (choice for policy in offered for _name, choice in policy.mode_names)
    return {str(choice): choice for choice in (*map(Choice, MODES), *named)}


def _choices(kind: str, used: Iterable[Choice], is_listed: Callable[[Any], bool]) -> dict[str, Choice]:
    parts = registry.current().working(kind)
    listed = (choice for part in parts.values() if is_listed(part) for choice in _variants(part))
    return {str(choice): choice for choice in (*listed, *used)}


def _variants(part: Part) -> Iterator[Choice]:
    """Yield a part with its defaults, then with each other value of every parameter that has few values."""
    yield Choice(part.name)
    for name, param in part.params.items():
        for value in _values(name, param):
            yield Choice(part.name, **{name: value})


def _values(name: str, param: Param) -> tuple[Any, ...]:
    if param.kind == "name":
        return tuple(value for value in param.allowed if value != param.default)
    if param.kind == "flag":
        return (not param.default,)
    return (EXAMPLE_VALUE,) if param.kind == "values" and name == "value" else ()

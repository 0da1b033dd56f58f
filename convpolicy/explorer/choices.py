"""What the page offers: policies, their words, and every padding rule and mode with its variants."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from convpolicy import registry
from convpolicy.core.policy import Policy
from convpolicy.parts.choice import Choice
from convpolicy.parts.part import Param, Part

NUMBERS = "explicit"  # the rule of pads that are numbers, for which the page has two fields instead
EXAMPLE_VALUE = 1.5  # of a constant, since the default is zero


def policies(extra: Sequence[Policy] = ()) -> list[Policy]:
    """Return ``extra`` and then every other registered policy, by name."""
    # the first of a name decides its place, the last is the policy
    return list({policy.name: policy for policy in (*extra, *registry.current().working("policy").values(), *extra)}.values())


def paddings(offered: Iterable[Policy]) -> dict[str, Choice]:
    """Return text -> padding: every rule, its variants, and what the policies use, except `NUMBERS`."""
    words = (Choice(rule) for policy in offered for _word, rule in policy.padding_names)
    used = (*(policy.padding for policy in offered), *words)
    return _choices("padding rule", (choice for choice in used if choice.name != NUMBERS), lambda part: part.name != NUMBERS)


def modes(offered: Iterable[Policy]) -> dict[str, Choice]:
    """Return text -> padding mode: every mode, its variants, and what the policies use."""
    words = (choice for policy in offered for _word, choice in policy.mode_names)
    used = (*(policy.padding_mode for policy in offered), *words)
    return _choices("padding mode", used, lambda part: not part.is_per_side)


def _choices(kind: str, used: Iterable[Choice], is_listed: Callable[[Any], bool]) -> dict[str, Choice]:
    parts = registry.current().working(kind)
    listed = (choice for part in parts.values() if is_listed(part) for choice in _variants(part))
    return {str(choice): choice for choice in (*listed, *used)}


def _variants(part: Part) -> Iterator[Choice]:
    """Return a part as it is, and once more for each other value of its parameters that have a short list of values."""
    yield Choice(part.name)
    for name, param in part.params.items():
        for value in _values(name, param):
            yield Choice(part.name, **{name: value})


def _values(name: str, param: Param) -> tuple[Any, ...]:
    if param.kind == "name":
        return tuple(word for word in param.allowed if word != param.default)
    if param.kind == "flag":
        return (not param.default,)
    return (EXAMPLE_VALUE,) if param.kind == "values" and name == "value" else ()

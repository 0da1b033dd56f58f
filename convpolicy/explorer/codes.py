"""The call in each framework's code, with placeholders where sizes and pads go; `translation` writes all of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import product
from typing import Any

import attrs

from convpolicy import registry
from convpolicy.core.named import policy as named_policy
from convpolicy.core.policy import Policy
from convpolicy.errors import ConvPolicyError
from convpolicy.explorer.plans import PLAIN, Ranges, Tables
from convpolicy.parts.choice import Choice
from convpolicy.translation.dialect import Dialect
from convpolicy.translation.reading import Request
from convpolicy.translation.writing import write

CHANNELS = {"in_channels": 16, "out_channels": 32, "groups": 1}
NAMES = ("kernel_size", "stride", "dilation", "left", "right")
PROBES = ((61, 67, 71, 73, 79), (83, 89, 97, 53, 59))  # numbers that no code contains by itself, as long as real ones
SIGNS = {1: "+", 0: "0", -1: "-"}
INITIAL = "initial values:"  # how the comment starts that speaks of another generator
UNEVEN = "translate writes different code for different sizes here; run convpolicy translate."


def targets() -> dict[str, Dialect]:
    """Return the frameworks whose code can be written, by name."""
    return {name: dialect for name, dialect in registry.current().working("dialect").items() if dialect.writer is not None}


def code(dialect: Dialect, changes: Mapping[str, Any], kernel: int, stride: int, dilation: int) -> str:
    """Return the code of one layer of a framework, with its own bias and initial values.

    Args:
        dialect: of the framework.
        changes: ``padding`` and ``padding_mode``, as `Policy.evolve` takes them.
        kernel, stride, dilation: in samples.

    Raises:
        ConvPolicyError: the framework cannot express it; holds the reason.
    """
    own = named_policy(dialect.policy)
    policy: Policy = own.evolve(**changes)
    sizes = {"kernel_size": kernel, "stride": stride, "dilation": dilation, **CHANNELS}
    snippet = write(Request(dialect.name, sizes, policy, bias=own.bias), dialect)
    notes = tuple(note for note in snippet.notes if not note.startswith(INITIAL))
    return attrs.evolve(snippet, notes=notes).code


def rendered(template: str, numbers: Mapping[str, int]) -> str:
    """Return a template's code for these numbers; of pads it contains the size without the sign."""
    return re.sub(r"⟨(\w+)⟩", lambda match: str(abs(numbers[match[1]])) if match[1] in numbers else match[0], template)


def _template(text: str, numbers: Mapping[str, int]) -> str:
    """Return code with placeholders for the numbers that occur in it."""
    names = {str(abs(number)): name for name, number in reversed(list(numbers.items()))}
    return re.sub(r"(?<![\w.])\d+(?![\w.])", lambda match: f"⟨{names[match[0]]}⟩" if match[0] in names else match[0], text)


def shape_of(left: int, right: int, stride: int, dilation: int) -> str:
    """Return what of the numbers decides how code is written: signs, equal pads, and whether stride and dilation are said."""
    signs = "".join(SIGNS[(pad > 0) - (pad < 0)] for pad in (left, right))
    return f"{signs}{int(left == right)}{int(stride > 1)}{int(dilation > 1)}"


def by_numbers(dialect: Dialect, mode: Choice, tables: Tables, templates: Any) -> dict[str, int]:
    """Return `shape_of` -> number of a template, or the entry of a refusal, for pads that are numbers.

    `translation` may write a framework's word where numbers happen to be those of the word; a template always has the numbers.
    """
    found = {}
    for signs in product((1, 0, -1), repeat=2):
        for equal in {signs[0] == signs[1], False} if signs[0] else {signs[0] == signs[1]}:
            for strided, dilated in product((False, True), repeat=2):
                try:
                    texts = {_probed(dialect, mode, probe, signs, equal, strided, dilated) for probe in PROBES}
                    entry = templates.number(texts.pop()) if len(texts) == 1 else tables.refusal(UNEVEN)
                except ConvPolicyError as error:
                    entry = tables.refusal(_refusal(error))
                kernel, stride, dilation = 1, 1 + strided, 1 + dilated
                left, right = _pads((kernel, stride, dilation, 1, 2), signs, equal)
                found[shape_of(left, right, stride, dilation)] = entry
    return found


def _pads(numbers: tuple[int, ...], signs: tuple[int, ...], equal: bool) -> tuple[int, int]:
    left, right = numbers[3], numbers[3] if equal else numbers[4]
    return left * signs[0], right * signs[1]


def _probed(
    dialect: Dialect, mode: Choice, probe: tuple[int, ...], signs: tuple[int, ...], equal: bool, strided: bool, dilated: bool
) -> str:
    left, right = _pads(probe, signs, equal)
    kernel, stride, dilation = probe[0], probe[1] if strided else 1, probe[2] if dilated else 1
    text = code(dialect, {"padding": (left, right), "padding_mode": mode}, kernel, stride, dilation)
    numbers = dict(zip(NAMES, (kernel, probe[1], probe[2], left or probe[3], right or probe[4])))
    return _template(text, numbers)


def _refusal(error: ConvPolicyError) -> str:
    """Return a refusal with placeholders for the numbers of a probe."""
    text = str(error)
    for probe in PROBES:
        text = _template(text, dict(zip(NAMES, probe)))
    return text


def by_rule(dialect: Dialect, rule: Choice, is_word: bool, ranges: Ranges, templates: Any) -> list[int]:
    """Return for each window the number of a template for a rule of zeros, or -1 where only numbers can be written.

    Args:
        dialect: of the framework.
        rule: the padding.
        is_word: True for a rule that some framework has a word for, which is then written also where the pads are known numbers.
        ranges: the sizes.
        templates: a `Store` of templates.
    """
    own: list[str] = []  # templates of this rule, tried first: one mostly fits all sizes
    found = []
    for window in reversed(ranges.windows()):  # large sizes first, which are seldom other numbers of the code
        try:
            pads = named_policy(dialect.policy).evolve(padding=rule).static_pads(*window)
            text = code(dialect, {"padding": rule, "padding_mode": PLAIN}, *window) if is_word or pads is None else None
        except ConvPolicyError:
            text = None
        if text is None:
            found.append(-1)
            continue
        numbers = dict(zip(NAMES, (*window, *(pads or ()))))
        fitting = next((template for template in own if rendered(template, numbers) == text), None)
        if fitting is None:
            fitting = _template(text, numbers)
            own.append(fitting)
        found.append(templates.number(fitting))
    return found[::-1]

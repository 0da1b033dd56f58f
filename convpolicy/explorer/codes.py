"""Code of a layer in each framework, as templates with placeholders for sizes and pads; `translation` writes the code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import product
from typing import Any

import attrs

from convpolicy import registry
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.named import policy as named_policy
from convpolicy.errors import ConvPolicyError
from convpolicy.explorer.plans import PLAIN, Ranges, Tables
from convpolicy.parts.choice import Choice
from convpolicy.translation.dialect import Dialect
from convpolicy.translation.reading import Request
from convpolicy.translation.writing import write

CHANNELS = {"in_channels": 16, "out_channels": 32, "groups": 1}
NAMES = ("kernel_size", "stride", "dilation", "left", "right")
PROBES = ((61, 67, 71, 73, 79), (83, 89, 97, 53, 59))  # values for NAMES that occur nowhere else in generated code
SIGNS = {1: "+", 0: "0", -1: "-"}
INITIAL = "initial values:"  # start of the comment about initial values, which the page omits
UNEVEN = "The code depends on the sizes here; run convpolicy translate."


def targets() -> dict[str, Dialect]:
    """Return the dialects that can write code, by name."""
    return {name: dialect for name, dialect in registry.current().working("dialect").items() if dialect.writer is not None}


def code(dialect: Dialect, policy: LayerPolicy, kernel: int, stride: int, dilation: int) -> str:
    """Return the code of one layer of a framework, with the framework's default bias and initial values.

    Args:
        dialect: dialect of the framework.
        policy: `default` of the dialect with another ``padding`` and ``padding_mode``.
        kernel, stride, dilation: in samples.

    Raises:
        ConvPolicyError: the framework has no such layer. The message contains the reason.
    """
    sizes = {"kernel_size": kernel, "stride": stride, "dilation": dilation, **CHANNELS}
    snippet = write(Request(dialect.name, sizes, policy, bias=policy.bias), dialect)
    notes = tuple(note for note in snippet.notes if not note.startswith(INITIAL))
    return attrs.evolve(snippet, notes=notes).code


def default(dialect: Dialect, *, transposed: bool = False) -> LayerPolicy:
    """Return the policy of a framework's layer."""
    policy = named_policy(dialect.policy)
    return policy.half() if transposed else policy


def rendered(template: str, numbers: Mapping[str, int]) -> str:
    """Return a template with its placeholders replaced by numbers; pads are written without their sign."""
    return re.sub(r"⟨(\w+)⟩", lambda match: str(abs(numbers[match[1]])) if match[1] in numbers else match[0], template)


def _template(text: str, numbers: Mapping[str, int]) -> str:
    """Return code in which each of the numbers is replaced by a placeholder."""
    names = {str(abs(number)): name for name, number in reversed(list(numbers.items()))}
    return re.sub(r"(?<![\w.])\d+(?![\w.])", lambda match: f"⟨{names[match[0]]}⟩" if match[0] in names else match[0], text)


def shape_of(left: int, right: int, stride: int, dilation: int) -> str:
    """Return a key for the form of the code.

    It contains the signs of the pads, and 0 or 1 for equal pads, for a stride above 1 and for a dilation above 1.
    """
    signs = "".join(SIGNS[(pad > 0) - (pad < 0)] for pad in (left, right))
    return f"{signs}{int(left == right)}{int(stride > 1)}{int(dilation > 1)}"


def by_numbers(dialect: Dialect, mode: Choice, tables: Tables, templates: Any) -> dict[str, int]:
    """Return `shape_of` -> number of a template, or entry of a refusal, for pads as numbers.

    `translation` may write a framework's name, such as "same", for numbers that equal it. A template always has the numbers.
    """
    entries = {}
    for signs in product((1, 0, -1), repeat=2):
        for equal in {signs[0] == signs[1], False} if signs[0] else {signs[0] == signs[1]}:
            for strided, dilated in product((False, True), repeat=2):
                try:
                    texts = {_probe_template(dialect, mode, probe, signs, equal, strided, dilated) for probe in PROBES}
                    entry = templates.number(texts.pop()) if len(texts) == 1 else tables.refusal(UNEVEN)
                except ConvPolicyError as error:
                    entry = tables.refusal(_refusal(error))
                kernel, stride, dilation = 1, 1 + strided, 1 + dilated
                left, right = _pads((kernel, stride, dilation, 1, 2), signs, equal)
                entries[shape_of(left, right, stride, dilation)] = entry
    return entries


def _pads(numbers: tuple[int, ...], signs: tuple[int, ...], equal: bool) -> tuple[int, int]:
    left, right = numbers[3], numbers[3] if equal else numbers[4]
    return left * signs[0], right * signs[1]


def _probe_template(
    dialect: Dialect, mode: Choice, probe: tuple[int, ...], signs: tuple[int, ...], equal: bool, strided: bool, dilated: bool
) -> str:
    left, right = _pads(probe, signs, equal)
    kernel, stride, dilation = probe[0], probe[1] if strided else 1, probe[2] if dilated else 1
    text = code(dialect, default(dialect).evolve(padding=(left, right), padding_mode=mode), kernel, stride, dilation)
    numbers = dict(zip(NAMES, (kernel, probe[1], probe[2], left or probe[3], right or probe[4])))
    return _template(text, numbers)


def _refusal(error: ConvPolicyError) -> str:
    """Return the text of a refusal, with placeholders for the numbers of a probe."""
    text = str(error)
    for probe in PROBES:
        text = _template(text, dict(zip(NAMES, probe)))
    return text


def by_rule(
    dialect: Dialect, rule: Choice, has_name: bool, ranges: Ranges, templates: Any, *, transposed: bool = False
) -> list[int]:
    """Return, for each window, the number of a template for a rule that adds zeros, or -1 if the code has to use numbers.

    Args:
        dialect: dialect of the framework.
        rule: the padding.
        has_name: True if a framework has a name for the rule; its code is then included also for pads that do not depend on the
            length.
        ranges: sizes that the page contains.
        templates: a `Store` of templates.
        transposed: True for a crop rule of a transposed layer.
    """
    rule_templates: list[str] = []  # templates of this rule; usually one fits all sizes
    entries = []
    try:
        policy = default(dialect, transposed=transposed).evolve(padding=rule, padding_mode=PLAIN)
    except ConvPolicyError:
        return [-1] * len(ranges.windows())
    for window in reversed(ranges.windows()):  # large sizes first: small ones may equal other numbers in the code
        try:
            pads = policy.static_pads(*window)
            text = code(dialect, policy, *window) if has_name or pads is None else None
        except ConvPolicyError:
            text = None
        if text is None:
            entries.append(-1)
            continue
        numbers = dict(zip(NAMES, (*window, *(pads or ()))))
        match = next((template for template in rule_templates if rendered(template, numbers) == text), None)
        if match is None:
            match = _template(text, numbers)
            rule_templates.append(match)
        entries.append(templates.number(match))
    return entries[::-1]

"""Code of a transposed layer in each framework, as templates for all sizes whose code has the same form.

The numbers in such code are computed from the sizes, as Flax's pads or the zeros that are added to the input. `numbers_of` computes them
and `form_of` the form; transposed.js does the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from convpolicy.arithmetic import effective_kernel
from convpolicy.errors import ConvPolicyError
from convpolicy.explorer.codes import UNEVEN, code, default
from convpolicy.explorer.plans import Tables
from convpolicy.parts.choice import Choice
from convpolicy.translation.dialect import Dialect

NUMBER = re.compile(r"(?<![\w.])(\d+)(?![\w.])")
SIGNS = ("left", "right", "first_rest", "last_rest", "trimmed", "before", "after")  # numbers whose sign decides the form
WRAP_SIGNS = ("wrap_first", "wrap_last", "wrap_left", "wrap_right")  # the same for mode "circular"
Sizes = tuple[int, int, int, int, int]  # kernel, stride, dilation, and what is cut left and right


def numbers_of(sizes: Sizes) -> dict[str, int]:
    """Return every number that the code of a transposed layer can contain, by name."""
    kernel, stride, dilation, left, right = sizes
    window = effective_kernel(kernel, dilation)
    first, last = -(min(left, 0) // stride), -(min(right, 0) // stride)
    return {
        "kernel_size": kernel,
        "stride": stride,
        "dilation": dilation,
        "left": left,
        "right": right,
        "window": window,
        "before": window - 1 - left,  # Flax's pads
        "after": window - 1 - right,
        "output_padding": left - right,
        "keras_output_padding": window - window % 2 - left - right,  # with padding="same"
        "first": first,  # zeros added to the input, and what is then cut
        "last": last,
        "first_rest": left + first * stride,
        "last_rest": right + last * stride,
        "trimmed": right + last * stride + max(stride - window, 0),  # where a framework appends zeros by itself
        **_wrap(left, stride, window),
    }


def _wrap(left: int, stride: int, window: int) -> dict[str, int]:
    """Return the samples that mode "circular" adds to the input from its other end, and what is then cut."""
    first = max((window - 1 - left) // stride, 0)
    last = max(-(-left // stride), -(-(left + stride - window) // stride), 0)
    cuts = left + first * stride, (last - 1) * stride + window - left
    return dict(zip(WRAP_SIGNS, (first, last, *cuts)))


def form_of(numbers: Mapping[str, int], circular: bool) -> str:
    """Return a key for the form of the code: signs, and whether the numbers have the properties that decide it."""
    left, right, stride, window = (numbers[name] for name in ("left", "right", "stride", "window"))
    longer, total = numbers["output_padding"], window - stride
    half, more = total // 2, numbers["keras_output_padding"]
    wraps = circular and max(left, right) > 0
    facts = [
        left == right,
        stride > 1,
        numbers["dilation"] > 1,
        0 < longer < stride,
        0 < longer < max(stride, numbers["dilation"]),
        0 < -right < stride,
        numbers["trimmed"] <= window,
        numbers["last_rest"] <= window,
        (left, right) == (0, min(total, 0)),
        (left, right) == ((half, total - half) if total > 0 else (0, total)),
        (left, right) == (total - half, half),
        0 <= right - left <= 1 and (1 - window % 2) <= more < stride,
        wraps,
        wraps and left + right == total,
    ]
    signs = (numbers[name] for name in (*SIGNS, *(WRAP_SIGNS if wraps else ())))
    return "".join("+" if sign > 0 else "-" if sign < 0 else "0" for sign in signs) + "".join(str(int(fact)) for fact in facts)


def by_form(dialect: Dialect, mode: Choice, groups: Mapping[str, list[Sizes]], tables: Tables, templates: Any) -> dict[str, int]:
    """Return `form_of` -> number of a template, or entry of a refusal.

    Args:
        dialect: dialect of the framework.
        mode: the padding mode.
        groups: the page's sizes of each form; see `grouped`.
        tables: the page's tables.
        templates: a `Store` of templates.
    """
    entries = {}
    for form, sizes in groups.items():
        examples = _examples(sizes)
        refused, texts = zip(*(_written(dialect, mode, example) for example in examples))
        template = _template(texts, [numbers_of(example) for example in examples])
        if template is None or len({*refused}) > 1:
            entries[form] = tables.refusal(UNEVEN)
        else:
            entries[form] = tables.refusal(template) if refused[0] else templates.number(template)
    return entries


def grouped(sizes: Iterable[Sizes], circular: bool) -> dict[str, list[Sizes]]:
    """Return `form_of` -> the sizes of this form."""
    groups: dict[str, list[Sizes]] = {}
    for each in sorted(set(sizes), reverse=True):
        groups.setdefault(form_of(numbers_of(each), circular), []).append(each)
    return groups


def _examples(sizes: list[Sizes]) -> list[Sizes]:
    """Return sizes that tell apart all numbers that differ anywhere among the sizes, from each other and from a constant."""
    values = np.abs([list(numbers_of(each).values()) for each in sizes])
    chosen = [int(np.argmax([len(set(row)) for row in values.tolist()]))]
    while True:
        known = values[chosen]
        equal = (known[:, :, None] == known[:, None]).all(axis=0)  # pairs of numbers that the examples do not tell apart
        split = ((values[:, :, None] != values[:, None]) & equal).sum(axis=(1, 2))
        split += ((values != known[0]) & (known == known[0]).all(axis=0)).sum(axis=1)
        if not split.any():
            return [sizes[number] for number in chosen]
        chosen.append(int(np.argmax(split)))


def _written(dialect: Dialect, mode: Choice, sizes: Sizes) -> tuple[bool, str]:
    """Return whether the framework has no such layer, and its code or the reason."""
    kernel, stride, dilation, *cuts = sizes
    try:
        policy = default(dialect, transposed=True).evolve(padding=tuple(cuts), padding_mode=mode)
        return False, code(dialect, policy, kernel, stride, dilation)
    except ConvPolicyError as error:
        return True, str(error)


def _template(texts: Iterable[str], numbers: list[dict[str, int]]) -> str | None:
    """Return texts as one template, or None if they differ in more than the numbers."""
    parts = [NUMBER.split(text) for text in texts]
    if len({tuple(part[::2]) for part in parts}) > 1:
        return None
    template = list(parts[0])
    for place in range(1, len(template), 2):
        values = [int(part[place]) for part in parts]
        names = (name for name in numbers[0] if all(abs(each[name]) == value for each, value in zip(numbers, values)))
        name = next(names, None)
        if name is None and len({*values}) > 1:
            return None
        template[place] = template[place] if name is None else f"⟨{name}⟩"
    return "".join(template)

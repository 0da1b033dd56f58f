"""The keys of a policy file, from the fields of `Policy` and `Paper`; every example is read as a policy."""

from __future__ import annotations

from typing import Any

import attrs
from marks import table

import convpolicy as cp
from convpolicy.core.named import read_policy
from convpolicy.core.paper import Paper
from convpolicy.core.plain_data import KINDS, PART_FIELDS, field_names

TEXT, WORDS = "text", "table"
PART = "name, or table with `name` and parameters"
TYPES = {str: TEXT, bool: "`true` or `false`"}
PADDING = "name, integer, pair of integers, or table"
INITIALIZER = "name, number, or table"
# key -> its type where it is not that of KINDS or PART, what it means, an example
KEYS: dict[str, tuple[str, str, str]] = {
    "name": ("", "The name of the policy. A built-in policy's name is refused.", '"my-policy"'),
    "padding": (PADDING, "The padding rule. Words of `padding_names` come first.", "[2, 1]"),
    "padding_mode": (
        "name, table, or pair of them: left, right",
        "What the added samples are.",
        '{ name = "reflect", overflow = "periodic" }',
    ),
    "bias": ("", "Whether a layer has a bias when the call does not say.", "false"),
    "weight_init": (INITIALIZER, "The initial weights.", '{ name = "normal", std = 0.02 }'),
    "bias_init": (INITIALIZER, "The initial bias.", '"zeros"'),
    "layout": ("", "Axes and parameter names of the weight.", '"WIO"'),
    "data_layout": ("", "Axes of the input.", '"NWC"'),
    "random_stream": ("", "How a seed becomes numbers.", '"torch"'),
    "padding_names": (WORDS, "Your words for `padding`, and the rules that they mean.", '{ same = "same_lower" }'),
    "mode_names": (WORDS, "Words for `padding` that also set `padding_mode`.", '{ CIRCULAR = "circular" }'),
    "init_names": (WORDS, "Words for `weight_init`.", '{ as_written = "xavier_uniform" }'),
    "weight_norm": (
        "`0`, `1`, `2` or `false`",
        "Weight normalization: the axis of (out, in/groups, kernel) that keeps one norm per index.",
        "0",
    ),
    "strided_dilation": ("", "`false`: stride and dilation above 1 in one layer are refused, as Keras does.", "false"),
    "dilated_output_padding": (
        "",
        "Only in `transposed`. `false`: an `output_padding` from the stride on is refused for every dilation, as Paddle does.",
        "false",
    ),
    "framework": ("", "The framework that the policy claims to be.", '"torch"'),
    "versions": ("", "The versions for which it holds, a specifier.", '">=2.1,<2.11"'),
    "measured": ("", "The versions that it was compared with.", '"2.10.0"'),
    "source": ("", "Where the behaviour is defined.", '"Smith et al. (2020), section 3"'),
    "description": ("", "One sentence.", '"Reflects 2 samples on the left and 1 on the right."'),
    "transposed": (
        WORDS,
        "The transposed convolution, as a table with these keys; `padding` names a crop rule. `true`: the file is about it alone.",
        '{ padding = "causal" }',
    ),
    "paper": (WORDS, "Where the policy of a published model comes from; see below.", ""),
}
PAPER: dict[str, tuple[str, str]] = {
    "model": (TEXT, "What the policy is of."),
    "citation": (TEXT, "Authors, year, title."),
    "link": (TEXT, "The address of the paper."),
    "trap": (TEXT, "How its convolution is commonly reproduced wrongly."),
    "numbers": (TEXT, "Which initial weights the paper's numbers came from."),
    "evidence": (TEXT, "The implementations and versions that it was compared with."),
    "drawn_layer": (TEXT, "The layer that the picture shows, a name in `layers`."),
    "drawn_length": ("integer", "The input length of the picture, in samples."),
    "layers": (WORDS, "The paper's layers by name, each a table of arguments of `Conv1d`."),
    "transposed_layers": (WORDS, "The same for `ConvTranspose1d`. It may be left out."),
}


def _shown(value: Any) -> str:
    if value is attrs.NOTHING:
        return "required"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, cp.Choice):
        return f'`"{value}"`'
    return "empty" if value in ("", None, ()) else f"`{value!r}`"


def _checked(key: str, example: str) -> str:
    """Return an example as a line of a file, after reading it as a policy."""
    if not example:
        return ""
    line = f"{key} = {example}"
    read_policy("\n".join(["schema = 1", *(['name = "my-policy"'] if key != "name" else []), line]), "example.toml")
    return f"`{line}`"


def policy() -> str:
    """Return every key of a policy file."""
    plain = cp.Policy("plain")  # with every default
    defaults = {name: getattr(plain, name) for name in field_names(cp.Policy)} | {"name": attrs.NOTHING}
    rows = [("`schema`", "integer", "required", "The version of the format: 1.", "`schema = 1`")]
    for key in field_names(cp.Policy):
        kind, meaning, example = KEYS[key]
        kind = kind or (PART if key in PART_FIELDS else TYPES[KINDS[key]])
        rows.append((f"`{key}`", kind, _shown(defaults[key]), meaning, _checked(key, example)))
    half = cp.TransposedPolicy("plain")
    for key in field_names(cp.TransposedPolicy):
        if key not in defaults:
            _kind, meaning, example = KEYS[key]
            example = _checked("transposed", f"{{ {key} = {example} }}")
            rows.append((f"`{key}`", TYPES[KINDS[key]], _shown(getattr(half, key)), meaning, example))
    return table(("key", "type", "default", "meaning", "example"), rows)


def paper() -> str:
    """Return every key of the table ``paper``; all are required."""
    rows = [(f"`{field.name}`", *PAPER[field.name]) for field in attrs.fields(Paper)]
    return table(("key", "type", "meaning"), rows)


TABLES = {"keys of a policy": policy, "keys of a paper": paper}

"""Collects the data of a page as plain Python, and packs it into compressed text."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.policy import Policy
from convpolicy.core.transposed_plan import CIRCULAR
from convpolicy.core.transposed_policy import TransposedPolicy
from convpolicy.errors import ConvPolicyError
from convpolicy.explorer.choices import halves, is_numbers, transposed_modes
from convpolicy.explorer.choices import modes as modes_of
from convpolicy.explorer.choices import paddings as paddings_of
from convpolicy.explorer.choices import policies as policies_of
from convpolicy.explorer.codes import by_numbers, by_rule, targets
from convpolicy.explorer.plans import PLAIN, Ranges, Store, Tables, refused_windows
from convpolicy.explorer.streams import Streams
from convpolicy.explorer.transposed_codes import by_form, grouped
from convpolicy.parts.choice import Choice
from convpolicy.registry import current


def collect(extra: Sequence[Policy], ranges: Ranges) -> dict[str, Any]:
    """Return the data of a page as plain data.

    Args:
        extra: policies to show besides the registered ones, such as policies from files.
        ranges: sizes that the page contains.
    """
    offered = policies_of(extra)
    paddings, modes = paddings_of(offered), modes_of(offered)
    tables = Tables(ranges)
    streams = Streams(tables)
    rules = [
        {
            "name": name,
            "description": _description("padding rule", choice),
            **tables.padding(choice),
            "stream": streams.rule(choice),
        }
        for name, choice in paddings.items()
    ]
    policies = [_policy(policy, list(paddings), list(modes), tables) for policy in offered]
    templates = Store()
    transposed = _transposed(halves(offered), tables, streams, templates)
    outputs, widths = tables.outputs(), tables.widths
    mode_tables = [
        {
            "name": name,
            "description": _description("padding mode", choice),
            "added": tables.mode(choice, widths),
            "stream": streams.mode(choice),
        }
        for name, choice in modes.items()
    ]
    named_rules = {rule for policy in offered for _name, rule in policy.padding_names}
    code_tables = {}
    for name, dialect in targets().items():
        numbers = [by_numbers(dialect, mode, tables, templates) for mode in modes.values()]
        rows = [
            tables.row(by_rule(dialect, rule, rule.name in named_rules and not rule.params, ranges, templates))
            for rule in paddings.values()
        ]
        code_tables[name] = {"numbers": numbers, "rules": rows}
    return {
        "ranges": {name: list(getattr(ranges, name)) for name in ranges._fields},
        "policies": policies,
        "transposed": transposed,
        "rules": rules,
        "modes": mode_tables,
        "plain": list(modes).index(PLAIN.name),
        "codes": code_tables,
        "outputs": outputs,
        "widths": widths,
        "starts": streams.starts.values,
        "waits": streams.waits.values,
        **{name: getattr(tables, name).values for name in ("texts", "pairs", "rows", "sides", "ends", "added", "crops")},
        "templates": templates.values,
    }


def _transposed(offered: Sequence[TransposedPolicy], tables: Tables, streams: Streams, templates: Store) -> dict[str, Any]:
    """Return the policies, crop rules, modes and codes of transposed convolutions, in the form of those of convolutions."""
    crops, modes = paddings_of(offered), transposed_modes(offered)
    rules = [
        {
            "name": name,
            "description": _description("crop rule", choice),
            **tables.cropping(choice),
            "stream": streams.crop(choice),
        }
        for name, choice in crops.items()
    ]
    return {
        "codes": _transposed_codes(crops, modes, rules, tables, templates),
        "policies": [_policy(policy, list(crops), list(modes), tables) for policy in offered],
        "rules": rules,
        "modes": [{"name": name, "description": "", "stream": streams.transposed_mode(choice)} for name, choice in modes.items()],
        "plain": list(modes).index(PLAIN.name),
    }


def _transposed_codes(
    crops: Mapping[str, Choice], modes: Mapping[str, Choice], rules: list[dict[str, Any]], tables: Tables, templates: Store
) -> dict[str, Any]:
    """Return, for each framework, the codes for cuts as numbers by mode and form, and those of the framework's names for crop rules."""
    sizes = [(*window, *cuts) for window, pairs in tables.cuts(rules).items() for cuts in pairs]
    groups = {name: grouped(sizes, mode.name == CIRCULAR) for name, mode in modes.items()}
    codes = {}
    for name, dialect in targets().items():
        half = current().get("policy", dialect.policy).transposed
        names = {} if half is None else dict(half.padding_names)
        codes[name] = {
            "numbers": [by_form(dialect, mode, groups[each], tables, templates) for each, mode in modes.items()],
            "rules": [
                tables.row(
                    by_rule(
                        dialect, rule, rule.name in names.values() and not rule.params, tables.ranges, templates, transposed=True
                    )
                )
                for rule in crops.values()
            ],
        }
    return codes


def packed(data: dict[str, Any]) -> str:
    """Return plain data as JSON, compressed with zlib and encoded in base64."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode("ascii")


def unpacked(text: str) -> dict[str, Any]:
    """Return the plain data in a text that `packed` returned."""
    data: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(text)))
    return data


def _description(kind: str, choice: Choice) -> str:
    try:
        return str(current().get(kind, choice.name).description)
    except ConvPolicyError as error:
        return str(error)


def _policy(policy: LayerPolicy, paddings: list[str], modes: list[str], tables: Tables) -> dict[str, Any]:
    """Return a policy's padding, its names for padding, and the sizes that its framework refuses.

    Rules and modes are indices into the lists ``paddings`` and ``modes``.
    """
    mode_names = dict(policy.mode_names)
    return {
        "name": policy.name,
        "description": policy.description,
        "padding": _padding(policy.padding, paddings),
        "mode": modes.index(str(policy.padding_mode)),
        "words": [
            [name, _padding(Choice(rule), paddings), modes.index(str(mode_names[name])) if name in mode_names else -1]
            for name, rule in policy.padding_names
        ],
        "refused": refused_windows(policy, tables.ranges, tables.refusal),
    }


def _padding(choice: Choice, paddings: list[str]) -> int | list[int]:
    """Return the index of a rule in the list, or two numbers."""
    if not is_numbers(choice):
        return paddings.index(str(choice))
    pads = dict(choice.params)
    return [int(pads.get(side, 0)) for side in ("left", "right")]

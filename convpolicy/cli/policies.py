"""Policies on the command line: a name or a file, optionally with settings after a colon."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from convpolicy.cli import arguments
from convpolicy.core import resolution
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.named import load_policy, policy
from convpolicy.core.policy import Policy
from convpolicy.errors import InvalidValueError, nearest, shown, with_hint
from convpolicy.files.data import FORMATS

METAVAR = "POLICY|FILE[:SETTINGS]"
TRANSPOSED = "transposed"  # a setting without a value: the policy of the transposed convolution
EXAMPLES = "torch, mine.toml, keras:same or torch:padding=1,padding_mode=reflect,bias=False"
_FILE = re.compile(rf"(.+?(?:{'|'.join(map(re.escape, FORMATS))}))(?::(.*))?", re.DOTALL)


def _flag(field: str, text: str) -> bool:
    flags = {"true": True, "false": False}
    if text.lower() not in flags:
        raise InvalidValueError(f"{field} must be True or False, got {text!r}; write one of them.")
    return flags[text.lower()]


def _axis(_field: str, text: str) -> Any:
    return {"none": None, "false": False}.get(text.lower(), arguments.value(text))


def _initializer(field: str, text: str) -> Any:
    number = arguments.value(text)
    return arguments.choice(field, text) if "(" in text else number


# field of a policy -> function (field, text) that parses its value
SETTINGS: Mapping[str, Callable[[str, str], Any]] = {
    "padding": lambda _field, text: arguments.padding(text),
    "output_padding": lambda _field, text: arguments.value(text),
    "padding_mode": lambda _field, text: arguments.padding_mode(text),
    "bias": _flag,
    "weight_init": _initializer,
    "bias_init": _initializer,
    "layout": arguments.choice,
    "data_layout": arguments.choice,
    "random_stream": arguments.choice,
    "weight_norm": _axis,
}


def policy_of(text: str, *, transposed: bool = False) -> LayerPolicy:
    """Return the policy that a text names, with its settings.

    Args:
        text: the name or file of a policy, optionally with settings: ``"torch"``, ``"mine.toml"``, ``"keras:same"`` or
            ``"torch:padding=1,bias=False"``. A setting without a name is the padding, as the framework names it. The setting
            ``transposed`` selects the policy of the transposed convolution: ``"torch:transposed,padding=1"``.
        transposed: True has the effect of the setting ``transposed``.

    Returns:
        The policy. With settings, its name is ``text``, and it is no longer verified against the framework.

    Raises:
        ConvPolicyError: the policy or a setting is unknown, or a file or value is invalid.
    """
    name, settings = _divided(text)
    base: LayerPolicy = load_policy(name) if Path(name).suffix in FORMATS else policy(name)
    pieces = [] if settings is None else arguments.split(settings)
    others = [piece for piece in pieces if piece.strip() != TRANSPOSED]
    if isinstance(base, Policy) and (transposed or len(others) < len(pieces)):
        base = base.half()
    if not others:
        return base
    changes = {field: SETTINGS[field](field, setting) for field, setting in _fields(text, others).items()}
    output_padding = changes.pop("output_padding", None)
    changed = with_output_padding(base.evolve(**changes), output_padding)
    return changed.evolve(name=f"{base.name}:{','.join(others)}")


def with_output_padding(policy: LayerPolicy, output_padding: Any) -> LayerPolicy:
    """Return a policy whose crop rule has this ``output_padding``; None changes nothing.

    Raises:
        InvalidValueError: the policy is not of a transposed convolution, or its crop rule has no such parameter.
    """
    if output_padding is None:
        return policy
    if not policy.is_transposed:
        raise InvalidValueError(
            f"output_padding must be left out for a policy of Conv1d, got {shown(output_padding)}; add the setting transposed."
        )
    return policy.evolve(padding=resolution.with_output_padding(policy.padding, output_padding))


def _divided(text: str) -> tuple[str, str | None]:
    file = _FILE.fullmatch(text)
    if file is not None:
        return file[1], file[2]
    name, colon, settings = text.partition(":")
    return name, settings if colon else None


def _fields(policy_text: str, pieces: list[str]) -> dict[str, str]:
    """Return the text of each setting by field; a piece without a name continues the previous setting, as in ``padding=3,1``."""
    texts: dict[str, str] = {}
    field = ""
    for piece in pieces:
        name, equals, text = (part.strip() for part in piece.partition("="))
        if equals and "(" not in name:
            if name not in SETTINGS:
                fault = f"a policy has no setting {name!r}, as in {policy_text!r}"
                raise InvalidValueError(with_hint(fault, "it has", SETTINGS, nearest(name, SETTINGS)))
            if name in texts:
                raise InvalidValueError(f"{name!r} occurs twice in {policy_text!r}; write it once.")
            field, texts[name] = name, text
        else:
            field = field or "padding"
            texts[field] = f"{texts[field]},{piece.strip()}" if field in texts else piece.strip()
    empty = next((field for field, text in texts.items() if not text), None)
    if empty is not None:
        raise InvalidValueError(f"{empty} needs a value in {policy_text!r}; write for example {EXAMPLES}.")
    return texts

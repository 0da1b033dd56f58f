"""A policy on the command line: a name or a file, with settings behind a colon."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from convpolicy.cli import arguments
from convpolicy.core.named import load_policy, policy
from convpolicy.core.policy import Policy
from convpolicy.errors import InvalidValueError, nearest, with_hint
from convpolicy.files.data import FORMATS

METAVAR = "POLICY|FILE[:SETTINGS]"
EXAMPLES = "torch, mine.toml, keras:same or torch:padding=1,padding_mode=reflect,bias=False"
_FILE = re.compile(rf"(.+?(?:{'|'.join(map(re.escape, FORMATS))}))(?::(.*))?", re.DOTALL)


def _flag(field: str, word: str) -> bool:
    flags = {"true": True, "false": False}
    if word.lower() not in flags:
        raise InvalidValueError(f"{field} must be True or False, got {word!r}; write one of them.")
    return flags[word.lower()]


def _axis(_field: str, word: str) -> Any:
    return {"none": None, "false": False}.get(word.lower(), arguments.value(word))


def _initializer(field: str, word: str) -> Any:
    number = arguments.value(word)
    return arguments.choice(field, word) if "(" in word else number


# field of a policy -> how its text is read
SETTINGS: Mapping[str, Callable[[str, str], Any]] = {
    "padding": lambda _field, word: arguments.padding(word),
    "padding_mode": lambda _field, word: arguments.padding_mode(word),
    "bias": _flag,
    "weight_init": _initializer,
    "bias_init": _initializer,
    "layout": arguments.choice,
    "data_layout": arguments.choice,
    "random_stream": arguments.choice,
    "weight_norm": _axis,
}


def policy_of(word: str) -> Policy:
    """Read a policy: a registered name or a policy file, and settings that replace its own.

    Args:
        word: ``"torch"``, ``"mine.toml"``, ``"torch:padding=1,bias=False"``; a setting without a name is the padding, in the
            policy's own words first: ``"keras:same"``.

    Returns:
        The policy. With settings it is named by ``word`` and no longer claims to be the framework.

    Raises:
        ConvPolicyError: an unknown policy, a broken file, an unknown setting or a bad value.
    """
    name, settings = _divided(word)
    base = load_policy(name) if Path(name).suffix in FORMATS else policy(name)
    if settings is None:
        return base
    changes = {field: SETTINGS[field](field, text) for field, text in _fields(word, settings).items()}
    return base.evolve(**changes).evolve(name=f"{base.name}:{settings}")


def _divided(word: str) -> tuple[str, str | None]:
    file = _FILE.fullmatch(word)
    if file is not None:
        return file[1], file[2]
    name, colon, settings = word.partition(":")
    return name, settings if colon else None


def _fields(word: str, settings: str) -> dict[str, str]:
    """Return the text of each setting by field; a piece without a name continues the setting before it: ``padding=3,1``."""
    texts: dict[str, str] = {}
    field = ""
    for piece in arguments.split(settings):
        name, equals, text = (part.strip() for part in piece.partition("="))
        if equals and "(" not in name:
            if name not in SETTINGS:
                fault = f"a policy has no setting {name!r}, as in {word!r}"
                raise InvalidValueError(with_hint(fault, "it has", SETTINGS, nearest(name, SETTINGS)))
            if name in texts:
                raise InvalidValueError(f"{name!r} stands twice in {word!r}; write it once.")
            field, texts[name] = name, text
        else:
            field = field or "padding"
            texts[field] = f"{texts[field]},{piece.strip()}" if field in texts else piece.strip()
    empty = next((field for field, text in texts.items() if not text), None)
    if empty is not None:
        raise InvalidValueError(f"{empty} needs a value in {word!r}; write for example {EXAMPLES}.")
    return texts

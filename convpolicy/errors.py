"""Every error convpolicy raises on purpose, and the sentence for a name that is not known."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

MOST_SHOWN = 500  # characters of a value that a message repeats
# what would move a terminal's cursor, change its colours or the order of what is read, and how it is printed instead
CONTROLS = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))} | {
    code: f"\\u{code:04x}" for code in (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}


class ConvPolicyError(Exception):
    """Base of every error raised on purpose; each subclass is also the builtin a caller would catch."""


class InvalidValueError(ConvPolicyError, ValueError):
    """A value of the right type that is not allowed; the message names the argument, the value and the fix."""


class InvalidTypeError(ConvPolicyError, TypeError):
    """A value of the wrong type; the message names the argument, the type that came and the type wanted."""


class UnknownNameError(ConvPolicyError, LookupError):
    """A name that is not registered; the message lists what is, and the nearest name."""


class MissingFrameworkError(ConvPolicyError, LookupError):
    """A backend whose framework is not installed; the message holds the install command."""


class MissingExtraError(ConvPolicyError, ImportError):
    """A part of convpolicy whose extra is not installed; the message holds the install command."""


class PluginError(ConvPolicyError, ValueError):
    """A plugin that breaks the contract; the message names the plugin and the fault."""


def visible(text: str) -> str:
    """Return text with its control characters, all but newline and tab, written out, so that a terminal shows and obeys none."""
    return text.translate(CONTROLS)


def shown(value: Any) -> str:
    """Return ``repr(value)`` for a message: short, without control characters, and also for what has no repr or too long a one."""
    try:
        text = repr(value)
    except Exception:
        if isinstance(value, int):
            return f"an integer of {int(value.bit_length() * 0.30103) + 1} digits"
        return f"an object of class {type(value).__qualname__}"
    text = re.sub(r" at 0x[0-9A-Fa-f]+", "", text)  # an address says nothing
    return visible(text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…")


def said(error: BaseException) -> str:
    """Return what an exception says, in one line; nothing for one whose own text cannot be read."""
    try:
        text = str(error)
    except Exception:
        return ""
    return visible(" ".join(text.split()))


def raised(error: BaseException) -> str:
    """Return class and text of an exception, in one line."""
    return ": ".join(filter(None, (type(error).__name__, said(error))))


def nearest(name: object, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest known name, or an empty string, also where it is not text or too long."""
    import difflib  # here: errors are rare

    if not isinstance(name, str) or len(name) > MOST_SHOWN:
        return ""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def unknown_name(kind: str, name: object, known: Iterable[str], hint: str = "") -> UnknownNameError:
    """Build the error for an unknown name.

    Args:
        kind: what was looked for, e.g. ``"padding rule"``.
        name: what came.
        known: every name that would have been accepted.
        hint: what was meant, as `nearest` writes it; the nearest known name if empty.

    Returns:
        An `UnknownNameError` whose message has the hint first, then every known name.
    """
    names = sorted(known)
    return UnknownNameError(with_hint(f"unknown {kind} {shown(name)}", "known", names, hint or nearest(name, names)))


def with_hint(fault: str, label: str, names: Iterable[str], hint: str) -> str:
    """Return a sentence about an unknown name: the fault, the hint if there is one, and then the list of names."""
    text = ", ".join(names) or "none"
    return f"{fault}.{hint} {label.capitalize()}: {text}." if hint else f"{fault}; {label}: {text}."

"""The errors that convpolicy raises, and helpers that write their messages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

MOST_SHOWN = 500  # characters of a value that a message quotes
# control characters that a terminal would obey (cursor, colours, text direction) -> the escape that is printed instead
CONTROLS = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))} | {
    code: f"\\u{code:04x}" for code in (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}


class ConvPolicyError(Exception):
    """Base class of the errors that convpolicy defines. Each subclass is also a builtin error, for example a ValueError."""


class InvalidValueError(ConvPolicyError, ValueError):
    """An argument has a value that is not allowed. The message names the argument, the value and the fix."""


class InvalidTypeError(ConvPolicyError, TypeError):
    """An argument has the wrong type. The message names the argument, its type and the required type."""


class UnknownNameError(ConvPolicyError, LookupError):
    """A name is not registered. The message lists the known names, and suggests a similar name if there is one."""


class MissingFrameworkError(ConvPolicyError, LookupError):
    """The framework of a backend is not installed. The message contains the install command."""


class MissingExtraError(ConvPolicyError, ImportError):
    """An optional dependency of convpolicy is not installed. The message contains the install command."""


class PluginError(ConvPolicyError, ValueError):
    """A plugin is broken. The message names the plugin and the fault."""


@contextmanager
def placed(place: str) -> Iterator[None]:
    """Begin the message of an error of convpolicy in a ``with`` block with the place where it arose."""
    try:
        yield
    except ConvPolicyError as error:
        raise type(error)(f"{place}: {error}") from error


def visible(text: str) -> str:
    """Return text with every control character except newline and tab written as an escape."""
    return text.translate(CONTROLS)


def shown(value: Any) -> str:
    """Return ``repr(value)`` for a message, shortened and without control characters; a repr that fails is replaced."""
    try:
        text = repr(value)
    except Exception:
        if isinstance(value, int):
            return f"an integer of {int(value.bit_length() * 0.30103) + 1} digits"
        return f"an object of class {type(value).__qualname__}"
    text = re.sub(r" at 0x[0-9A-Fa-f]+", "", text)  # an address does not help the reader
    return visible(text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…")


def said(error: BaseException) -> str:
    """Return the text of an exception in one line, empty if its ``__str__`` fails."""
    try:
        text = str(error)
    except Exception:
        return ""
    return visible(" ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split()))  # Keras writes parts in bold


def raised(error: BaseException) -> str:
    """Return the class and the text of an exception in one line."""
    return ": ".join(filter(None, (type(error).__name__, said(error).rstrip("."))))


def nearest(name: object, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` with the nearest known name, or an empty string if none is near."""
    import difflib  # imported late: most processes raise no such error

    if not isinstance(name, str) or len(name) > MOST_SHOWN:
        return ""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def unknown_name(kind: str, name: object, known: Iterable[str], hint: str = "") -> UnknownNameError:
    """Build the error for an unknown name.

    Args:
        kind: kind of thing that the name should be, e.g. ``"padding rule"``.
        name: the unknown name.
        known: every name that is accepted.
        hint: a suggestion in the form that `nearest` returns. If it is empty, the message suggests the nearest known name.

    Returns:
        An `UnknownNameError`. Its message contains the hint, then every known name.
    """
    names = sorted(known)
    return UnknownNameError(with_hint(f"unknown {kind} {shown(name)}", "known", names, hint or nearest(name, names)))


def with_hint(fault: str, label: str, names: Iterable[str], hint: str) -> str:
    """Return a message about an unknown name: the fault, the hint if there is one, and the list of names."""
    text = ", ".join(names) or "none"
    return f"{fault}.{hint} {label.capitalize()}: {text}." if hint else f"{fault}; {label}: {text}."

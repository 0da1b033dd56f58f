"""Every error convpolicy raises on purpose, and the sentence for a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable


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


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest known name, or an empty string."""
    import difflib  # here: errors are rare

    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def unknown_name(kind: str, name: object, known: Iterable[str]) -> UnknownNameError:
    """Build the error for an unknown name.

    Args:
        kind: what was looked for, e.g. ``"padding rule"``.
        name: what came.
        known: every name that would have been accepted.

    Returns:
        An `UnknownNameError` whose message names all three and the nearest known name.
    """
    names = sorted(known)
    hint = nearest(str(name), names)
    return UnknownNameError(f"unknown {kind} {name!r}; known: {', '.join(names) or 'none'}.{hint}")

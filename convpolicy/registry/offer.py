"""`Offer`, the base class of all objects that hooks return, and the check that each object must pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from convpolicy.errors import shown

MOST_PARTS = 10_000  # parts that one hook may return; this stops an endless generator


class Offer:
    """Base class of all objects that hooks may return."""

    __slots__ = ()


def is_list(result: Any) -> bool:
    """Return True if the result of a hook is a list, a generator or another iterable that is no text and no mapping."""
    return isinstance(result, Iterable) and not isinstance(result, (str, bytes, Mapping))


def fault_of(offer: Any, kind: str) -> str:
    """Return why an object cannot be registered as a part of a kind, or an empty string if it can."""
    if not isinstance(offer, Offer) or getattr(offer, "kind", None) != kind:
        return f"must return objects of kind {kind!r}, got {shown(offer)}."
    name = getattr(offer, "name", None)
    if not isinstance(name, str):
        return f"must return parts whose name is text, got a {kind} named {shown(name)} of type {type(name).__name__}."
    return ""

"""`Offer`: what a hook may return, and a look at each one before it is believed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from convpolicy.errors import shown

MOST_PARTS = 10_000  # that one hook may return; a generator without end is stopped here


class Offer:
    """Base of everything that a hook may return."""

    __slots__ = ()


def is_list(result: Any) -> bool:
    """Whether what a hook returned is a list, a generator or the like; not one part, a text or a mapping."""
    return isinstance(result, Iterable) and not isinstance(result, (str, bytes, Mapping))


def fault_of(offer: Any, kind: str) -> str:
    """Return what is wrong with one thing that a hook for parts of a kind returned; nothing when it can be registered."""
    if not isinstance(offer, Offer) or getattr(offer, "kind", None) != kind:
        return f"must return objects of kind {kind!r}, got {shown(offer)}."
    name = getattr(offer, "name", None)
    if not isinstance(name, str):
        return f"must return parts whose name is text, got a {kind} named {shown(name)} of type {type(name).__name__}."
    return ""

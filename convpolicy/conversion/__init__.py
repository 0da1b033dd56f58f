"""Checkpoint files rewritten in another framework's layout; each format in a module of its own."""

from __future__ import annotations

from convpolicy.conversion.converting import Prepared, convert
from convpolicy.conversion.results import Conversion, Converted

__all__ = ["Conversion", "Converted", "Prepared", "convert"]

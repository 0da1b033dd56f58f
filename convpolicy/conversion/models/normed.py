"""Weight normalisation in a file: two tensors, the directions and the lengths, in place of one weight."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from convpolicy.conversion.selection import NORMS, PLAIN
from convpolicy.conversion.tensors import Entry


def unnormed(entries: Mapping[str, Entry], *, fold: bool) -> tuple[dict[str, Entry], dict[str, tuple[Entry, Entry]]]:
    """Replace the two tensors of weight normalisation by the plain weight, if that is asked for.

    Args:
        entries: tensors by name.
        fold: True to replace them.

    Returns:
        The tensors, and for each plain weight the entries of its directions and of its lengths.
    """
    if not fold:
        return dict(entries), {}
    rows, norms = {}, {}
    for name, row in entries.items():
        lengths = next((name.removesuffix(end) + one for one, end in NORMS if name.endswith(end)), "")
        directions = next((name.removesuffix(one) + end for one, end in NORMS if name.endswith(one)), "")
        if lengths in entries:
            stem = name.removesuffix(next(end for _one, end in NORMS if name.endswith(end)))
            norms[stem + PLAIN] = (row, entries[lengths])
            rows[stem + PLAIN] = attrs.evolve(row, name=stem + PLAIN)
        elif directions not in entries:
            rows[name] = row
    return rows, norms

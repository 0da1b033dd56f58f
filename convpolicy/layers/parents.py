"""What the modules around a convolution pad or cut.

A parent that a framework defines, such as ``Sequential``, is judged by the modules beside the convolution. A parent that a user defines is
judged by its forward method, and the methods that this one calls: what pads the argument of the convolution, and what cuts its output. If
none calls the convolution as an attribute, everything in them that pads or cuts counts, provided that the parent has no other convolution.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import takewhile
from typing import Any

from convpolicy.layers.data_flow import flow
from convpolicy.layers.forward_code import Parent, Reading, cuts, pads


def padding_in(
    parent: Parent, holding: Collection[int], frameworks: Collection[str], last_axis: bool, ends: tuple[bool, bool]
) -> str:
    """Return what a parent pads or cuts around a convolution, as in ``"Causal (F.pad in forward)"``; empty for nothing.

    Args:
        parent: the parent.
        holding: ``id`` of every module that is a convolution of the model or contains one.
        frameworks: first names of the packages whose modules are not read.
        last_axis: True if the last axis of the data is the length, False if it is the one before.
        ends: if the convolution is the first, and the last, of those in the child of the parent.
    """
    reading = Reading(parent, holding, frameworks, last_axis)
    forward = reading.forward()
    functions = [] if forward is None else reading.reachable(forward)
    seen, texts = flow(reading, functions, ends)
    if not seen:
        texts = [*_beside(parent, holding, ends), *(reading.everywhere(functions) if all(ends) else ())]
    texts = list(dict.fromkeys(texts))
    return f"{type(parent.module).__name__} ({', '.join(texts[:2])})" if texts else ""


def _beside(parent: Parent, holding: Collection[int], ends: tuple[bool, bool]) -> Iterator[str]:
    """Yield the modules that pad or cut between a child and the convolutions before and after it."""
    names = [name for name, _child in parent.children]
    if parent.child not in names:
        return
    at = names.index(parent.child)
    before = _between(parent.children[:at][::-1], holding) if ends[0] else []
    after = _between(parent.children[at + 1 :], holding) if ends[1] else []
    reaches_input = len(before) == at  # no convolution is before it, whose output a module could cut
    yield from (f"{name} before it" for name in before if pads(name) and (reaches_input or not cuts(name)))
    yield from (f"{name} after it" for name in after if cuts(name))


def _between(children: Iterable[tuple[str, Any]], holding: Collection[int]) -> list[str]:
    """Return the class names of the modules up to the next convolution."""
    return [type(child).__name__ for _name, child in takewhile(lambda pair: id(pair[1]) not in holding, children)]

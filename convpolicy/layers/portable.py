"""The layers of a model that `port_model` ports: a convolution alone, or a wrapper with the convolution inside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs

from convpolicy.errors import ConvPolicyError
from convpolicy.layers.capture import Capture, backends_of, capture_alone, capture_wrapped
from convpolicy.layers.forward_code import Reading
from convpolicy.layers.parents import padding_in
from convpolicy.layers.wrapper import Wrapper, frameworks, wrapper_of


@attrs.frozen(eq=False)
class Portable:
    """One layer to port.

    Attributes:
        path: path of the module that the new layer replaces.
        module: that module.
        convolution: the `Convolution` with the weights.
        captured: its capture, or the error that explains why there is none.
        note: what the new layer leaves out, as text after "ported, ". Empty for nothing.
        wrapper: class of an enclosing module that is named like a convolution and is not recognized.
    """

    path: str
    module: Any
    convolution: Any
    captured: Capture | ConvPolicyError
    note: str = ""
    wrapper: str = ""

    @property
    def class_name(self) -> str:
        """The class of the module, as the report names it."""
        return _name(self.convolution) if self.module is self.convolution.module else type(self.module).__name__


def portable(listed: Iterable[Any], progress: Callable[[str], None] | None) -> Iterator[Portable]:
    """Iterate over the layers of a model.

    Modules that are only named like a convolution are left out if they contain one.

    Args:
        listed: every `Convolution` of the model.
        progress: function that is called with the path of each layer before it is captured.
    """
    rows = list(listed)
    holding = {id(row.module) for row in rows} | {id(parent.module) for row in rows for parent in row.parents}
    above = {id(parent.module) for row in rows for parent in row.parents}
    leaves = [row for row in rows if id(row.module) not in above]
    names = {id(row.module): _name(row) for row in rows if id(row.module) in above}
    ends = _ends(leaves)
    for row in leaves:
        if progress is not None:
            progress(row.path)
        yield _layer(row, holding, names, ends)


def _name(row: Any) -> str:
    return row.class_name or type(row.module).__name__


def _ends(rows: list[Any]) -> dict[int, tuple[Any, Any]]:
    """Map ``id`` of every module that contains a convolution to the first and the last of its convolutions."""
    ends: dict[int, tuple[Any, Any]] = {}
    for row in rows:
        for module in (row.module, *(parent.module for parent in row.parents)):
            ends[id(module)] = (ends.get(id(module), (row.module,))[0], row.module)
    return ends


def _layer(row: Any, holding: set[int], names: dict[int, str], ends: dict[int, tuple[Any, Any]]) -> Portable:
    for depth, parent in enumerate((*row.parents, None)):
        module = row.module if parent is None else parent.module
        wrapper = wrapper_of(module)
        if wrapper is not None and _is_inside(wrapper, module, row.module):
            outside = attrs.evolve(row, parents=row.parents[:depth])
            return _wrapped(wrapper, row.path if parent is None else parent.path, module, row, outside, holding, ends)
    captured = _alone(row)
    inner = next((names[id(parent.module)] for parent in reversed(row.parents) if _computes_more(parent, names)), "")
    note = _joined(row.note if row.changes else "", _padding(row, captured, holding, ends))
    return Portable(row.path, row.module, row, captured, note, inner)


def _computes_more(parent: Any, names: dict[int, str]) -> bool:
    """Return True for a parent that is named like a convolution, unless all that it does is to call the convolution."""
    is_patched = any(backend.patched is not None and backend.patched(parent.module) for backend in backends_of(parent.module))
    return id(parent.module) in names and (is_patched or not Reading(parent, (), frameworks(), True).delegates())


def _wrapped(
    wrapper: Wrapper, path: str, module: Any, row: Any, outside: Any, holding: set[int], ends: dict[int, tuple[Any, Any]]
) -> Portable:
    """Return the layer of a module that a wrapper describes; ``outside`` is the row with the parents of that module."""
    name = type(module).__name__
    try:
        more, captured = wrapper.more_of(module), capture_wrapped(wrapper, module)
    except ConvPolicyError as error:
        if module is row.module:
            return Portable(path, module, row, error)
        reason = str(error).removeprefix(f"layer {name} cannot be captured exactly: ").partition("; ")[0].rstrip(".")
        alone = _alone(row)
        note = f"but without the work of its parent {name}: {reason}"
        return Portable(row.path, row.module, row, alone, _joined(note, _padding(outside, alone, holding, ends)))
    around = _padding(outside, captured, holding, ends)
    if not more:
        return Portable(path, module, row, captured, around)
    if module is row.module:
        return Portable(path, module, row, captured, _joined(f"but {name} also {more}", around))
    note = f"with the padding of {name}, which also {more}" if wrapper.changes(module) else f"but {name} also {more}"
    return Portable(row.path, row.module, row, captured, _joined(note, around))


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def _is_inside(wrapper: Wrapper, module: Any, convolution: Any) -> bool:
    if not isinstance(wrapper.convolution, str):
        return module is convolution
    try:
        return wrapper.convolution_in(module) is convolution
    except AttributeError:  # a module that was changed
        return False


def _alone(row: Any) -> Capture | ConvPolicyError:
    try:
        captured = capture_alone(row.module)
        if row.changes:
            captured = attrs.evolve(captured, policy=captured.policy.evolve(**row.changes))
    except ConvPolicyError as error:
        return error
    return captured


def _padding(row: Any, captured: Capture | ConvPolicyError, holding: set[int], ends: dict[int, tuple[Any, Any]]) -> str:
    """Return what the parents of a convolution pad or cut, as text after "ported, "."""
    if not isinstance(captured, Capture):
        return ""
    texts = [row.note] if row.note and not row.changes else []
    last_axis = captured.policy.data_layout.name.endswith("W")
    inside = row.module  # the child of a parent; of a list of modules, its item, which the parent calls alone
    for parent in reversed(row.parents):
        child = dict(parent.children)[parent.child]
        inside = inside if _is_container(child) else child
        first, last = ends[id(inside)]
        is_last = last is row.module and not (row.changes and parent is row.parents[-1])  # the changes are what is after it
        if text := padding_in(parent, holding, frameworks(), last_axis, (first is row.module, is_last)):
            texts.append(text)
    return f"but its parent pads: {', '.join(texts)}" if texts else ""


def _is_container(module: Any) -> bool:
    """Return True for a list or a dict of modules, which defines no forward."""
    return isinstance(module, (list, tuple, dict)) or type(module).__name__.endswith(("List", "Dict"))

"""The 1-D convolutions of a ``torch.nn.Module``."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from convpolicy.errors import ConvPolicyError, InvalidTypeError
from convpolicy.frameworks.torch import scripted
from convpolicy.frameworks.torch.scripted_models import Around
from convpolicy.layers.capture import one
from convpolicy.layers.forward_code import Parent
from convpolicy.layers.whole_models import CALLED, Convolution, is_called_convolution, roles, walk

CONVOLUTIONS = "torch.nn.modules.conv"  # module that defines torch's convolutions
PARAMETRIZED = "torch.nn.utils.parametrize"  # module of the classes that torch derives for weight normalization


def convolutions(model: Any, every_path: bool) -> Iterator[Convolution] | None:
    """List the layers of a model that are a Conv1d or a ConvTranspose1d, or are named like one.

    Returns:
        An iterator in the order of ``named_modules``, or None if ``model`` is not a ``torch.nn.Module``.
    """
    return _convolutions(model, every_path) if isinstance(model, nn.Module) else None


def _convolutions(model: nn.Module, every_path: bool) -> Iterator[Convolution]:
    found = False
    chomps = _chomps(model)
    compiled = dict(_compiled("", model))
    owners = {id(owner) for around in compiled.values() for owner in around.owners()}

    def is_named(module: nn.Module) -> bool:
        """Return True as well for a scripted module that stores the weight of a function call."""
        return _is_named(module) or (id(module) in owners and not any(map(_is_named, module.modules())))

    for path, module, parents in walk(model, _children, _is_convolution, every_path, is_named=is_named):
        found = True
        parameters = roles(name for name, _value in module.named_parameters())
        changes: dict[str, Any] = {}
        note = ""
        if id(module) in chomps and _is_called_in(chomps[id(module)][0], parents):
            _sequence, changes, note = chomps[id(module)]
        name = ""
        if isinstance(module, torch.jit.ScriptModule):
            name = str(module.original_name)
            root = next(above for above in (*(parent.path for parent in parents), path) if above in compiled)
            note = compiled[root].note(path.removeprefix(root).removeprefix("."))
        yield Convolution(path, module, parameters, parents=parents, changes=changes, note=note, class_name=name)
    if not found and isinstance(model, torch.jit.ScriptModule) and compiled[""].has_constants:
        raise InvalidTypeError(
            f"model {model.original_name} is scripted, and its graph contains convolutions that are no modules, as after "
            "torch.jit.freeze or in a trace of functions; pass the module that it was made from."
        )


def _compiled(path: str, module: nn.Module) -> Iterator[tuple[str, Around]]:
    """Yield the path and the convolutions of every scripted module that is in no other one."""
    if isinstance(module, torch.jit.ScriptModule):
        yield path, Around(module)
        return
    for name, child in _children(module):
        yield from _compiled(f"{path}.{name}" if path else name, child)


def _children(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    return ((name, child) for name, child in module._modules.items() if child is not None)


def _is_named(module: nn.Module) -> bool:
    return is_called_convolution(module) or _is_scripted_convolution(module)


def _is_convolution(module: nn.Module) -> bool:
    """Return True for a subclass of torch's own; a wrapper has the name too, but contains the convolution."""
    return _is_named(module) and any(kind.__module__ == CONVOLUTIONS for kind in type(module).__mro__)


def _is_scripted_convolution(module: nn.Module) -> bool:
    """Return True for a scripted module that was made from a class named like a convolution, and that does more than to call one."""
    if not isinstance(module, torch.jit.ScriptModule) or not any(name in str(module.original_name) for name in CALLED):
        return False
    if not any(map(_is_scripted_convolution, module.children())):
        return True
    try:
        return scripted.read(module).pads is not None
    except ConvPolicyError:
        return True


def patched(module: Any) -> str:
    """Return why a call of a module may not run the forward method of its class; empty if it does."""
    if not isinstance(module, nn.Module) or isinstance(module, torch.jit.ScriptModule):  # of which the graph is read
        return ""
    if module._forward_hooks or module._forward_pre_hooks:
        return "a forward hook may change what it computes"
    if "forward" in vars(module) or type(module).forward.__module__ not in {kind.__module__ for kind in type(module).__mro__}:
        return "its forward was replaced"
    return ""


def plain(layer: nn.Module) -> Any:
    """Return a torch.nn.Conv1d with the parameters and sizes of a layer whose class overrides forward.

    Weight normalization and other parametrizations are kept.
    """
    properties = {name: value for name, value in vars(type(layer)).items() if isinstance(value, property)}
    derived = type(layer).__module__ == PARAMETRIZED
    twin: Any = object.__new__(type("ParametrizedConv1d", (nn.Conv1d,), properties) if derived else nn.Conv1d)
    twin.__dict__.update(layer.__dict__)
    return twin


# -- convolutions followed by a module that drops outputs --------------------------------------------------------------------


def _chomps(model: nn.Module) -> dict[int, tuple[nn.Module, dict[str, Any], str]]:
    """Map ``id`` of a convolution to the Sequential in which a Chomp1d follows it, the changes of its policy, and a note."""
    found: dict[int, tuple[nn.Module, dict[str, Any], str]] = {}
    for sequence in model.modules():
        if type(sequence) is not nn.Sequential:
            continue
        layers = list(sequence)
        for layer, other in itertools.pairwise(layers):
            if _is_convolution(layer) and _code_of(other) == CHOMP and not patched(other):
                changes = _chomped(layer, getattr(other, "chomp_size", None))
                if changes:
                    note = f"with what its {type(other).__name__} drops, which you leave out"
                    found.setdefault(id(layer), (sequence, changes, note))
    return found


def _chomped(layer: Any, dropped: Any) -> dict[str, Any]:
    """Return the changes for a convolution that pads both sides and whose last outputs are dropped; empty if none describes it."""
    kernel, dilation = one(layer.kernel_size), one(layer.dilation)
    needed = (kernel - 1) * dilation
    is_plain = layer.padding_mode == "zeros" and isinstance(layer.padding, tuple) and type(dropped) is int
    fits = is_plain and not isinstance(layer, nn.ConvTranspose1d) and one(layer.padding) == dropped == needed
    return {"padding": "chomp"} if fits and dropped > 0 else {}


def _is_called_in(sequence: nn.Module, parents: tuple[Parent, ...]) -> bool:
    """Return True if the convolution is called in that Sequential only: it is its parent, or the parent never names it."""
    parent = parents[-1]
    if parent.module is sequence:
        return True
    code = _forward_code(parent.module)
    return code is not None and parent.child not in code.co_names


def _forward_code(module: nn.Module) -> Any:
    return getattr(getattr(type(module), "forward", None), "__code__", None)  # a scripted module's class has no forward


def _code_of(module: nn.Module) -> tuple[Any, ...]:
    code = _forward_code(module)
    return () if code is None else (code.co_code, code.co_names, code.co_argcount, tuple(map(repr, code.co_consts[1:])))


class _Chomp1d(nn.Module):
    """TCN's module that drops the last outputs, with the code that its copies have."""

    chomp_size: int

    def forward(self, x: Any) -> Any:
        return x[:, :, : -self.chomp_size].contiguous()


CHOMP = _code_of(_Chomp1d())

"""The graph of a model, by torch.fx. What a layer or a known module computes stays one node."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx, nn

from convpolicy.chunks.form import form_of
from convpolicy.errors import ConvPolicyError, raised
from convpolicy.frameworks.torch.capture import CALLED, FILES, _file_of
from convpolicy.frameworks.torch.chunks.names import IN_PLACE, home_of, reason_of
from convpolicy.frameworks.torch.chunks.values import refusal, register_a_form
from convpolicy.layers.wrapper import wrapper_of

MODEL = "model"  # the attribute of `Whole`


class Whole(nn.Module):
    """A module that calls a model with one tensor, so that the defaults of its other arguments are used."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, data: Any) -> Any:
        """Call the model."""
        return self.model(data)


def is_layer(module: Any) -> bool:
    """Return True for one convolution: a layer of torch or of convpolicy, or a module that a `Wrapper` describes completely."""
    if (wrapper := wrapper_of(module)) is not None:
        return not wrapper.more_of(module)
    if not isinstance(module, (nn.Conv1d, nn.ConvTranspose1d)):
        return False
    return all(_file_of(getattr(type(module), name, None)) in FILES for name in CALLED if hasattr(type(module), name))


class _InPlaceProxy(fx.Proxy):
    """A value of the graph that records assignments such as ``+=`` as what they are."""


def _record(function: Any) -> Any:
    def method(self: fx.Proxy, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", function, (self, other), {})

    return method


for _name in IN_PLACE:
    setattr(_InPlaceProxy, f"__{_name}__", _record(getattr(operator, _name)))


class Undecided(Exception):  # noqa: N818 - it never reaches a caller
    """A condition whose answer is not known.

    Args:
        node: the node of the condition.
    """

    def __init__(self, node: fx.Node) -> None:
        super().__init__()
        self.node = node


class _Tracer(fx.Tracer):
    """Traces all modules but layers, known modules and those with a streaming form."""

    proxy_buffer_attributes = True

    def __init__(self, whole: nn.Module, stays: Callable[[nn.Module], bool], answers: Sequence[bool] | None) -> None:
        super().__init__()
        self._answers = None if answers is None else iter(answers)
        # decided before the trace, which replaces nn.Module.__call__, one of the functions that make a layer what it is
        self._whole = {id(module) for module in whole.modules() if stays(module) or is_layer(module)}
        self.failed: tuple[str, nn.Module] | None = None  # the innermost module whose forward method failed

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """Return the value of a node."""
        return _InPlaceProxy(node, self)

    def to_bool(self, obj: fx.Proxy) -> bool:
        """Return the answer of a condition."""
        if self._answers is None:
            return super().to_bool(obj)
        for answer in self._answers:
            return answer
        raise Undecided(obj.node)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return True for a module that stays one node."""
        if isinstance(m, nn.Sequential):
            return False
        if id(m) in self._whole:
            return True
        return home_of(m).__module__.startswith(("torch.nn.", "torch.ao."))

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        """Call a module, and remember it if it fails."""
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception:
            if self.failed is None:
                self.failed = (self.path_of_module(m), m)
            raise


def path_of(target: str) -> str:
    """Return the path of a module in the model for its path in `Whole`."""
    return "" if target == MODEL else target.removeprefix(f"{MODEL}.")


def known_reason(path: str, module: nn.Module) -> tuple[str, nn.Module, str, str] | None:
    """Return the first part of a module that mixes all samples in any case, with its path, the reason and what to use instead."""
    for name, part in module.named_modules(prefix=path):
        if (why := reason_of(part)) is not None:
            return name, part, *why
    return None


def _refusal(path: str, module: nn.Module, reason: str) -> Exception:
    """Return the error for a module that cannot be traced; if a part of it cannot be streamed in any case, that is the reason."""
    last = register_a_form(type(module))
    if (known := known_reason(path, module)) is not None:
        path, module, reason, fix = known
        return refusal(path, f"module {type(module).__qualname__}", reason, f"{fix}, or {last}")
    fix = f"rewrite it without conditions on sizes and values, or {last}"
    return refusal(path, f"module {type(module).__qualname__}", reason, fix)


def has_form(module: nn.Module) -> bool:
    """Return True for a module with a streaming form."""
    return form_of(module) is not None


def traced(
    whole: Whole,
    stays: Callable[[nn.Module], bool] = has_form,
    refuse: Callable[[str, nn.Module, str], Exception] | None = None,
    decide: Callable[[fx.Node], bool] | None = None,
) -> fx.Graph:
    """Return the graph of a model. The model is not changed.

    Args:
        whole: the model.
        stays: function that returns True for a module that stays one node, besides layers and modules of torch.
        refuse: function that returns the error for a module that cannot be traced, from its path, the module and the reason.
        decide: function that returns the answer of a condition, from its node in an unfinished graph. None refuses conditions.

    Raises:
        InvalidValueError: a module reads sizes or values of its input. The message contains its path.
    """
    answers: list[bool] = []
    while True:
        tracer = _Tracer(whole, stays, None if decide is None else answers)
        try:
            return _traced(whole, tracer, refuse or _refusal)
        except Undecided as condition:
            assert decide is not None
            path, module = tracer.failed or (MODEL, whole.model)
            try:
                answers.append(decide(condition.node))
            except ValueError as error:
                raise (refuse or _refusal)(path_of(path), module, str(error)) from error


def _traced(whole: Whole, tracer: _Tracer, refuse: Callable[[str, nn.Module, str], Exception]) -> fx.Graph:
    attributes = [(module, dict(vars(module))) for module in whole.modules()]
    try:
        with torch.no_grad():
            return tracer.trace(whole)
    except (ConvPolicyError, Undecided):
        raise
    except Exception as error:
        target, module = tracer.failed or (MODEL, whole.model)
        reason = f"torch.fx cannot trace its forward method ({raised(error).splitlines()[0].rstrip('.')})"
        raise refuse(path_of(target), module, reason) from error
    finally:
        for module, before in attributes:  # a forward method may keep a value of the trace
            if module is not whole:
                vars(module).clear()
                vars(module).update(before)

"""The graph of a model, by torch.fx. What a layer or a known module computes stays one node."""

from __future__ import annotations

import operator
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


class _Tracer(fx.Tracer):
    """Traces all modules but layers, known modules and those with a streaming form."""

    proxy_buffer_attributes = True

    def __init__(self) -> None:
        super().__init__()
        self.failed: tuple[str, nn.Module] | None = None  # the innermost module whose forward method failed

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """Return the value of a node."""
        return _InPlaceProxy(node, self)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return True for a module that stays one node."""
        if isinstance(m, nn.Sequential):
            return False
        if form_of(m) is not None or is_layer(m):
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


def traced(whole: Whole) -> fx.Graph:
    """Return the graph of a model. The model is not changed.

    Raises:
        InvalidValueError: a module reads sizes or values of its input. The message contains its path.
    """
    tracer = _Tracer()
    attributes = [(module, dict(vars(module))) for module in whole.modules()]
    try:
        with torch.no_grad():
            return tracer.trace(whole)
    except ConvPolicyError:
        raise
    except Exception as error:
        raise _refusal(*(tracer.failed or (MODEL, whole.model)), error) from error
    finally:
        for module, before in attributes:  # a forward method may keep a value of the trace
            if module is not whole:
                vars(module).clear()
                vars(module).update(before)


def _refusal(target: str, module: nn.Module, error: Exception) -> Exception:
    """Return the error for a module that cannot be traced; if a part of it cannot be streamed in any case, that is the reason."""
    for name, part in module.named_modules(prefix=target):
        if (why := reason_of(part)) is not None:
            reason, fix = why
            return refusal(
                path_of(name), f"module {type(part).__qualname__}", reason, f"{fix}, or {register_a_form(type(module))}"
            )
    return refusal(
        path_of(target),
        f"module {type(module).__qualname__}",
        f"torch.fx cannot trace its forward method ({raised(error).splitlines()[0].rstrip('.')})",
        f"rewrite it without conditions on sizes and values, or {register_a_form(type(module))}",
    )

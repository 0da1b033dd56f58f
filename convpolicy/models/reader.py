"""`Reader`: how the modules of one model are listed, described, run alone and changed. Each framework's room has a subclass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import attrs
from numpy.typing import NDArray

from convpolicy.models.description import Description

Record = Callable[[str, Callable[..., Any], tuple[Any, ...], dict[str, Any], Description], Any]


@attrs.frozen(eq=False)
class Activation:
    """A function that a module applies to its own result, and that is recorded as a call after the module.

    Attributes:
        name: what its path has after the path of the module.
        function: ``result -> result``.
        description: what it computes, or None if that is not known.
        removed: ``() -> context`` in which the module does not apply it.
    """

    name: str
    function: Callable[[Any], Any]
    description: Description | None
    removed: Callable[[], AbstractContextManager[Any]]


class Reader:
    """Reads one model of a framework.

    Args:
        model: the model. It is not changed.

    Attributes:
        channels: axis of the channels in the data of the framework's convolutions, 1 or -1.
        separator: separator of paths.
        fixes_functions: True if `fix` is asked about functions as well; it knows which of them are attributes of modules.
    """

    channels: int = 1
    separator: str = "."
    fixes_functions: bool = False

    def __init__(self, model: Any) -> None:
        self.model = model

    def children(self, module: Any) -> Iterable[tuple[str, Any]]:
        """Yield name and module of the direct submodules of a module, in the order of the framework."""
        raise NotImplementedError

    def classes(self) -> Iterable[type]:
        """Return the classes whose ``__call__`` runs a module of the model."""
        raise NotImplementedError

    def describe(self, module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Description | None:
        """Return what a call of a module computes, or None if the kind of module is not known."""
        raise NotImplementedError

    def run(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Return what the model returns for tensors."""
        return self.model(*args, **kwargs)

    def arguments(self, module: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the keyword arguments of a call, with those that it takes from the calls around it."""
        del module
        return dict(kwargs)

    def activation(self, module: Any) -> Activation | None:
        """Return the activation that a module applies to its result; None for a module that has none, or is described with it."""
        del module
        return None

    def is_tensor(self, value: Any) -> bool:
        """Return True for a tensor of the framework."""
        raise NotImplementedError

    def numbers(self, tensor: Any) -> NDArray[Any]:
        """Return a copy of a tensor as a NumPy array, a bfloat16 one as float32."""
        raise NotImplementedError

    def dtype(self, tensor: Any) -> str:
        """Return the canonical name of the dtype of a tensor."""
        dtype = tensor.dtype
        return str(getattr(dtype, "name", None) or dtype).rpartition(".")[2].lower()

    def tensor(self, data: NDArray[Any], like: Any) -> Any:
        """Return an array as a tensor with the dtype and the device of another tensor."""
        raise NotImplementedError

    def inputs(self, data: NDArray[Any]) -> Any:
        """Return an array as the input of the model; floating numbers have the dtype of the model's parameters."""
        raise NotImplementedError

    def preserved(self) -> AbstractContextManager[Any]:
        """Return a context without gradients, after which random state and buffers of the model are as before."""
        return nullcontext()

    def functions(self, record: Record) -> AbstractContextManager[Any]:
        """Return a context in which functions of the framework that are no modules are recorded, where a framework can.

        Args:
            record: ``(name, function, args, kwargs, description) -> result``. It runs the function and records the call.
        """
        del record
        return nullcontext()

    def training(self) -> bool:
        """Return True if the model is in training mode."""
        return False

    def replacement(self, path: str, code: str) -> str:
        """Return a line of code that replaces the module at a path of ``model`` by what other code returns; empty if none does."""
        del path, code
        return ""

    def fix(self, path: str, kind: str, setting: str, value: Any) -> str:
        """Return a line of code that changes a setting of the module at a path of ``model``; empty if there is none."""
        del path, kind, setting, value
        return ""

"""`Reader`: how the modules of one model are listed, described, run alone and changed. Each framework's room has a subclass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

from numpy.typing import NDArray

from convpolicy.models.description import Description

Record = Callable[[str, Callable[..., Any], tuple[Any, ...], dict[str, Any], Description], Any]


class Reader:
    """Reads one model of a framework.

    Args:
        model: the model. It is not changed.

    Attributes:
        channels: axis of the channels in the data of the framework's convolutions, 1 or -1.
        separator: separator of paths.
    """

    channels: ClassVar[int] = 1
    separator: ClassVar[str] = "."

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

"""What the cells of a ``mindspore.nn.Cell`` compute, and how one of them is run alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import attrs
import mindspore
import numpy as np
from mindspore import nn
from mindspore.common.seed import _KERNEL_SEED
from numpy.typing import NDArray

from convpolicy.frameworks.mindspore.described import base_of, described, is_floating, numbers
from convpolicy.frameworks.mindspore.fixes import fix
from convpolicy.frameworks.mindspore.functions import KNOWN, SPACES
from convpolicy.models.description import Description
from convpolicy.models.functions import modules_of, place, recorded_functions
from convpolicy.models.reader import Activation, Reader, Record
from convpolicy.models.recording import paths_of


class MindsporeReader(Reader):
    """Reads a ``mindspore.nn.Cell``."""

    channels = 1

    def children(self, module: Any) -> Iterable[tuple[str, Any]]:
        """Yield the named children."""
        return ((name, child) for name, child in module._cells.items() if child is not None)

    def classes(self) -> Iterable[type]:
        """Return the base class, whose ``__call__`` runs every cell, and classes with one of their own."""
        own = (type(cell) for _path, cell in self.model.cells_and_names() if "__call__" in vars(type(cell)))
        return dict.fromkeys((nn.Cell, *own))

    def describe(self, module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Description | None:
        """Return what a cell computes."""
        return described(module, (*args, *kwargs.values()))

    def activation(self, module: Any) -> Activation | None:
        """Return the activation of a Dense."""
        if base_of(module) is not nn.Dense or not module.activation_flag:
            return None
        function, description = _on_two_axes(module.activation)
        return Activation("activation", function, description, lambda: _without_activation(module))

    def is_tensor(self, value: Any) -> bool:
        """Return True for a tensor."""
        return isinstance(value, mindspore.Tensor)

    def numbers(self, tensor: Any) -> NDArray[Any]:
        """Return a copy of a tensor."""
        return numbers(tensor)

    def tensor(self, data: NDArray[Any], like: Any) -> Any:
        """Return an array as a tensor with the dtype of another one."""
        return mindspore.Tensor(np.array(data)).astype(like.dtype)

    def inputs(self, data: NDArray[Any]) -> Any:
        """Return an array as an input; floating numbers have the dtype of the first floating parameter."""
        array = np.array(data, np.int32) if data.dtype.kind in "iu" else np.array(data)
        dtypes = (value.dtype for value in self.model.get_parameters() if is_floating(value))
        tensor = mindspore.Tensor(array)
        return tensor.astype(next(dtypes, mindspore.float32)) if data.dtype.kind == "f" else tensor

    @contextmanager
    def preserved(self) -> Iterator[None]:
        """In PyNative mode; random state and parameters that are not trained, such as running statistics, are restored."""
        mode = mindspore.get_context("mode")
        state, kernels = mindspore.get_rng_state(), dict(_KERNEL_SEED)
        fixed = [value for value in self.model.get_parameters() if not value.requires_grad and not value.has_init]
        saved = [(value, numbers(value), value.dtype) for value in fixed]
        if mode != mindspore.PYNATIVE_MODE:
            mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
        try:
            yield
        finally:
            for value, array, dtype in saved:
                value.set_data(mindspore.Tensor(array).astype(dtype))
            _KERNEL_SEED.clear()
            _KERNEL_SEED.update(kernels)
            mindspore.set_rng_state(state)
            if mode != mindspore.PYNATIVE_MODE:
                mindspore.set_context(mode=mode)

    def functions(self, record: Record) -> AbstractContextManager[Any]:
        """Record functions such as ``mindspore.ops.gelu``."""
        kinds = dict.fromkeys(type(cell) for _path, cell in self.model.cells_and_names())
        return recorded_functions(KNOWN, dict.fromkeys([*SPACES, *modules_of(kinds)]), record)

    def training(self) -> bool:
        """Return the model's mode."""
        return bool(self.model.training)

    def replacement(self, path: str, code: str) -> str:
        """Return a line that assigns another cell to an attribute or an item."""
        return f"{place(path)} = {code}" if path else ""

    def fix(self, path: str, kind: str, setting: str, value: Any) -> str:
        """Return the line that changes a setting."""
        paths = paths_of(self)
        cell = next((one for _path, one in self.model.cells_and_names() if paths.get(id(one)) == path), None)
        return "" if cell is None else fix(cell, path, kind, setting, value)


def _on_two_axes(activation: Any) -> tuple[Callable[[Any], Any], Description | None]:
    """Return an activation as a Dense applies it, which joins all axes but the last, and what it computes.

    An activation of single elements, or along the last axis, is returned itself: the other axes have no influence on it.
    """
    flat = mindspore.Tensor(np.zeros((1, 1), np.float32))
    description = described(activation, (flat,)) if isinstance(activation, nn.Cell) else None
    axis = None if description is None else description.settings.get("axis", -1)
    single = description is not None and all(array.size == 1 for array in description.arrays.values())
    if single and axis == -1:
        return activation, description

    def run(tensor: Any) -> Any:
        return activation(tensor.reshape(-1, tensor.shape[-1])).reshape(tensor.shape)

    if description is None or axis not in (1, -1):
        return run, None
    last = {"axis": -1} if "axis" in description.settings else {}
    return run, attrs.evolve(
        description, settings={**description.settings, **last}, axis=None if description.axis is None else -1
    )


@contextmanager
def _without_activation(dense: Any) -> Iterator[None]:
    """Let a Dense return what it computes before its activation."""
    dense.activation_flag = False
    try:
        yield
    finally:
        dense.activation_flag = True


def reader(model: Any) -> MindsporeReader | None:
    """Return the reader of a model; None for an object that is not a ``mindspore.nn.Cell``."""
    return MindsporeReader(model) if isinstance(model, nn.Cell) else None

"""`record`: run a model once and keep the inputs and outputs of its modules, so that each can be run again alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.errors import InvalidValueError, said
from convpolicy.models.description import Description
from convpolicy.models.reader import Activation, Reader


@attrs.frozen
class _Slot:
    """Place of a tensor among the inputs of a call."""

    number: int


@attrs.define(eq=False)
class Call:
    """One run of a module, or of a function that is no module.

    Attributes:
        path: path of the module. A function has the path of the module that calls it and its own name.
        module: the module or function.
        description: what it computes, or None if that is not known.
        inputs: the tensors among its arguments, as NumPy arrays.
        output: its result, or the first tensor of it, as a NumPy array; None if there is no tensor.
        sources: for each input the number of the call whose output it is, or -1.
        outer: number of the recorded call around this one, or -1.
        inner: number of recorded calls inside.
        function: True if it is a function.
        dtype: canonical name of the dtype of the output.
    """

    path: str
    module: Any
    description: Description | None
    inputs: tuple[NDArray[Any], ...]
    output: NDArray[Any] | None = None
    sources: tuple[int, ...] = ()
    outer: int = -1
    inner: int = 0
    function: bool = False
    dtype: str = "float32"
    run: Callable[[tuple[NDArray[Any], ...]], NDArray[Any] | None] | None = None

    @property
    def title(self) -> str:
        """What it is: its kind, or the name of its class or function."""
        if self.description is not None:
            return self.description.title
        return self.path.rpartition(".")[2] if self.function else type(self.module).__name__


@attrs.define(eq=False)
class Recording:
    """One run of a model.

    Attributes:
        reader: the reader of the model.
        calls: the recorded calls, in the order in which they ended.
        output: the result of the model as a NumPy array, the first tensor of it.
    """

    reader: Reader
    calls: list[Call]
    output: NDArray[Any]

    def leaves(self) -> list[Call]:
        """Return the calls that contain no other recorded call, or whose kind is known."""
        return [call for call in self.calls if call.description is not None or not call.inner]


class _Recorder:
    """Keeps what the modules of one model receive and return while it runs."""

    def __init__(self, reader: Reader, progress: Callable[[str], None] | None) -> None:
        self.reader, self.progress = reader, progress
        self.paths = paths_of(reader)
        self.calls: list[Call] = []
        self.order: list[Call] = []
        self.open: list[Call] = []
        self.made: dict[int, tuple[int, Any]] = {}  # id of a tensor -> number of its call, and the tensor, which keeps the id
        self.thread = threading.get_ident()
        self.failed = ""  # path of the innermost module that raised the error that is on its way

    def wrapped(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Return a ``__call__`` that records the modules of the model."""

        def run(module: Any, *args: Any, **kwargs: Any) -> Any:
            path = self.paths.get(id(module))
            busy = threading.get_ident() != self.thread or path is None or self._inside_known()
            if busy or (self.open and self.open[-1].module is module):
                return original(module, *args, **kwargs)
            assert path is not None
            kwargs = self.reader.arguments(module, kwargs)
            description = self.reader.describe(module, args, kwargs)
            activation = self.reader.activation(module)

            def alone(*args: Any, **kwargs: Any) -> Any:
                with nullcontext() if activation is None else activation.removed():
                    return original(module, *args, **kwargs)

            result = self.recorded(path, module, alone, args, kwargs, description)
            return result if activation is None else self._activated(path, activation, result)

        return run

    def _activated(self, path: str, activation: Activation, result: Any) -> Any:
        """Run and record the activation of a module."""
        function = activation.function
        if id(function) in self.paths:  # a module, which is recorded when it is called
            return function(result)
        name = f"{path}{self.reader.separator}{activation.name}" if path else activation.name
        return self.recorded(name, function, function, (result,), {}, activation.description, function_=True)

    def function(
        self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], description: Description
    ) -> Any:
        """Run and record a function that is no module."""
        if threading.get_ident() != self.thread or self._inside_known():
            return function(*args, **kwargs)
        path = f"{self.open[-1].path}{self.reader.separator}{name}" if self.open and self.open[-1].path else name
        return self.recorded(path, function, function, args, kwargs, description, function_=True)

    def _inside_known(self) -> bool:
        return bool(self.open) and self.open[-1].description is not None

    def recorded(
        self,
        path: str,
        module: Any,
        run: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        description: Description | None,
        *,
        function_: bool = False,
    ) -> Any:
        """Run a module or function and keep its call."""
        if self.progress is not None:
            self.progress(path)
        tensors: list[Any] = []
        most = 1 if function_ else None  # the others are its parameters
        slots = _slotted((args, dict(kwargs)), self.reader, tensors, most)
        sources = tuple(self.made.get(id(tensor), (-1, None))[0] for tensor in tensors)
        arrays = tuple(map(self.reader.numbers, tensors))
        call = Call(path, module, description, arrays, sources=sources, function=function_)
        call.run = self._again(run, slots, tensors)
        self.open.append(call)
        try:
            result = run(*args, **kwargs)
        except Exception:
            self.failed = self.failed or ("" if function_ else path)
            raise
        finally:
            self.open.pop()
        self.failed = ""
        outputs: list[Any] = []
        _slotted(result, self.reader, outputs)
        if not tensors or not outputs:  # nothing to compare: it makes a tensor of numbers, or runs inside a compiled function
            if self.open:
                self.open[-1].inner += call.inner
            return result
        call.output, call.dtype = self.reader.numbers(outputs[0]), self.reader.dtype(outputs[0])
        if self.open:
            self.open[-1].inner += 1 + call.inner
        for tensor in outputs:
            if call.description is not None or not call.inner or id(tensor) not in self.made:  # else made by a module inside
                self.made[id(tensor)] = (len(self.calls), tensor)
        self.calls.append(call)
        return result

    def _again(
        self, run: Callable[..., Any], slots: Any, tensors: list[Any]
    ) -> Callable[[tuple[NDArray[Any], ...]], NDArray[Any] | None]:
        """Return a function that runs the same call with other arrays."""

        def again(arrays: tuple[NDArray[Any], ...]) -> NDArray[Any] | None:
            fresh = [self.reader.tensor(np.ascontiguousarray(array), like) for array, like in zip(arrays, tensors, strict=True)]
            args, kwargs = _filled(slots, fresh)
            outputs: list[Any] = []
            with self.reader.preserved():
                _slotted(run(*args, **kwargs), self.reader, outputs)
            return self.reader.numbers(outputs[0]) if outputs else None

        return again


def paths_of(reader: Reader) -> dict[int, str]:
    """Return ``id(module) -> path`` for every module of a model, the first path of one that occurs several times."""
    paths: dict[int, str] = {}

    def visit(module: Any, path: str) -> None:
        if id(module) in paths:
            return
        paths[id(module)] = path
        for name, child in reader.children(module):
            visit(child, f"{path}{reader.separator}{name}" if path else str(name))

    visit(reader.model, "")
    return paths


def _slotted(value: Any, reader: Reader, tensors: list[Any], most: int | None = None) -> Any:
    """Return a nest of lists, tuples and dicts with its tensors, or the first ``most`` of them, taken out into ``tensors``."""
    if isinstance(value, dict):
        return {key: _slotted(item, reader, tensors, most) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_slotted(item, reader, tensors, most) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if hasattr(value, "to_tuple"):  # the outputs of transformers' models
        return _slotted(value.to_tuple(), reader, tensors, most)
    if not reader.is_tensor(value) or len(tensors) == most:
        return value
    tensors.append(value)
    return _Slot(len(tensors) - 1)


def _filled(value: Any, tensors: list[Any]) -> Any:
    if isinstance(value, _Slot):
        return tensors[value.number]
    if isinstance(value, dict):
        return {key: _filled(item, tensors) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_filled(item, tensors) for item in value)
    return value


@contextmanager
def _patched(classes: Iterator[type], wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    """Replace the ``__call__`` of some classes, and put back what was there, whatever happens."""
    with ExitStack() as stack:
        for kind in classes:
            own = kind.__dict__.get("__call__")
            original = kind.__call__
            if own is None:
                stack.callback(delattr, kind, "__call__")
            else:
                stack.callback(setattr, kind, "__call__", own)
            kind.__call__ = wrap(original)  # type: ignore[method-assign]
        yield


def record(name: str, reader: Reader, x: Any, progress: Callable[[str], None] | None = None) -> Recording:
    """Run a model once and keep what each module receives and returns.

    Args:
        name: ``"a"`` or ``"b"``, for messages.
        reader: the reader of the model.
        x: the input: an array, a tuple of arrays, or a mapping from argument name to array.
        progress: function that is called with the path of each module that runs.

    Raises:
        InvalidValueError: the model raises an error, or returns no tensor. The message contains the error and the path of its module.
    """
    args, kwargs = ((), dict(x)) if isinstance(x, Mapping) else (x if isinstance(x, tuple) else (x,), {})
    recorder = _Recorder(reader, progress)
    with reader.preserved(), _patched(iter(reader.classes()), recorder.wrapped), reader.functions(recorder.function):
        try:
            result = reader.run(
                tuple(reader.inputs(np.asarray(item)) for item in args),
                {key: reader.inputs(np.asarray(item)) for key, item in kwargs.items()},
            )
        except Exception as error:
            shapes = ", ".join(str(np.shape(item)) for item in (*args, *kwargs.values()))
            inside = f"module {recorder.failed!r} raises: " if recorder.failed else ""
            raise InvalidValueError(
                f"{name} cannot be run on x of shape {shapes}: {inside}{said(error)}; pass an input that both models accept, or a "
                f"pair of inputs, one for each model."
            ) from error
    outputs: list[Any] = []
    _slotted(result, reader, outputs)
    output = reader.numbers(outputs[0]) if outputs else None
    if output is None:
        raise InvalidValueError(
            f"{name} must return a tensor, got {type(result).__name__}; pass a model that returns its output."
        )
    return Recording(reader, recorder.calls, output)

"""What the layers of a Keras model compute, and how one of them is run alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import keras
import numpy as np
from keras.src import backend
from keras.src.backend.common import global_state
from numpy.typing import NDArray

from convpolicy.frameworks.keras import functions
from convpolicy.frameworks.keras.described import ACTIVATED, base_of, described
from convpolicy.frameworks.keras.initial import as_numpy
from convpolicy.frameworks.keras.paths import expression
from convpolicy.models.description import Description
from convpolicy.models.reader import Activation, Reader, Record

# Kind and setting -> what follows the layer in the line that changes it; the value is put in.
ATTRIBUTES: dict[tuple[str, str], str] = {
    **{(kind, "eps"): "epsilon = {!r}" for kind in ("batch norm", "layer norm", "rms norm", "group norm")},
    ("batch norm", "momentum"): "momentum = {!r}",
    ("batch norm", "batch_statistics"): "trainable = {!r}",
    ("group norm", "groups"): "groups = {!r}",
    ("pooling", "kernel_size"): "pool_size = ({!r},)",
    ("pooling", "stride"): "strides = ({!r},)",
    ("upsampling", "factor"): "size = {!r}",
    ("dropout", "rate"): "rate = {!r}",
    ("dropout", "active"): "rate = 0.0  # or do not pass training=True",
    ("activation", "axis"): "axis = {!r}",
}
FUNCTIONS = {  # function -> the function of keras.activations
    "gelu": "gelu",
    "relu": "relu",
    "relu6": "relu6",
    "silu": "silu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "hard sigmoid": "hard_sigmoid",
    "hard swish": "hard_silu",
    "hard tanh": "hard_tanh",
    "selu": "selu",
    "softplus": "softplus",
    "softsign": "softsign",
    "mish": "mish",
    "log sigmoid": "log_sigmoid",
    "exp": "exponential",
    "softmax": "softmax",
    "log softmax": "log_softmax",
    "identity": "linear",
}
ARRAYS = {
    "weight": "kernel",
    "bias": "bias",
    "scale": "gamma",
    "shift": "beta",
    "mean": "moving_mean",
    "variance": "moving_variance",
}
ACTIVATION = "activation"


class KerasReader(Reader):
    """Reads a Keras model."""

    separator = "/"
    fixes_functions = True

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        formats = {getattr(layer, "data_format", None) for layer in model._flatten_layers()}
        self.channels = 1 if "channels_first" in formats else -1
        self.state = _state(model)

    def children(self, module: Any) -> Iterable[tuple[str, Any]]:
        """Yield the layers by their names, and the operations of a functional model, such as ``keras.ops.gelu``."""
        listed = [*getattr(module, "operations", ()), *getattr(module, "_layers", ())]
        return ((child.name, child) for child in listed)

    def classes(self) -> Iterable[type]:
        """Return the base classes of layers and operations."""
        return (keras.Layer, keras.Operation)

    def run(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Return the output. A model whose ``call`` has no such arguments gets a dict of its inputs."""
        for tensor, expected in zip(args, getattr(self.model, "inputs", None) or ()):
            shape = tuple(tensor.shape)
            if len(shape) != len(expected.shape) or any(b not in (None, a) for a, b in zip(shape, expected.shape)):
                raise ValueError(
                    f"the model takes inputs of shape {tuple(expected.shape)}, got {shape}"
                )  # Keras takes some of them
        names = self.model._call_signature.parameters
        if kwargs and not set(kwargs) <= set(names):
            return self.model(dict(kwargs))
        return self.model(*args, **kwargs)

    def arguments(self, module: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Add ``training`` where the layer takes it from the layer around it."""
        takes = getattr(module, "_call_has_training_arg", False) and not module._allow_non_tensor_positional_args
        if not takes or kwargs.get("training") is not None:
            return dict(kwargs)
        context = global_state.get_global_attribute("current_call_ctx")
        training = None if context is None else context.get_value("training")
        return dict(kwargs) if training is None else {**kwargs, "training": training}

    def describe(self, module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Description | None:
        """Return what a layer or an operation computes."""
        if isinstance(module, keras.Layer):
            return described(module, args, _trains(module, kwargs))
        name = type(module).__name__
        called = getattr(keras.ops, keras.src.utils.naming.to_snake_case(name), None)
        own = {key: value for key, value in vars(module).items() if key in ("approximate", "negative_slope", "alpha", "axis")}
        pool = {key: getattr(module, key) for key in ("pool_size", "strides", "padding", "data_format") if hasattr(module, key)}
        return None if called is None else functions.described(called, args, {**own, **pool, **kwargs})

    def activation(self, module: Any) -> Activation | None:
        """Return the activation of a convolution or a Dense."""
        base = base_of(module) if isinstance(module, keras.Layer) else None
        function = getattr(module, ACTIVATION, None)
        if base not in ACTIVATED or function in (None, keras.activations.linear):
            return None

        def run(tensor: Any) -> Any:
            result = function(tensor)
            if (mask := backend.get_keras_mask(tensor)) is not None:
                backend.set_keras_mask(result, mask)
            return result

        called = function if isinstance(function, keras.Operation) else run
        description = functions.described(function, (), {})
        return Activation(ACTIVATION, called, description, lambda: _without_activation(module))

    def is_tensor(self, value: Any) -> bool:
        """Return True for a tensor with values."""
        return bool(keras.ops.is_tensor(value)) and _has_values(value)

    def numbers(self, tensor: Any) -> NDArray[Any]:
        """Return a copy of a tensor."""
        return np.array(as_numpy(tensor))

    def dtype(self, tensor: Any) -> str:
        """Return the name of the dtype of a tensor."""
        return str(keras.backend.standardize_dtype(tensor.dtype))

    def tensor(self, data: NDArray[Any], like: Any) -> Any:
        """Return an array as a tensor with the dtype and the mask of another one."""
        tensor = keras.ops.convert_to_tensor(data, keras.backend.standardize_dtype(like.dtype))
        if (mask := backend.get_keras_mask(like)) is not None:
            backend.set_keras_mask(tensor, mask)
        return tensor

    def inputs(self, data: NDArray[Any]) -> Any:
        """Return an array as an input; floating numbers have the dtype of the first floating weight."""
        dtypes = (keras.backend.standardize_dtype(weight.dtype) for weight in self.model.weights)
        first = next((dtype for dtype in dtypes if "float" in dtype), keras.config.floatx())
        return keras.ops.convert_to_tensor(data, first if data.dtype.kind == "f" else None)

    @contextmanager
    def preserved(self) -> Iterator[None]:
        """Without gradients; statistics and random states are restored."""
        drawn = global_state.get_global_attribute("global_seed_generator")
        state = [*self.state, *([] if drawn is None else [drawn.state])]
        values = [keras.ops.copy(variable.value) for variable in state]
        with _no_gradients():
            try:
                yield
            finally:
                for variable, value in zip(state, values):
                    variable.assign(value)

    def functions(self, record: Record) -> AbstractContextManager[Any]:
        """Record functions such as ``keras.ops.gelu``."""
        return functions.recorded(record)

    def replacement(self, path: str, code: str) -> str:
        """Return the line that makes the model anew with another layer; empty for one inside a layer, or with an activation."""
        layer, _line = expression(self.model, path)
        is_of_layers = isinstance(self.model, keras.Sequential) or hasattr(self.model, "operations")
        if layer is None or "/" in path or not path or not is_of_layers or self.activation(layer) is not None:
            return ""
        function = f"lambda layer: {code} if layer.name == {path!r} else layer"
        return f"model = keras.models.clone_model(model, clone_function={function})"

    def fix(self, path: str, kind: str, setting: str, value: Any) -> str:
        """Return the line that changes a setting."""
        layer, line = expression(self.model, path)
        if layer is None:
            parent, _slash, name = path.rpartition("/")
            layer, line = expression(self.model, parent)
            if name != ACTIVATION or base_of(layer) not in ACTIVATED:
                return ""
        if setting in ARRAYS:
            name = {"embedding": "embeddings"}.get(kind, ARRAYS[setting])
            return f"{line}.{name}.assign(…)  # the values of a"
        if kind == "activation" and hasattr(layer, ACTIVATION):
            return f"{line}.activation = {_function(setting, value)}" if _function(setting, value) else ""
        return f"{line}.{_change(layer, kind, setting, value)}" if _change(layer, kind, setting, value) else ""


def _function(setting: str, value: Any) -> str:
    """Return the code of an activation."""
    if setting == "function" and value == "gelu by tanh":
        return "lambda x: keras.activations.gelu(x, approximate=True)"
    return f"keras.activations.{FUNCTIONS[value]}" if setting == "function" and value in FUNCTIONS else ""


def _change(layer: Any, kind: str, setting: str, value: Any) -> str:
    """Return what follows the layer in the line that changes a setting; empty if there is none."""
    if (kind, setting) == ("pooling", "padding"):
        return 'padding = "valid"' if tuple(value) == (0, 0) else ""
    if (kind, setting) == ("activation", "slope"):
        name = next((name for name in ("negative_slope", "alpha") if hasattr(layer, name)), "")
        return f"{name} = {value!r}" if name else ""
    if kind == "padding" and setting in ("left", "right") and hasattr(layer, "padding"):
        left, right = layer.padding
        return f"padding = {(value, right) if setting == 'left' else (left, value)}"
    line = ATTRIBUTES.get((kind, setting), "")
    name = line.partition(" =")[0]
    return line.format(value) if line and hasattr(layer, name) else ""


def _trains(layer: Any, kwargs: Mapping[str, Any]) -> bool:
    """Return whether a call trains: its argument, or the default of the layer."""
    training = kwargs.get("training")
    if training is None and layer._call_has_training_arg:
        parameter = layer._call_signature.parameters.get("training")
        training = None if parameter is None else parameter.default
    return bool(training) if isinstance(training, (bool, int)) else False


@contextmanager
def _without_activation(layer: Any) -> Iterator[None]:
    """Let a layer return what it computes before its activation."""
    own = vars(layer)
    is_own, function = ACTIVATION in own, own.get(ACTIVATION)
    own[ACTIVATION] = None
    try:
        yield
    finally:
        if is_own:
            own[ACTIVATION] = function
        else:
            del own[ACTIVATION]


def _state(model: Any) -> list[Any]:
    """Return the variables that a run may change: statistics and states of random generators."""
    found: dict[int, Any] = {}
    for layer in model._flatten_layers():
        for variable in layer._non_trainable_variables:
            found[id(variable)] = variable
        for generator in layer._seed_generators:
            found[id(generator.state)] = generator.state
    return list(found.values())


def _has_values_tensorflow(value: Any) -> bool:
    import tensorflow as tf

    return not tf.is_symbolic_tensor(value) and isinstance(value, tf.Tensor)


def _has_values_jax(value: Any) -> bool:
    import jax

    return isinstance(value, jax.Array) and not isinstance(value, jax.core.Tracer)


def _without_gradients_torch() -> AbstractContextManager[Any]:
    import torch

    context: AbstractContextManager[Any] = torch.no_grad()
    return context


HAS_VALUES: dict[str, Callable[[Any], bool]] = {"tensorflow": _has_values_tensorflow, "jax": _has_values_jax}
_has_values: Callable[[Any], bool] = HAS_VALUES.get(keras.config.backend(), lambda _value: True)
_no_gradients: Callable[[], AbstractContextManager[Any]] = (
    _without_gradients_torch if keras.config.backend() == "torch" else nullcontext
)


def reader(model: Any) -> KerasReader | None:
    """Return the reader of a model; None for an object that is not a Keras layer."""
    return KerasReader(model) if isinstance(model, keras.Layer) else None

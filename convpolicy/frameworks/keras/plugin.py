"""The Keras 3 plugin: three backends, one for each framework that Keras runs on, their policies, streams and files.

Before ``keras.saving.load_model`` can load a layer that follows a plan, import ``convpolicy.frameworks.keras.layer``.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from convpolicy.conversion.formats import FileFormat, ParameterNames
from convpolicy.core.policy import Policy
from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.keras import depthwise, other_files, transposed
from convpolicy.frameworks.shared_words import SAME_OR_VALID
from convpolicy.layers.backend import Backend
from convpolicy.layers.wrapper import Wrapper
from convpolicy.library.padding_rules import SAME_UPPER
from convpolicy.parts.crop import CropRule
from convpolicy.parts.initializer import Initializer
from convpolicy.parts.padding import PaddingRule
from convpolicy.parts.stream import RandomStream
from convpolicy.registry.deferred import Deferred, lazy
from convpolicy.registry.marks import hookimpl
from convpolicy.verification.native import Native

ROOM = "convpolicy.frameworks.keras"
SOURCE = "keras/src/layers/convolutional/conv1d.py, class Conv1D"
# backend -> the framework that Keras runs on, and the dtypes that were measured on the CPU
BACKENDS = {
    "keras": ("tensorflow", ("float32", "float64", "float16", "bfloat16")),
    "keras-torch": ("torch", ("float32", "float64", "float16", "bfloat16")),
    "keras-jax": ("jax", ("float32", "float16", "bfloat16")),  # without jax_enable_x64 JAX has no float64
}
# class of a layer in the path of its dataset -> layout of its weight; empty for several weights or another layout
CLASSES = {"conv1d": "WIO", "depthwise_conv1d": "WIM", "separable_conv1d": "", "conv1d_transpose": transposed.LAYOUT}
RUNS_ON = {name: framework for name, (framework, _dtypes) in BACKENDS.items()}


def require(backend: str) -> None:
    """Import Keras for a backend; in one process Keras runs on one framework only.

    Raises:
        InvalidValueError: Keras runs on another framework in this process, or the framework is not installed; the message contains
            what to set or to install.
    """
    framework, keras = RUNS_ON[backend], sys.modules.get("keras")
    # without KERAS_BACKEND the backend selects the framework
    runs = os.environ.get("KERAS_BACKEND", framework) if keras is None else keras.config.backend()
    if runs != framework:
        instead = next((f", or choose backend={name!r}" for name, other in RUNS_ON.items() if other == runs), "")
        raise InvalidValueError(
            f"backend {backend!r} needs Keras to run on {framework}, but in this process it runs on {runs}; set "
            f"KERAS_BACKEND={framework} before Keras is imported{instead}."
        )
    if keras is None:
        _import_keras(backend, framework)


def _import_keras(backend: str, framework: str) -> None:
    previous = os.environ.get("KERAS_BACKEND")
    os.environ["KERAS_BACKEND"] = framework  # Keras reads it when it is imported
    try:
        importlib.import_module("keras")
    except ModuleNotFoundError as error:
        if previous is None:
            del os.environ["KERAS_BACKEND"]
        if (error.name or "").partition(".")[0] != framework:
            raise
        raise InvalidValueError(
            f"backend {backend!r} needs {framework}, which is not installed; run: pip install 'convpolicy[keras]' {framework}."
        ) from error


def _requiring(backend: str, module: str, function: str) -> Any:
    target = lazy(f"{ROOM}.{module}", function)

    def call(*arguments: Any) -> Any:
        require(backend)
        return target(*arguments)

    return call


def _if_it_runs(backend: str, module: str, function: str) -> Callable[..., Any]:
    """Return a function that returns None unless Keras runs on the backend's framework."""
    target = _requiring(backend, module, function)

    def call(*arguments: Any) -> Any:
        keras = sys.modules.get("keras")  # a Keras layer can only exist after this import
        return target(*arguments) if keras is not None and keras.config.backend() == RUNS_ON[backend] else None

    return call


def default_dtype() -> str:
    """Return Keras's default dtype of weights; float32 while Keras is not imported, since nobody can have changed it."""
    keras = sys.modules.get("keras")
    return "float32" if keras is None else str(keras.config.dtype_policy().variable_dtype)


@hookimpl
def convpolicy_backends() -> list[Backend]:
    """Return a backend for each framework that Keras runs on."""
    return [
        Backend(
            name,
            _requiring(name, "layer", "build"),
            build_transposed=_requiring(name, "transposed_layer", "build"),
            **{function: _requiring(name, "values", function) for function in ("run", "parameters", "assign", "gradients")},
            capture=_if_it_runs(name, "capture", "capture"),
            convolutions=_if_it_runs(name, "models", "convolutions"),
            reader=_if_it_runs(name, "reader", "reader"),
            tensors=_if_it_runs(name, "tensors", "tensors"),
            arrays=lazy(f"{ROOM}.arrays", "KerasArrays"),
            schemes=lazy(f"{ROOM}.tensor_names", "schemes"),
            dtypes=dtypes,
            default_dtype=default_dtype,
            framework="keras",
            install="convpolicy[keras]",
            layout="WIO",
            transposed_layout=transposed.LAYOUT,
            learns=True,
            environment={"KERAS_BACKEND": framework},
            description=f"keras.layers.Conv1D, DepthwiseConv1D or Conv1DTranspose on {framework}, or a subclass that follows a plan.",
        )
        for name, (framework, dtypes) in BACKENDS.items()
    ]


@hookimpl
def convpolicy_initializers() -> list[Initializer]:
    """Return the initializer of Keras's DepthwiseConv1D."""
    return [depthwise.INITIALIZER]


def _policy(name: str, runs: str, random_stream: str, source: str, description: str) -> Policy:
    framework = "tensorflow" if name == "tensorflow" else "keras"
    return Policy(
        name,
        padding="valid",
        weight_init="glorot_uniform",
        bias_init="zeros",
        layout="WIO",
        data_layout="NWC",
        random_stream=random_stream,
        padding_names=(*SAME_OR_VALID, ("causal", "causal")),
        strided_dilation=False,
        framework=framework,
        versions=">=3,<4",
        measured="3.15.1",
        source=source,
        description=f"No padding; bias of zeros; Glorot uniform kernel stored as (kernel, in/groups, out){description}.",
        transposed=transposed.policy(name, runs, random_stream, framework),
    )


@hookimpl
def convpolicy_policies() -> list[Policy]:
    """Return the policies of Conv1D, Conv1DTranspose and DepthwiseConv1D for each framework."""
    return [
        _policy("keras", "tensorflow", "keras", SOURCE, ""),
        _policy("keras-torch", "torch", "keras-torch", SOURCE, "; random numbers of the torch backend"),
        _policy("keras-jax", "jax", "keras-jax", SOURCE, "; random numbers of the JAX backend"),
        _policy("tensorflow", "tensorflow", "keras", "tf.keras.layers.Conv1D, which is keras.layers.Conv1D", ""),
        *(depthwise.policy(name) for name in BACKENDS),
    ]


@hookimpl
def convpolicy_padding_rules() -> list[PaddingRule]:
    """Return ``tf-right``, an alias of ``same_upper``."""
    return [SAME_UPPER.alias("tf-right", "TensorFlow's SAME, with the extra sample on the right.")]


@hookimpl
def convpolicy_crop_rules() -> list[CropRule]:
    """Return the crop rules of Conv1DTranspose, on TensorFlow and elsewhere."""
    return transposed.RULES


@hookimpl
def convpolicy_random_streams() -> list[RandomStream]:
    """Return Keras's random stream on each framework."""
    return [
        RandomStream(
            name,
            lazy(f"{ROOM}.stream", f"Keras{title}Stream"),
            description=f"The numbers after keras.utils.set_random_seed(seed) on {framework}: one Python seed per tensor.",
        )
        for name, title, framework in (
            ("keras", "Tensorflow", "TensorFlow"),
            ("keras-torch", "Torch", "torch"),
            ("keras-jax", "Jax", "JAX"),
        )
    ]


@hookimpl
def convpolicy_file_formats() -> list[FileFormat]:
    """Return the formats of Keras's files, and formats that refuse other files of Keras and TensorFlow."""
    names = ParameterNames(separator="/", weight="vars/0", bias="vars/1", groups=True, classes=CLASSES)
    readable = [
        FileFormat(
            suffix,
            lazy(f"{ROOM}.files", f"{title}Reader"),
            lazy(f"{ROOM}.files", f"{title}Writer"),
            package="h5py",
            install="convpolicy[h5]",
            names=names,
            declares=declares,
            description=description,
        )
        for suffix, title, declares, description in (
            (".weights.h5", "H5", (), "The weights of a Keras model in HDF5."),
            (".keras", "Keras", ("own-source",), "A whole Keras model; it can only be made from another .keras file."),
        )
    ]
    legacy = [
        FileFormat(
            suffix,
            lazy(f"{ROOM}.legacy_files", "LegacyReader"),
            package="h5py",
            install="convpolicy[h5]",
            names=ParameterNames(separator="/"),
            description="A whole model or weights in HDF5, as Keras 2 wrote them; only read.",
        )
        for suffix in (".h5", ".hdf5")
    ]
    legacy.append(
        FileFormat(
            ".index",
            lazy(f"{ROOM}.tensorflow_files", "CheckpointReader"),
            package="tensorflow",
            install="convpolicy[keras]",
            names=ParameterNames(separator="/"),
            description="A TensorFlow checkpoint, named by its .index file; only read.",
        )
    )
    return readable + legacy + other_files.formats()


def _no_changes(layer: Any) -> dict[str, Any]:
    return {}


@hookimpl
def convpolicy_wrappers() -> list[Wrapper]:
    """Return Keras's convolutions, which may contain an activation: `port_model` ports the convolution without it."""
    return [
        Wrapper(
            f"keras.src.layers.convolutional.{module}.{name}",
            lazy(f"{ROOM}.capture", "without_activation"),
            _no_changes,
            more=lazy(f"{ROOM}.capture", "activation_of"),
            description="Its activation is left out.",
        )
        for module, name in (
            ("conv1d", "Conv1D"),
            ("depthwise_conv1d", "DepthwiseConv1D"),
            ("conv1d_transpose", "Conv1DTranspose"),
        )
    ]


@hookimpl
def convpolicy_natives() -> list[Native]:
    """Return Keras's own layers on each framework, for ``verify``."""
    rows = [
        ("tensorflow", "native", "native_transposed", "tensorflow", "tf.keras.layers.Conv1D and Conv1DTranspose"),
        *(
            (name, "native", "native_transposed", framework, f"keras.layers.Conv1D and Conv1DTranspose on {framework}")
            for name, framework in RUNS_ON.items()
        ),
        *(
            (depthwise.NAMES[name], "native_depthwise", "", framework, f"keras.layers.DepthwiseConv1D on {framework}")
            for name, framework in RUNS_ON.items()
        ),
    ]
    return [
        Native(
            name,
            f"{ROOM}.{module}",
            transposed=transposed_module and f"{ROOM}.{transposed_module}",
            environment={"KERAS_BACKEND": framework},
            description=f"{layer}.",
        )
        for name, module, transposed_module, framework, layer in rows
    ]


@hookimpl
def convpolicy_dialects() -> list[Deferred]:
    """Return the dialect ``keras``."""
    return [Deferred("dialect", "keras", lazy(f"{ROOM}.dialect", "dialect"))]

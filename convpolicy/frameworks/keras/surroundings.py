"""Code around Keras's Conv1D that ``translate`` knows: containers, wrappers and similar layers."""

from __future__ import annotations

from convpolicy.translation.surroundings import FOLD, LOCAL, Surroundings, functional

PACKAGES = ("keras", "tensorflow.keras")
SEPARABLE = "separable layers are not translated; write a Conv1D with groups and a Conv1D of kernel 1"
FUNCTION = functional("keras.layers.Conv1D")
OLD = "it is TensorFlow 1's function; write keras.layers.Conv1D"
ALIKE = {
    "SeparableConv1D": SEPARABLE,
    "SeparableConvolution1D": SEPARABLE,
    "LocallyConnected1D": LOCAL,
}
WRAPPERS = {
    "TimeDistributed": "runs it on each step of another axis",
    "SpectralNormalization": "divides its weight by the largest singular value",
    "Bidirectional": "runs it in both directions",
}
SURROUNDINGS = Surroundings(
    layers=tuple(f"{package}.layers.*" for package in PACKAGES),
    values=tuple(
        f"{package}.layers.{name}" for package in PACKAGES for name in ("Input", "InputLayer", "InputSpec", "Layer", "Wrapper")
    ),
    alike={
        **{f"{package}.layers.{name}": reason for package in PACKAGES for name, reason in ALIKE.items()},
        "tensorflow.compat.v1.nn.conv1d": FUNCTION,
        "keras.ops.conv": FUNCTION,
        "tensorflow.layers.conv1d": OLD,
        "tensorflow.compat.v1.layers.conv1d": OLD,
        "tensorflow.layers.Conv1D": OLD,
        "tensorflow.contrib.layers.conv1d": OLD,
    },
    containers=tuple(
        f"{package}.{name}" for package in PACKAGES for name in ("Sequential", "models.Sequential", "Model", "models.Model")
    ),
    wrappers={f"{package}.layers.{name}": how for package in PACKAGES for name, how in WRAPPERS.items()},
    remarks={
        **{f"{package}.layers.Wrapper": "it only contains the layer" for package in PACKAGES},
        "tensorflow_addons.layers.WeightNormalization": FOLD,
        "tensorflow.function": "it compiles the layer",
    },
    refused={"quantize": "rounds its weight", "enable_lora": "adds to its weight"},
)

"""The frameworks whose policies are built in, for `verify`."""

from __future__ import annotations

from convpolicy.hookspecs import hookimpl
from convpolicy.natives import Native

# policy -> its module, Keras's backend, and the layer
MODULES = {
    "torch": ("torch", "", "torch.nn.Conv1d"),
    "mindspore": ("mindspore", "", "mindspore.nn.Conv1d"),
    "mindspore@2.0": ("mindspore", "", "mindspore.nn.Conv1d"),
    "tensorflow": ("keras", "tensorflow", "tf.keras.layers.Conv1D"),
    "keras": ("keras", "tensorflow", "keras.layers.Conv1D on TensorFlow"),
    "keras-torch": ("keras", "torch", "keras.layers.Conv1D on torch"),
    "keras-jax": ("keras", "jax", "keras.layers.Conv1D on JAX"),
    "flax": ("flax_nnx", "", "flax.nnx.Conv"),
    "flax-linen": ("flax_linen", "", "flax.linen.Conv"),
    "paddle": ("paddle", "", "paddle.nn.Conv1D"),
}


@hookimpl
def convpolicy_natives() -> list[Native]:
    """Return the frameworks that built-in policies claim to be."""
    return [
        Native(
            policy,
            f"convpolicy.natives.{module}",
            environment={"KERAS_BACKEND": backend} if backend else {},
            description=f"{layer}.",
        )
        for policy, (module, backend, layer) in MODULES.items()
    ]

"""One network in torch, Keras, Flax and MindSpore, from the same arrays and settings, and differences to plant in it."""

from __future__ import annotations

import functools

import numpy as np

KERNELS = {"conv1": (8, 4, 5), "conv2": (8, 8, 3), "dense1": (8, 8), "dense2": (5, 8)}
SETTINGS = {"bn_eps": 1e-3, "gelu": "erf", "slope": 0.2, "ln_eps": 1e-3, "dropout": False, "batch": False}
RATE, LENGTH = 0.5, 40
# module of each part, in each framework
PATHS = {
    "torch": dict(zip(("conv1", "bn", "gelu", "pool", "conv2", "leaky", "dropout", "mean", "flat", "dense1", "ln", "dense2"), map(str, range(12)))),
    "keras": {},
    "flax": {"leaky": "leaky_relu", "gelu": "gelu"},
    "mindspore": dict(zip(("conv1", "bn", "gelu", "pool", "conv2", "leaky", "dropout", "mean", "flat", "dense1", "ln", "dense2"), map(str, range(12)))),
}  # fmt: skip


def arrays(seed=0):
    """Random arrays, in torch's axes; the running statistics are not those of a new model."""
    random = np.random.default_rng(seed)

    def normal(*shape):
        return random.standard_normal(shape, dtype=np.float32)

    values = {name: normal(*shape) / np.float32(np.prod(shape[1:])) ** 0.5 for name, shape in KERNELS.items()}
    values |= {f"{name}.bias": normal(shape[0]) for name, shape in KERNELS.items()}
    for name in ("bn", "ln"):
        values |= {f"{name}.scale": 1 + normal(8) / 4, f"{name}.shift": normal(8) / 4}
    return values | {"bn.mean": normal(8), "bn.var": np.square(normal(8)) + np.float32(0.5)}


def _new(name):
    """Weights as a new module of PyTorch has them."""
    shape = KERNELS[name]
    limit = np.prod(shape[1:]) ** -0.5
    return np.random.default_rng(7).uniform(-limit, limit, shape).astype(np.float32)


# name -> settings and arrays that are changed, part, and aspect that the diagnosis must name
DIFFERENCES = {
    "batch norm eps": ({"bn_eps": 1e-5}, {}, "bn", "eps"),
    "gelu": ({"gelu": "tanh"}, {}, "gelu", "function"),
    "slope": ({"slope": 0.3}, {}, "leaky", "slope"),
    "layer norm eps": ({"ln_eps": 1e-6}, {}, "ln", "eps"),
    "dropout": ({"dropout": True}, {}, "dropout", "active"),
    "batch statistics": ({"batch": True}, {}, "bn", "batch_statistics"),
    "transposed": ({}, {"dense1": lambda a: a["dense1"].T}, "dense1", "weight"),
    "flipped": ({}, {"conv2": lambda a: a["conv2"][:, :, ::-1]}, "conv2", "flip"),
    "bias not loaded": ({}, {"dense2.bias": lambda a: 0 * a["dense2.bias"]}, "dense2", "bias"),
    "not loaded": ({}, {"dense1": lambda a: _new("dense1")}, "dense1", "weight"),
    "convolution not loaded": ({}, {"conv1": lambda a: _new("conv1")}, "conv1", "weight"),
    "statistics not loaded": ({}, {"bn.mean": lambda a: 0 * a["bn.mean"]}, "bn", "mean"),
}


def built(framework, *names):
    """Return the network of a framework, with planted differences."""
    values, settings = arrays(), dict(SETTINGS)
    for name in names:
        changed, replaced, _part, _aspect = DIFFERENCES[name]
        settings |= changed
        values |= {key: np.ascontiguousarray(function(arrays())) for key, function in replaced.items()}
    return BUILDERS[framework](values, settings)


def _torch(a, s):
    import torch
    from torch import nn

    model = nn.Sequential(
        nn.Conv1d(4, 8, 5), nn.BatchNorm1d(8, s["bn_eps"]), nn.GELU("tanh" if s["gelu"] == "tanh" else "none"), nn.AvgPool1d(2),
        nn.Conv1d(8, 8, 3), nn.LeakyReLU(s["slope"]), nn.Dropout(RATE), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 8),
        nn.LayerNorm(8, s["ln_eps"]), nn.Linear(8, 5),
    ).eval()  # fmt: skip
    for name, at in (("conv1", 0), ("conv2", 4), ("dense1", 9), ("dense2", 11)):
        model[at].load_state_dict({"weight": torch.tensor(a[name]), "bias": torch.tensor(a[f"{name}.bias"])})
    for name, at in (("bn", 1), ("ln", 10)):
        model[at].weight.data, model[at].bias.data = torch.tensor(a[f"{name}.scale"]), torch.tensor(a[f"{name}.shift"])
    model[1].running_mean, model[1].running_var = torch.tensor(a["bn.mean"]), torch.tensor(a["bn.var"])
    model[1].train(s["batch"])
    model[6].train(s["dropout"])
    return model


def _keras(a, s):
    import keras
    from keras import layers

    gelu = functools.partial(keras.activations.gelu, approximate=True) if s["gelu"] == "tanh" else keras.activations.gelu
    start = keras.Input((LENGTH, 4))
    x = layers.Conv1D(8, 5, name="conv1")(start)
    x = layers.BatchNormalization(epsilon=s["bn_eps"], name="bn")(x, training=s["batch"])
    x = layers.AveragePooling1D(2, name="pool")(layers.Activation(gelu, name="gelu")(x))
    x = layers.LeakyReLU(negative_slope=s["slope"], name="leaky")(layers.Conv1D(8, 3, name="conv2")(x))
    x = layers.Dropout(RATE, name="dropout")(x, training=s["dropout"])
    x = layers.Dense(8, name="dense1")(layers.GlobalAveragePooling1D(name="mean")(x))
    x = layers.Dense(5, name="dense2")(layers.LayerNormalization(epsilon=s["ln_eps"], name="ln")(x))
    model = keras.Model(start, x)
    for name in KERNELS:
        model.get_layer(name).set_weights([a[name].T, a[f"{name}.bias"]])
    model.get_layer("bn").set_weights([a[f"bn.{role}"] for role in ("scale", "shift", "mean", "var")])
    model.get_layer("ln").set_weights([a["ln.scale"], a["ln.shift"]])
    return model


def _flax(a, s):
    import jax.numpy as jnp
    from flax import nnx

    class Network(nnx.Module):
        def __init__(self):
            rngs = nnx.Rngs(0)
            self.conv1 = nnx.Conv(4, 8, (5,), padding="VALID", rngs=rngs)
            self.bn = nnx.BatchNorm(8, use_running_average=not s["batch"], epsilon=s["bn_eps"], rngs=rngs)
            self.conv2 = nnx.Conv(8, 8, (3,), padding="VALID", rngs=rngs)
            self.dropout = nnx.Dropout(RATE, deterministic=not s["dropout"], rngs=rngs)
            self.dense1, self.dense2 = nnx.Linear(8, 8, rngs=rngs), nnx.Linear(8, 5, rngs=rngs)
            self.ln = nnx.LayerNorm(8, epsilon=s["ln_eps"], rngs=rngs)

        def __call__(self, x):
            x = nnx.gelu(self.bn(self.conv1(x)), approximate=s["gelu"] == "tanh")
            x = nnx.leaky_relu(self.conv2(nnx.avg_pool(x, (2,), (2,))), negative_slope=s["slope"])
            x = jnp.mean(self.dropout(x), axis=1)
            return self.dense2(self.ln(self.dense1(x)))

    model = Network()
    for name in KERNELS:
        module = getattr(model, name)
        module.kernel.value, module.bias.value = jnp.asarray(a[name].T), jnp.asarray(a[f"{name}.bias"])
    for name in ("bn", "ln"):
        module = getattr(model, name)
        module.scale.value, module.bias.value = jnp.asarray(a[f"{name}.scale"]), jnp.asarray(a[f"{name}.shift"])
    model.bn.mean.value, model.bn.var.value = jnp.asarray(a["bn.mean"]), jnp.asarray(a["bn.var"])
    return model


def _mindspore(a, s):
    from mindspore import Tensor, nn

    model = nn.SequentialCell(
        nn.Conv1d(4, 8, 5, pad_mode="valid", has_bias=True), nn.BatchNorm1d(8, s["bn_eps"]), nn.GELU(approximate=s["gelu"] == "tanh"),
        nn.AvgPool1d(2, 2), nn.Conv1d(8, 8, 3, pad_mode="valid", has_bias=True), nn.LeakyReLU(s["slope"]), nn.Dropout(p=RATE),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Dense(8, 8), nn.LayerNorm((8,), epsilon=s["ln_eps"]), nn.Dense(8, 5),
    )  # fmt: skip
    for name, at in (("conv1", 0), ("conv2", 4), ("dense1", 9), ("dense2", 11)):
        model[at].weight.set_data(Tensor(a[name].reshape(model[at].weight.shape)))
        model[at].bias.set_data(Tensor(a[f"{name}.bias"]))
    for at, names in {1: ("scale", "shift", "mean", "var"), 10: ("scale", "shift")}.items():
        cell = model[at]
        held = (cell.gamma, cell.beta, *((cell.moving_mean, cell.moving_variance) if at == 1 else ()))
        for parameter, role in zip(held, names):
            parameter.set_data(Tensor(a[f"{'bn' if at == 1 else 'ln'}.{role}"]))
    model.set_train(False)
    model[1].set_train(s["batch"])
    model[6].set_train(s["dropout"])
    return model


BUILDERS = {"torch": _torch, "keras": _keras, "flax": _flax, "mindspore": _mindspore}

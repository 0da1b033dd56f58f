"""An nnx model with most kinds of modules and functions that `why` knows, and faults to plant in it."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from helpers.torch_twins import weights

RNGS = nnx.Rngs(0)


def fill(module):
    """Give parameters and statistics random values, and return them by the last part of their paths."""
    drawn = {}
    for path, variable in nnx.iter_graph(module):
        if isinstance(variable, (nnx.Param, nnx.BatchStat)):
            drawn[str(path[-1])] = weights(variable.value.shape, ".".join(map(str, path)))
            variable.value = jnp.asarray(drawn[str(path[-1])])
    return drawn


class Net(nnx.Module):
    """The model of `network`, with functions as attributes, in a ``Sequential``, and by their names in the code."""

    def __init__(self):
        self.conv = nnx.Conv(4, 8, 5, strides=2, padding=2, rngs=RNGS)
        self.norm = nnx.BatchNorm(8, momentum=0.9, rngs=RNGS)
        self.act = functools.partial(nnx.gelu, approximate=False)
        self.middle = nnx.Sequential(nnx.Conv(8, 8, 3, rngs=RNGS), nnx.LayerNorm(8, epsilon=1e-5, rngs=RNGS), nnx.relu,
                                     nnx.Dropout(0.2, rngs=RNGS))  # fmt: skip
        self.group = nnx.GroupNorm(8, 2, epsilon=1e-5, rngs=RNGS)
        self.dense, self.last = nnx.Linear(128, 10, rngs=RNGS), nnx.Linear(10, 10, rngs=RNGS)
        self.slope, self.window = 0.1, 2

    def __call__(self, data):
        data = self.middle(self.act(self.norm(self.conv(data))))
        data = self.group(nnx.max_pool(data, (self.window,), (2,), [(0, self.window - 2)]))
        data = jax.nn.leaky_relu(nnx.avg_pool(data, (3,), None, "SAME"), self.slope)
        return self.last(nnx.softmax(self.dense(data.reshape(len(data), -1))))


def flax_network():
    model = Net()
    fill(model)
    model.eval()
    return model


def set_to(path, **attributes):
    """Return a function that sets attributes of a module."""

    def change(model):
        module = functools.reduce(lambda part, name: part[int(name)] if name.isdecimal() else getattr(part, name), path, model)
        for name, value in attributes.items():
            setattr(module, name, value)

    return change


def _item(model):
    model.middle.layers[2] = nnx.tanh


def _new(model):
    model.last = nnx.Linear(10, 10, bias_init=lambda *_args: model.last.bias.value, rngs=nnx.Rngs(3))


def _transposed(model):
    model.last.kernel.value = model.last.kernel.value.T


FAULTS = {  # name -> change of b, path of the module, aspect
    "padding": (set_to(["conv"], padding="SAME"), "conv", "total"),
    "batch norm": (set_to(["norm"], epsilon=1e-3), "norm", "eps"),
    "statistics": (lambda model: model.norm.train(), "norm", "batch_statistics"),
    "gelu": (set_to([], act=nnx.gelu), "act", "function"),
    "other activation": (set_to([], act=nnx.silu), "act", "function"),
    "causal": (set_to(["middle", "layers", "0"], padding="CAUSAL"), "middle.layers.0", "split"),
    "layer norm": (set_to(["middle", "layers", "1"], epsilon=1e-6), "middle.layers.1", "eps"),
    "item": (_item, "middle.layers.2", "function"),
    "dropout": (lambda model: model.middle.layers[3].train(), "middle.layers.3", "active"),
    "window": (set_to([], window=3), "max_pool", "kernel_size"),
    "groups": (set_to(["group"], num_groups=4, group_size=2), "group", "groups"),
    "slope": (set_to([], slope=0.3), "leaky_relu", "slope"),
    "not loaded": (_new, "last", "weight"),
    "transposed": (_transposed, "last", "weight"),
}
GROUPS = (
    ("padding",),
    ("causal",),
    ("statistics", "item"),
    ("batch norm", "gelu", "transposed"),
    ("other activation", "layer norm", "groups"),
    ("dropout",),
    ("window",),
    ("slope", "not loaded"),
)
NOT_AN_ATTRIBUTE = ("max_pool", "leaky_relu")  # functions in code, which no line can change


def state(model):
    """Return all variables, random states too, and what the modules hold."""
    values = [jax.random.key_data(value) if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key) else value
              for value in jax.tree.leaves(nnx.state(model))]  # fmt: skip
    return [np.asarray(value) for value in values], [
        dict(vars(module)) for _path, module in nnx.iter_graph(model) if isinstance(module, nnx.Module)
    ]


def same(one, other):
    return all(map(np.array_equal, one[0], other[0])) and all(
        before.keys() == after.keys() and all(before[name] is after[name] for name in before)
        for before, after in zip(one[1], other[1], strict=True)
    )

"""Layers of Flax, cut over 4 CPU devices, against the same layers on one device. Runs as a process of its own.

The process needs ``FLAGS`` as ``XLA_FLAGS``. ``python -m helpers.sharded_flax 6 layers faults`` runs 6 random cases and two checks. It prints one line of JSON: the name of each check,
and what it measured.
"""

from __future__ import annotations

import json
import re
import sys
from itertools import pairwise
from unittest import mock

import attrs
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from helpers.sharded import cases
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from jax.sharding import NamedSharding, PartitionSpec

import convpolicy as cp
from convpolicy import reference
from convpolicy.frameworks.flax.shards import layer as module_of_layers
from convpolicy.frameworks.flax.shards.tables import program_of

DEVICES = 4
FLAGS = f"--xla_force_host_platform_device_count={DEVICES} --xla_backend_optimization_level=0"  # compiles in half the time
SIDES = 2  # the devices and the one device each have one bound
LARGEST_COEFFICIENT = 64  # of a sample in an added element, for the modes whose elements are sums
ROWS = 2
LAYERS = {
    "groups": ({"kernel_size": 7, "padding": "causal", "groups": 2}, 64, {}),
    "outputs that do not divide": ({"kernel_size": 5, "stride": 3}, 64, {}),
    "uneven parts, one of them empty": ({"kernel_size": 9, "padding": 4, "padding_mode": "circular"}, 13, {"parts": [0, 2, 2, 9, 13]}),
    "zigzag": ({"kernel_size": 5, "padding": 2, "padding_mode": "odd"}, 33, {"order": "zigzag"}),
    "documents": ({"kernel_size": 3, "padding": 1, "padding_mode": "reflect"}, 40, {"documents": [0, 7, 30, 40]}),
    "learned": (
        {"kernel_size": 4, "padding": (2, 1), "padding_mode": cp.Choice("constant", value=0.5, learned=True)},
        30,
        {},
    ),
}  # fmt: skip


def mesh_of(devices=DEVICES):
    """Return a mesh of one axis."""
    return jax.make_mesh((devices,), ("cp",))


def whole_of(layer, documents):
    """Return a function of weights and data: the outputs of a layer on one device, document by document."""
    state, call = functional(layer)

    def whole(weights, data):
        return jnp.concatenate([call(weights, data[:, a:b]) for a, b in pairwise(documents)], 1)

    return state, whole


def functional(layer):
    """Return the weights of a layer, and a function of weights and data."""
    if isinstance(layer, nnx.Module):
        graph, state = nnx.split(layer)
        return state, lambda weights, data: nnx.merge(graph, weights)(data)
    leaves, tree = jax.tree.flatten(layer)
    return leaves, lambda weights, data: jax.tree.unflatten(tree, weights)(data)


def gradients(call, state, data, upstream):
    """Return outputs, and the gradients of data and weights."""

    def total(weights, inputs):
        outputs = call(weights, inputs)
        return (outputs * upstream).sum(), outputs

    (to_weights, to_data), outputs = jax.grad(total, (0, 1), has_aux=True)(state, data)
    return [outputs, to_data, *jax.tree.leaves(to_weights)]


def excess(layer, length, spec, *, sums=False, **cuts):
    """Return the largest error of outputs and gradients, in rounding bounds."""
    documents = cuts.get("documents") or [0, length]
    random = np.random.default_rng(length)
    data = jnp.asarray(random.standard_normal((ROWS, length, spec.in_channels)))
    state, whole = whole_of(layer, documents)
    upstream = jnp.asarray(random.standard_normal(jax.eval_shape(whole, state, data).shape))
    alone = jax.jit(lambda *values: gradients(whole, *values))
    expected = alone(state, data, upstream)
    sizes = alone(jax.tree.map(jnp.abs, state), abs(data), abs(upstream))
    sharded = cp.shard(layer, mesh_of(), dim=-2, length=length, **cuts)
    own, call = functional(sharded)

    def over_devices(weights, inputs):
        return sharded.join(call(weights, sharded.split(inputs)))

    found = jax.jit(lambda *values: gradients(over_devices, *values))(own, data, upstream)
    terms = ROWS * (length + spec.kernel_size) * spec.kernel_size * max(spec.in_channels, spec.out_channels)
    errors = []
    for one, other, size in zip(found, expected, sizes, strict=True):
        if one.shape != other.shape:
            return float("inf")
        bound = SIDES * reference.tolerance("float64", terms, abs(np.asarray(size))) * (LARGEST_COEFFICIENT if sums else 1)
        errors.append(float((abs(np.asarray(one) - np.asarray(other)) / bound).max(initial=0)))
    return max(errors)


def layers():
    """Each of the layers above, of nnx and of linen."""
    return {
        f"{backend}: {name}": excess(
            layer := cp.Conv1d(4, 6, backend=backend, seed=0, dtype="float64", **arguments),
            length,
            cp.capture(layer).spec,
            sums="odd" in arguments.values(),
            **cuts,
        )
        for backend, names in {"flax": LAYERS, "flax-linen": ("groups",)}.items()
        for name in names
        for arguments, length, cuts in [LAYERS[name]]
    }


def random_layers(number):
    """A number of random cases of the test of the integers, transposed ones included, of nnx."""
    worst = []

    @settings(max_examples=number, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
    @given(cases(), st.data())
    def check(case, data):
        chunks = DEVICES * (2 if case.order == "zigzag" else 1)
        inner = data.draw(st.lists(st.integers(0, case.length), min_size=chunks - 1, max_size=chunks - 1))
        parts = data.draw(st.sampled_from([None, [0, *sorted(inner), case.length]]))
        capture = case.capture()
        layer = capture.build("flax")
        cuts = {"parts": parts, "order": case.order, "documents": case.documents}
        worst.append(excess(layer, case.length, capture.spec, sums=True, **cuts))

    check()
    return worst


def collectives(layer, data):
    """Return how often each collective operation is in the compiled forward pass and in that of the gradients."""
    state, call = functional(layer)

    def total(weights, inputs):
        return call(weights, inputs).sum()

    texts = [jax.jit(each).lower(state, data).compile().as_text() for each in (call, jax.grad(total, (0, 1)))]
    names = ("all-gather", "collective-permute", "all-reduce", "all-to-all")
    return [{name: len(re.findall(rf"= .*? {name}(?:-start)?\(", text)) for name in names} for text in texts]


def operations():
    """Of layers for which XLA gathers everything: their collective operations as they are, and sharded."""
    found = {}
    for name, (arguments, length) in {
        "groups": ({"kernel_size": 7, "padding": "causal", "groups": 2}, 4096),
        "outputs that do not divide": ({"kernel_size": 5, "stride": 3, "padding": "valid"}, 4100),
    }.items():
        layer = cp.Conv1d(4, 6, backend="flax", seed=0, **arguments)
        data = jax.device_put(jnp.ones((1, length, 4)), NamedSharding(mesh_of(), PartitionSpec(None, "cp", None)))
        plain = collectives(layer, data)
        found[name] = plain, collectives(cp.shard(layer, mesh_of(), dim=-2, length=length), data)
    return found


def two_axes():
    """A batch over one axis of a mesh and the length over the other: the largest difference, and the collective operations."""
    mesh = jax.make_mesh((2, 2), ("data", "cp"))
    layer = cp.Conv1d(4, 6, 7, groups=2, padding="causal", backend="flax", seed=0, dtype="float64")
    data = jnp.asarray(np.random.default_rng(0).standard_normal((4, 64, 4)))
    expected = layer(data)
    sharded = cp.shard(layer, (mesh, "cp", "data"), dim=-2, length=64)
    placed = jax.device_put(data, NamedSharding(mesh, PartitionSpec("data", "cp", None)))
    difference = abs(np.asarray(nnx.jit(lambda layer, data: layer(data))(sharded, placed)) - np.asarray(expected)).max()
    return float(difference), collectives(sharded, placed)


def _messages(change):
    def wrong(program):
        return attrs.evolve(program, messages=tuple(change(message) for message in program.messages))

    return wrong


def _starts(program):
    calls = [
        attrs.evolve(call, canvases=tuple(attrs.evolve(canvas, start=canvas.start + 1) for canvas in call.canvases))
        for call in program.calls
    ]
    return attrs.evolve(program, calls=tuple(calls))


FAULTS = {
    "halo one sample late": _messages(lambda message: attrs.evolve(message, places=np.maximum(message.places - 1, 0))),
    "wrong neighbour": _messages(lambda message: attrs.evolve(message, pairs=tuple((b, a) for a, b in message.pairs))),
    "stride phase lost": _starts,
    "first message lost": lambda program: attrs.evolve(
        program, messages=(attrs.evolve(program.messages[0], pairs=()), *program.messages[1:])
    ),
}  # fmt: skip


def faults():
    """The error of each wrong program, in rounding bounds."""
    found = {}
    for name, fault in FAULTS.items():
        layer = cp.Conv1d(4, 6, 5, stride=2, groups=2, padding=2, backend="flax", seed=0, dtype="float64")
        with mock.patch.object(module_of_layers, "program_of", lambda *given, fault=fault: fault(program_of(*given))):
            found[name] = excess(layer, 30, cp.capture(layer).spec)
    return found


CHECKS = {check.__name__: check for check in (layers, operations, two_axes, faults)}
if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    number, *names = sys.argv[1:]
    found = {name: CHECKS[name]() for name in names}
    print(json.dumps({"random_layers": random_layers(int(number)), **found}))

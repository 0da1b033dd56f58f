"""Layers of nnx and linen over the devices of a mesh: equal to one device, without gathering, and wrong programs are noticed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from helpers.paths import ROOT
from helpers.sharded_flax import FLAGS

import convpolicy as cp

SECONDS = 1200  # until a process that hangs is ended
NONE_GATHERED = {"all-gather": 0, "all-to-all": 0}


def measurements(*arguments):
    """Return what `helpers.sharded_flax` measures in a process with 4 CPU devices."""
    paths = [str(ROOT / "tests"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "JAX_PLATFORMS": "cpu", "XLA_FLAGS": FLAGS}
    words = [sys.executable, "-m", "helpers.sharded_flax", *arguments]
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def measured():
    """Each check, and a few random cases."""
    return measurements("4", "layers", "operations", "two_axes", "faults")


def test_four_devices_equal_one(measured):
    """Groups, outputs that do not divide, empty parts, zigzag, documents and learned constants: outputs and all gradients."""
    assert len(measured["layers"]) == 7
    assert all(error <= 1 for error in measured["layers"].values()), measured["layers"]


def test_random_layers_equal_one_device(measured):
    """The cases of the test of the integers: any rule, mode, stride, dilation, cut, order and documents, transposed too."""
    assert len(measured["random_layers"]) == 4
    assert max(measured["random_layers"]) <= 1


@pytest.mark.grid
def test_many_random_layers_equal_one_device():
    """More of these cases."""
    assert max(measurements("150")["random_layers"]) <= 1


def test_nothing_is_gathered(measured):
    """XLA gathers the whole input of these layers; sharded, the compiled programs only send samples to neighbours."""
    assert len(measured["operations"]) == 2
    for plain, programs in measured["operations"].values():
        assert plain[0]["all-gather"] > 0
        for program in programs:
            assert program | NONE_GATHERED == program
            assert program["collective-permute"] > 0
        assert programs[0]["all-reduce"] == 0


def test_a_second_axis_of_the_mesh_stays_free(measured):
    """The batch is cut over another axis and stays there."""
    difference, programs = measured["two_axes"]
    assert difference < 1e-12
    assert all(program | NONE_GATHERED == program for program in programs)


def test_wrong_programs_are_noticed(measured):
    """A late sample, a wrong neighbour, a lost phase and a lost message give errors far beyond the bound."""
    assert len(measured["faults"]) == 4
    assert min(measured["faults"].values()) > 1000


def mesh():
    """Return a mesh of the one device of this process."""
    return jax.make_mesh((1,), ("cp",), devices=jax.devices()[:1])


@pytest.mark.grid(every=2)
@pytest.mark.parametrize("backend", ["flax", "flax-linen"])
def test_one_device_and_a_layer_that_is_sharded_anew(backend):
    """The weights keep their names and values; the second length replaces the first."""
    layer = cp.Conv1d(2, 4, 3, padding=1, backend=backend, seed=0)
    data = jnp.arange(40.0).reshape(1, 20, 2)
    expected, state = layer(data), jax.tree.leaves(nnx.state(layer) if backend == "flax" else layer)
    sharded = cp.shard(cp.shard(layer, mesh(), dim=1, length=7), mesh(), dim=-2, length=20)
    assert jnp.array_equal(sharded(sharded.split(data)), expected)
    assert (sharded.cuts(), sharded.output_cuts()) == ([(0, 20)], [(0, 20)])
    leaves = jax.tree.leaves(nnx.state(sharded) if backend == "flax" else sharded)
    assert [each.shape for each in leaves] == [each.shape for each in state]
    assert isinstance(sharded, nnx.Conv) == (backend == "flax")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dim": -1}, "dim must be -2 or 1, the axis of the length"),
        ({"mesh": "cp"}, "mesh must be a jax.sharding.Mesh, got 'cp'"),
        ({"length": 0}, "length must be at least 1, got 0"),
        ({"blocks": {"pool": 2}}, "blocks must be None for one convolution of Flax"),
        ({"parts": [0, 5, 20]}, "parts must cut the input for the 1 devices of the mesh, got cuts for 2"),
        ({"module": nnx.Linear(2, 2, rngs=nnx.Rngs(0))}, "module must be one"),
    ],
)
def test_refusals(change, message):
    """They name the argument and the fix."""
    layer = cp.Conv1d(2, 4, 3, backend="flax", seed=0)
    arguments = {"module": layer, "mesh": mesh(), "dim": -2, "length": 20, **change}
    with pytest.raises(cp.ConvPolicyError, match=message):
        cp.shard(arguments.pop("module"), arguments.pop("mesh"), **arguments)


def test_inputs_of_another_length_and_meshes_of_two_axes_are_refused():
    """At the call, and when the layer is sharded."""
    sharded = cp.shard(cp.Conv1d(2, 4, 3, backend="flax", seed=0), mesh(), dim=-2, length=20)
    with pytest.raises(cp.InvalidValueError, match=r"data must have shape \(batch, 20, 2\), got \(1, 21, 2\)"):
        sharded(jnp.zeros((1, 21, 2)))
    with pytest.raises(cp.InvalidValueError, match=r"data must have shape \(batch, 20, channels\)"):
        sharded.split(jnp.zeros((1, 21, 2)))
    two = jax.make_mesh((1, 1), ("data", "cp"), devices=jax.devices()[:1])
    with pytest.raises(cp.InvalidValueError, match=r"mesh must have one axis, got 'data', 'cp'; pass \(mesh, 'cp', 'data'\)"):
        cp.shard(cp.Conv1d(2, 4, 3, backend="flax", seed=0), two, dim=-2, length=20)
    with pytest.raises(cp.InvalidValueError, match="mesh must name different axes of the mesh, 'data', 'cp', got 'sp'"):
        cp.shard(cp.Conv1d(2, 4, 3, backend="flax", seed=0), (two, "sp"), dim=-2, length=20)

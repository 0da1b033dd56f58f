"""`convpolicy.shard` on torch: four processes of gloo, started once, compute what one machine computes, and refuse what they cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest
from helpers.paths import ROOT

pytestmark = pytest.mark.needs("torch")

RANKS = 4
IN_GROUP = {"2": [0, 1], "3": [1, 2, 3], "4": [0, 1, 2, 3]}
SECONDS = 300  # that the processes may take on a busy machine


def wait_for(processes):
    """Wait until all processes end or one fails, for which the others would wait; `SECONDS` at most."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        codes = [process.poll() for process in processes]
        if None not in codes or any(codes):
            return
        time.sleep(0.1)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Run all tasks of `helpers.sharded_tasks` in four processes. Return, for each task, what each rank returned."""
    folder = tmp_path_factory.mktemp("ranks")
    paths = [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    script = str(ROOT / "tests" / "helpers" / "sharded_tasks.py")
    logs = [(folder / f"{rank}.log").open("w") for rank in range(RANKS)]
    processes = [
        subprocess.Popen([sys.executable, script, str(rank), str(folder)], env=environment, stdout=log, stderr=subprocess.STDOUT)
        for rank, log in enumerate(logs)
    ]
    try:
        wait_for(processes)
    finally:
        for process, log in zip(processes, logs):
            process.kill()
            process.wait()
            log.close()
    texts = [(folder / f"{rank}.log").read_text() for rank in range(RANKS)]
    assert [process.returncode for process in processes] == [0] * RANKS, "\n".join(texts)
    results = [json.loads((folder / f"{rank}.json").read_text()) for rank in range(RANKS)]
    return {name: [result[name] for result in results] for name in results[0]}


@pytest.mark.parametrize("ranks", [*IN_GROUP, "shuffled"])
def test_random_layers(outcomes, ranks):
    """Outputs, gradients of the input and summed gradients of the weights are those of one machine, for random sizes, rules and cuts.

    The bytes that each rank receives are those of the integers, forward and backward. In the group of 3 and in
    the shuffled mesh, a place in the mesh is no rank of the world.
    """
    done = outcomes[f"layers {ranks}"]
    inside = IN_GROUP.get(ranks, range(RANKS))
    for rank in inside:
        compared, tried = done[rank]
        assert compared > 0.8 * tried >= 10
    assert all(done[rank] is None for rank in set(range(RANKS)) - set(inside))


@pytest.mark.parametrize("ranks", IN_GROUP)
def test_models(outcomes, ranks):
    """Models with residuals, gates, norms, poolings, paddings and weight normalization, also on shards of 0 and 2 samples."""
    assert {outcomes[f"models {ranks}"][rank] for rank in IN_GROUP[ranks]} == {"equal"}


def test_wrong_halos_are_noticed(outcomes):
    """The comparison fails if a halo is one short, comes from elsewhere, or the phase of the stride is lost."""
    for fault in outcomes["wrong_halos"][0]:
        failed = {seed for result in outcomes["wrong_halos"] for seed in result[fault]}
        assert len(failed) >= 8, fault


@pytest.mark.parametrize(
    "task",
    [
        "ddp",
        "fsdp",
        "activation_checkpoint",
        "mixed_precision",
        "parallel_style",
        "second_derivatives",
        "documents",
        "blocks",
    ],
)
def test_with_the_rest_of_torch(outcomes, task):
    """DDP and FSDP2 on the other axis of a grid, checkpointing, autocast, DTensors: equal to one machine."""
    assert outcomes[task] == ["equal"] * RANKS


def test_compiled(outcomes):
    """torch.compile takes a sharded model; its exchanges break the graph."""
    assert outcomes["compiled"] == ["equal", "equal", None, None]


def test_a_state_loads_on_another_mesh(outcomes):
    """The state dict has the names and values of the module itself."""
    assert outcomes["other_mesh"] == [None, "equal", "equal", "equal"]


def test_the_inner_part_runs_during_the_exchange(outcomes):
    """Between the start and the end of the exchange, a middle rank convolves the samples that it owns."""
    for rank in (1, 2):
        assert outcomes["order_of_events"][rank] == [
            "start",
            "convolution of 100",
            "end",
            *["convolution of 6"] * 2,
            "start",
            "end",
        ]


REFUSALS = {
    "length": "length must be the same on every rank, got 20 on rank 0 and 24 on rank 2",
    "parts": "parts must cut the input for the 4 ranks of the mesh, got cuts for 2",
    "dim": "dim must be -1 or 2, the last axis of (batch, channels, length), got 1",
    "grid": "mesh must have one dimension, got 2; pass mesh['sequence']",
    "no mesh": "mesh must be a DeviceMesh, got 4 of type int",
    "kernel": "layer '' must be the same on every rank, got length 20, kernel_size 3",
    "no module": "module must be one of a framework that shards, torch or Flax, got NumpyConv1d",
    "samples": "data must have 5 samples on rank 1, got 4",
    "batch": "data must have the same batch on every rank, got 2 on rank 0 and 1 on rank 1",
    "dtype": "data must have the same dtype on every rank, got torch.float32 on rank 0 and torch.float64 on rank 1",
    "device": "data must be on a device of the mesh, cpu, got a tensor on another device on rank 1",
    "no tensor": "data must be a tensor, got another object on rank 1",
    "requires_grad": "data must have the same requires_grad on every rank, got False on rank 0 and True on rank 1",
    "axes": "data must have shape (batch, channels, length), got a tensor with fewer axes on rank 1",
    "training": "module must have no BatchNorm1d in training mode",
    "group norm": "got module GroupNorm at '1', since it normalizes over the whole time axis",
    "recurrent": "got module LSTM at '1', since convpolicy does not know which samples its result depends on",
    "slice": "got function getitem at '1', since it takes a part of the samples of all ranks",
    "pad": "got function pad at '1', since it reads samples of other ranks",
    "mean": "got function mean at '1', since its result does not have one axis of the batch and one of the time",
    "sum": "got function cumsum at '1', since it mixes positions of the time axis",
    "condition": "got module Cut at '1', since the answer of a condition depends on more than sizes",
    "local condition": "got module Cut at '1', since a condition on sizes has another answer for the part of a rank",
    "short": "got module Conv1d at '1': input of length 20 is too short",
    "copy": "module must be one that is not sharded, got a sharded one",
    "strides": "got function add in its forward method, since its inputs are cut at different places, [0, 3, 9, 15, 20] and [0, 4, 10,",
    "lengths": "got function add in its forward method, since its inputs have different lengths, [19, 20]",
    "no blocks": "got module Conv1d at '0', since its outputs do not depend on blocks of 4 samples",
    "cut block": "got module LearnedPool at '1', since its blocks of 2 samples are cut at sample 5",
    "path of blocks": "blocks must have paths of modules, got 'pool'",
    "other length": "length must be 20, for which the module was cut by borders, got 24",
}


@pytest.mark.parametrize("case", REFUSALS)
def test_every_rank_refuses(outcomes, case):
    """A call that is wrong on one rank is the same error on all of them, with the rank and the argument, and no rank waits."""
    for result in outcomes["refusals"]:
        assert REFUSALS[case] in result[case]


def test_a_refusal_of_one_rank_reaches_the_others(outcomes):
    """An argument that one rank refuses before it speaks to the others is an error on all."""
    messages = [result["length 0"] for result in outcomes["refusals"]]
    own = "length must be at least 1, got 0; pass 1 or more."
    assert messages == [f"InvalidValueError: {'' if rank == 2 else 'rank 2: '}{own}" for rank in range(RANKS)]
    assert all(set(result) == {*REFUSALS, "length 0"} for result in outcomes["refusals"])


def test_a_process_outside_the_mesh(outcomes):
    """It is told so; the others go on."""
    assert "mesh must contain this process, got ranks [1, 2, 3] on rank 0" in outcomes["outside"][0]
    assert outcomes["outside"][1:] == ["no error"] * 3


def test_the_wrong_process_is_noticed(outcomes):
    """Where places in the mesh are taken for ranks of the world, every rank gets an error within the timeout of the group."""
    assert [message if message is None else message[:6] for message in outcomes["wrong_process"]] == [None, *["error:"] * 3]


def test_one_process_costs_nothing(outcomes):
    """On one process, the layer itself runs: the same bits, and no operation but its own."""
    assert outcomes["alone"][0] == "equal"


def test_a_rank_that_dies(outcomes):
    """The others get an error within the timeout of the group; a neighbour's names the rank."""
    assert outcomes["dead_rank"][3] == "gone"
    assert all(message != "no error" for message in outcomes["dead_rank"][:3])

"""What each of four processes does in the tests of sharded modules. Started once for all tests, as ``python sharded_tasks.py RANK FOLDER``."""

from __future__ import annotations

import json
import os
import sys
import traceback
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from helpers import sharded_layers, sharded_models, sharded_refusals, sharded_torch
from torch.distributed.device_mesh import DeviceMesh

RANKS = 4
PATIENCE = timedelta(minutes=4)  # some tasks are those of two ranks, for which the others wait, and machines may be busy
CASES = int(os.environ.get("SHARDED_CASES", "70"))
GROUPS = {"2": [0, 1], "3": [1, 2, 3], "4": [0, 1, 2, 3], "shuffled": [2, 0, 3, 1], "1": [0]}
# in the group of 3 and the shuffled mesh, a place in the mesh is no rank of the world


class Here:
    """This process and its meshes."""

    def __init__(self, rank):
        self.rank = rank
        self.meshes = {name: DeviceMesh("cpu", ranks) for name, ranks in GROUPS.items()}
        self.mesh = self.meshes["4"]
        self.grid = DeviceMesh("cpu", [[0, 1], [2, 3]], mesh_dim_names=("data", "sequence"))


def random_layers(here, name):
    """Return the number of layers that were compared, and of those that refuse their input."""
    mesh = here.meshes[name]
    if mesh.get_coordinate() is None:
        return None
    done = [sharded_layers.run_case(mesh, seed) for seed in range(CASES if name != "shuffled" else CASES // 5)]
    return [sum(done), len(done)]


def models(here, name):
    mesh = here.meshes[name]
    if mesh.get_coordinate() is None:
        return None
    for model in sharded_models.MODELS:
        sharded_models.run_model(mesh, model, 48)
        sharded_models.run_model(mesh, model, 24)
    chunks = [0, 2, 30, 48] if name == "3" else [0, 2, 48] if name == "2" else [0, 2, 2, 30, 48]
    sharded_models.run_model(mesh, "net", 48, chunks)
    return "equal"


def wrong_halos(here):
    """Return how many of 12 layers each deliberately wrong exchange makes wrong."""
    noticed = {}
    for fault in sharded_layers.FAULTS:
        failures = []
        for seed in range(12):
            try:
                sharded_layers.run_case(here.meshes["4"], seed, fault)
            except sharded_layers.Failed:
                failures.append(seed)
        noticed[fault] = failures
    return noticed


TASKS = {
    **{f"layers {name}": lambda here, name=name: random_layers(here, name) for name in ("2", "3", "4", "shuffled")},
    **{f"models {name}": lambda here, name=name: models(here, name) for name in ("2", "3", "4")},
    **{
        task.__name__: task
        for task in (
            wrong_halos,
            sharded_torch.ddp,
            sharded_torch.fsdp,
            sharded_torch.activation_checkpoint,
            sharded_torch.compiled,
            sharded_torch.mixed_precision,
            sharded_torch.other_mesh,
            sharded_torch.parallel_style,
            sharded_torch.second_derivatives,
            sharded_torch.order_of_events,
            sharded_torch.documents,
            sharded_torch.blocks,
            sharded_refusals.refusals,
            sharded_refusals.outside,
            sharded_torch.alone,
            sharded_refusals.wrong_process,
            sharded_refusals.dead_rank,
        )
    },
}


def main(rank, folder):
    torch.set_num_threads(1)
    store = dist.FileStore(f"{folder}/store", RANKS)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=RANKS, timeout=PATIENCE)
    here, outcomes = Here(rank), {}
    for name, task in TASKS.items():
        try:
            outcomes[name] = task(here)
        except Exception:
            print(f"{name} failed on rank {rank}:\n{traceback.format_exc()}", flush=True)
            os._exit(1)  # the others would wait in the next task for what this rank does not send
        if name == list(TASKS)[-2]:
            dist.barrier()
    Path(f"{folder}/{rank}.json").write_text(json.dumps(outcomes), encoding="utf-8")
    os._exit(0)  # without waiting for the others


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])

"""Checkpoint files of every format, damaged at random or made to deceive, through `convert`.

A fault is an exception outside the contract, code that runs, a result that its own library does not open, a source that changes, a file
that is left behind, and time or memory that grows beyond the file.
"""

from __future__ import annotations

import io
import json
import random
import resource
import time
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

import convpolicy as cp

from ._checkpoints import FORMATS, mutated

NAME = "convert"
NEEDS = ("torch", "mindspore", "h5py")
SECONDS = 30.0  # for one input of some kilobytes, on a machine that does other things
MEMORY = 2 << 30  # bytes that one input may add
PATTERNS = ("*", "conv.*", "*.weight", "?" * 11, "*" * 12 + "x", "module.*")
RULES: tuple[Any, ...] = (
    "torch",
    "keras",
    {"name": "*"},
    {"name": "convpolicy"},
    {"layout": "WIM"},
    {"layout": "OIW", "groups": 2},
    3,
)


def opened(path: Path) -> int:
    """Open a result with its own library, read every tensor, and return how many there are."""
    suffix = next(known for known in sorted(FORMATS, key=len, reverse=True) if path.name.endswith(known))
    if suffix == ".safetensors":
        return len(load_file_of_any_dtype(path))
    if suffix == ".safetensors.index.json":
        places = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        names = {name: set(load_file_of_any_dtype(path.parent / name)) for name in set(places.values())}
        assert all(key in names[name] for key, name in places.items()), "an index that its files contradict"
        return len(places)
    if suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            return len([archive[name] for name in archive.files])
    if suffix == ".pt":
        import torch

        whole = torch.load(path, weights_only=True)
        return len(whole.get("state_dict", whole))
    if suffix == ".ckpt":
        import mindspore

        return len(mindspore.load_checkpoint(str(path)))
    import h5py

    found: list[Any] = []
    content = path if suffix == ".weights.h5" else io.BytesIO(zipfile.ZipFile(path).read("model.weights.h5"))
    with h5py.File(content) as file:
        file.visititems(lambda _name, item: found.append(item[()]) if isinstance(item, h5py.Dataset) else None)
    return len(found)


def load_file_of_any_dtype(path: Path) -> dict[str, Any]:
    """What the library reads, in torch where NumPy has no such dtype."""
    try:
        return load_file(path)
    except (KeyError, TypeError, AttributeError, ValueError):  # also more axes than NumPy has
        from safetensors.torch import load_file as load_torch

        return load_torch(path)


def arguments(chance: random.Random) -> dict[str, Any]:
    """How `convert` is called."""
    made: dict[str, Any] = {
        "source": chance.choice(("torch", "torch", "torch", "torch", "keras", "OWI")),
        "target": chance.choice(("torch", "mindspore", "keras", "keras", "flax", "WIM")),
    }
    if chance.random() < 0.9:
        made["guess"] = True
    if chance.random() < 0.2:
        made["mapping"] = {chance.choice(PATTERNS): chance.choice(RULES)}
    if chance.random() < 0.1:
        made["layers"] = {chance.choice(("conv", "layers/conv1d_0", "x")): cp.Conv1d(3, 6, 5)}
    if chance.random() < 0.2:
        made["dtype"] = chance.choice(("float16", "bfloat16", "float64"))
    return made


def case(random: random.Random, folder: Path) -> bool:
    """Make one file, convert it once, and check what came of it.

    Args:
        random: decides everything.
        folder: empty, and removed afterwards.

    Returns:
        Whether the file was converted.

    Raises:
        AssertionError: a fault; holds the call.
    """
    chance, canary = random, folder / "canary"
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    suffix = chance.choice(tuple(FORMATS))
    end = suffix if suffix == ".safetensors.index.json" and chance.random() < 0.7 else chance.choice(tuple(FORMATS))
    source, output, words = folder / "a" / f"a{suffix}", folder / "b" / f"b{end}", arguments(chance)
    FORMATS[suffix](source, chance, canary)
    source.write_bytes(mutated(source.read_bytes(), chance))
    before = {path: path.read_bytes() for path in (folder / "a").iterdir()}
    start, memory = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    call = f"convert({source.name!r}, {output.name!r}, {words})"
    done = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            done = cp.convert(source, output, **words)
    except (cp.ConvPolicyError, OSError) as error:
        assert "\n" not in str(error), f"{call}: a message of several lines: {error}"
        assert not isinstance(error, cp.ConvPolicyError) or "failed while" not in str(error), f"{call}: {error}"
    except Exception as error:
        raise AssertionError(f"{call}: {type(error).__name__}: {error}") from error
    assert not canary.exists(), f"{call}: ran code"
    assert {path: path.read_bytes() for path in (folder / "a").iterdir()} == before, f"{call}: changed its source"
    assert time.perf_counter() - start < SECONDS, f"{call}: took {time.perf_counter() - start:.1f} s"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) * 1024
    assert grown < MEMORY, f"{call}: needed {grown} bytes more"
    if done is None:
        assert not list((folder / "b").iterdir()), f"{call}: left {list((folder / 'b').iterdir())}"
        return False
    try:
        count = opened(output)
    except Exception as error:
        raise AssertionError(f"{call}: wrote what {end} does not read: {type(error).__name__}: {error}") from error
    assert count >= len(done.tensors), f"{call}: wrote {count} tensors of {len(done.tensors)}"
    return True

"""Stored draws of the frameworks' own initializers, each law in each dtype, against the streams alone: no framework is imported."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json

import numpy as np
import pytest
from helpers.paths import GOLDEN

import convpolicy as cp

LAWS = GOLDEN / "laws"
# stored file -> the policy whose stream and layout claim it
CLAIMED = {
    "torch-2.13.0": "torch",
    "torch-1.9.0": "torch@1.9.0",
    "mindspore-2.10.0": "mindspore",
    "mindspore-2.0.0": "mindspore@2.0.0",
    "keras-3.15.1": "keras",
    "keras-torch-3.15.1": "keras-torch",
    "keras-jax-3.15.1": "keras-jax",
}
# torch 1.9 draws these another way: narrow dtypes from fewer bits or in them, float64 normals and the truncated law by a vendor's
# mathematics library; a float64 normal far enough from 0 does not show it
NORMALS = ("normal", "truncated_normal", "he_normal", "xavier_normal")
DIFFERENT = {
    "float32": ("truncated_normal",),
    "float64": ("truncated_normal", "he_normal", "xavier_normal"),
    "float16": ("uniform", "he_uniform", "xavier_uniform", *NORMALS),
    "bfloat16": ("uniform", "he_uniform", "xavier_uniform", *NORMALS),
}


@functools.cache
def stored(name: str) -> dict:
    """One stored measurement."""
    return json.loads((LAWS / f"{name}.json").read_text(encoding="utf-8"))


def cases(name: str) -> list:
    """The measurement's draws by law and dtype, for all seeds."""
    draws = sorted(stored(name)["draws"], key=lambda draw: (draw["law"], json.dumps(draw["params"]), draw["dtype"]))
    return [list(group) for _, group in itertools.groupby(draws, lambda draw: (draw["law"], draw["params"], draw["dtype"]))]


def title(draws: list) -> str:
    """Law, parameters and dtype."""
    return f"{cp.Choice(draws[0]['law'], **draws[0]['params'])} {draws[0]['dtype']}"


def drawn(policy, seed: int, dtype: str, shapes: list) -> list:
    """Weights of all shapes in a row, in the framework's own axes, as float64."""
    stream, layout = policy.start_stream(seed), policy.part("layout")[0]
    weights = []
    for shape in shapes:
        arrays = layout.pack(policy.initial(*shape, stream=stream, dtype=dtype), shape[3])
        weights.append(np.ascontiguousarray(next(iter(arrays.values())), "<f8"))
    return weights


def test_every_stored_file_is_claimed():
    """Every stored measurement is compared."""
    assert {path.stem for path in LAWS.glob("*.json")} == set(CLAIMED)


@pytest.mark.grid(every=13)
@pytest.mark.parametrize(
    ("name", "draws"), [pytest.param(name, case, id=f"{name} {title(case)}") for name in CLAIMED for case in cases(name)]
)
def test_a_law_is_the_frameworks_own(name, draws):
    """Twelve weights in a row, 1 to 106 496 elements, for every seed measured: every bit."""
    shapes = stored(name)["shapes"]
    different = name == "torch-1.9.0" and draws[0]["law"] in DIFFERENT[draws[0]["dtype"]]
    same = []
    for measured in draws:
        if "refused" in measured:  # an old framework lacks the dtype or the parameter
            assert name in ("torch-1.9.0", "mindspore-2.0.0")
            continue
        policy = cp.policy(CLAIMED[name]).evolve(weight_init=cp.Choice(measured["law"], **measured["params"]), bias=False)
        weights = drawn(policy, measured["seed"], measured["dtype"], shapes)
        first = [weight.reshape(-1)[0] for weight in weights]
        digest = hashlib.sha256(b"".join(weight.tobytes() for weight in weights)).hexdigest()
        same.append(digest == measured["sha256"])
        if not different:
            assert first == measured["first"], measured["seed"]
            assert same[-1], measured["seed"]
    assert not (different and same and all(same))

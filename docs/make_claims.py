"""Print docs/understand/claims.md: what MindSpore's page of differences says, beside what the stored measurements say.

    python docs/make_claims.py > docs/understand/claims.md

The measurements are tests/golden/*.json, made by tests/golden/measure.py inside each framework. A verdict is worked out here
from them; nothing is written by hand but the claims.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import convpolicy as cp

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"
PAGE = "https://www.mindspore.cn/docs/en/r2.0/note/api_mapping/pytorch_diff/Conv1d.html"
HEAD = f"""# The page of differences, measured

MindSpore documents how its Conv1d differs from PyTorch's: [Function Differences with torch.nn.Conv1d]({PAGE}), release 2.0. This page puts
every statement of it beside a measurement.

- *measured*: what the frameworks did, by version.
- *verdict*: whether the statement agrees with the measurement.

`python docs/make_claims.py` writes the page from the measurements in `tests/golden/`. [The examples](../../examples/README.md) run the code
of MindSpore's page.

| the page says | measured | verdict |
|---|---|---|"""
SIGNAL = [1.0, 2.0, 3.0, 4.0, 5.0]

Measured = dict[str, dict[str, Any]]


def measured(framework: str) -> Measured:
    """The stored measurements of one framework, version -> data, oldest first."""
    paths = [path for path in GOLDEN.glob(f"{framework}-*.json") if re.fullmatch(rf"{framework}-[\d.]+", path.stem)]
    found = {path.stem.removeprefix(f"{framework}-"): json.loads(path.read_text(encoding="utf-8")) for path in paths}
    return dict(sorted(found.items(), key=lambda item: [int(part) for part in item[0].split(".")]))


TORCH, MINDSPORE = measured("torch"), measured("mindspore")


def by_version(found: Measured, read: Callable[[dict[str, Any]], Any]) -> str:
    """What ``read`` finds in every version, versions that agree together."""
    groups: dict[str, list[str]] = {}
    for version, data in found.items():
        groups.setdefault(str(read(data)), []).append(version)
    return "; ".join(f"{', '.join(versions)}: {value}" for value, versions in groups.items())


def everywhere(found: Measured, holds: Callable[[dict[str, Any]], bool]) -> str:
    """``true``, ``false``, or of which versions it is true."""
    true = [version for version, data in found.items() if holds(data)]
    return "true" if len(true) == len(found) else f"true of {', '.join(true)} only" if true else "**false**"


def probe(name: str) -> Callable[[dict[str, Any]], Any]:
    """Read one call that was tried."""
    return lambda data: data["page"]["probes"][name]


def same_pads(data: dict[str, Any], kernel: int, stride: int, dilation: int, length: int) -> str:
    """(left, right) of 'same', from what the first and last window read: zeros are pads, samples count from 1."""
    for case in data["same"]:
        if case["sizes"] == [kernel, stride, dilation, length]:
            first, last = case["windows"]["first"], case["windows"]["last"]
            return f"({first.count(0)}, {last.count(0)})"
    raise LookupError((kernel, stride, dilation, length))


def law(policy: str, parameter: str) -> str:
    """Mean, standard deviation and range of what the policy draws, which test_golden.py proves to be the framework's bits."""
    values = cp.policy(policy).evolve(bias=True).initial(64, 128, 13, seed=0)[parameter].astype(float)
    if not values.any():
        return "zeros"
    bound = 1 / np.sqrt(64 * 13)
    if np.abs(values).max() <= bound * (1 + 1e-6):
        return f"uniform within ±√(1/fan_in): greatest {np.abs(values).max() / bound:.4f} of it, std {values.std() / bound:.3f} of it"
    return f"normal: mean {values.mean():.4f}, std {values.std():.4f}"


def laws(framework: str, found: Measured, parameter: str) -> str:
    """`law` in every version."""
    groups: dict[str, list[str]] = {}
    for version in found:
        groups.setdefault(law(f"{framework}@{version}", parameter), []).append(version)
    return "; ".join(f"{', '.join(versions)}: {text}" for text, versions in groups.items())


def padded(left: list[float], right: list[float]) -> list[float]:
    """The signal between two pads."""
    return [*left, *SIGNAL, *right]


def rows() -> list[tuple[str, str, str]]:
    """Claim, measurement and verdict."""
    modes = {
        "zeros": padded([0, 0], [0, 0]), "reflect": padded([3, 2], [4, 3]), "replicate": padded([1, 1], [5, 5]),
        "circular": padded([4, 5], [1, 2]),
    }  # fmt: skip
    tried = {mode: probe(f"padding=2, padding_mode={mode!r}") for mode in modes}
    named = {mode: "constant" if mode == "zeros" else mode for mode in modes}
    functional = {mode: probe(f"functional.pad, mode={named[mode]!r}") for mode in modes}
    has_bias = lambda data: "bias" in data["page"]["parameters"]  # noqa: E731 - one reading among others
    output = lambda data: data["page"]["output"][2]  # noqa: E731 - one reading among others
    odd = (4, 1, 1, 4)
    normal = {version: law(f"mindspore@{version}", "weight") for version in MINDSPORE}
    zeros = {version: law(f"mindspore@{version}", "bias") for version in MINDSPORE}
    channel = probe("Pad(((0,0),(1,1),(1,1)), REFLECT), channel 0")
    return [
        ("MindSpore does not add a bias by default, PyTorch does",
         f"bias by default: torch {by_version(TORCH, has_bias)}; MindSpore {by_version(MINDSPORE, has_bias)}",
         "true" if everywhere(TORCH, has_bias) == "true" and everywhere(MINDSPORE, has_bias) == "**false**"
         else "**false**"),
        ("MindSpore fills the input by default, PyTorch does not",
         f"outputs for 640 samples, kernel 4: torch {by_version(TORCH, output)}; MindSpore {by_version(MINDSPORE, output)}",
         "true" if {output(d) for d in TORCH.values()} == {637} and {output(d) for d in MINDSPORE.values()} == {640} else "**false**"),
        *[(f"torch's padding_mode {mode!r} fills as named", f"12345 padded by 2: {by_version(TORCH, tried[mode])}",
           everywhere(TORCH, lambda data, mode=mode: tried[mode](data) == modes[mode])) for mode in modes],
        ("the four modes are those of torch.nn.functional.pad", "every sample equal for all four" if all(
            tried[mode](data) == functional[mode](data) for mode in modes for data in TORCH.values()) else "they differ",
         everywhere(TORCH, lambda data: all(tried[mode](data) == functional[mode](data) for mode in modes))),
        ("torch's padding may be a tuple (left, right)", f"padding=(1, 2): {by_version(TORCH, probe('padding=(1, 2)'))}",
         everywhere(TORCH, lambda data: not str(probe("padding=(1, 2)")(data)).startswith("refused"))),
        ("torch's 'same' with an odd total fills the left first",
         f"(left, right) for kernel 4: {by_version(TORCH, lambda d: same_pads(d, *odd))}",
         everywhere(TORCH, lambda data: same_pads(data, *odd) == "(2, 1)")),
        ("MindSpore's pad_mode 'pad' fills zeros on both sides",
         f"12345, padding=2: {by_version(MINDSPORE, probe(PAD_2))}",
         everywhere(MINDSPORE, lambda data: probe(PAD_2)(data) == modes["zeros"])),
        ("MindSpore's padding can only be an int", f"padding=(1, 2): {by_version(MINDSPORE, probe(PAD_PAIR))}",
         everywhere(MINDSPORE, lambda data: str(probe(PAD_PAIR)(data)).startswith("refused"))),
        ("in the modes 'same' and 'valid' padding must be 0",
         f"padding=1: 'valid' {by_version(MINDSPORE, probe(VALID_1))}; 'same' {by_version(MINDSPORE, probe(SAME_1))}",
         everywhere(MINDSPORE, lambda data: all(str(probe(p)(data)).startswith("refused") for p in (VALID_1, SAME_1)))),
        ("MindSpore's 'same' with an odd total fills the right first, as TensorFlow",
         (f"(left, right) for kernel 4: {by_version(MINDSPORE, lambda d: same_pads(d, *odd))}; "
         f"kernel 3, stride 2, 4 samples: {by_version(MINDSPORE, lambda d: same_pads(d, 3, 2, 1, 4))}"),
         everywhere(MINDSPORE, lambda data: same_pads(data, *odd) == "(1, 2)" and same_pads(data, 3, 2, 1, 4) == "(0, 1)")),
        ("MindSpore's weight is drawn from N(0, 1)", laws("mindspore", MINDSPORE, "weight"),
         "true" if all("std 1.0" in text for text in normal.values()) else "**false**"),
        ("MindSpore's bias is zeros", laws("mindspore", MINDSPORE, "bias"),
         everywhere(MINDSPORE, lambda data: zeros[data["version"]] == "zeros")),
        ("torch's weight is uniform within ±√k", laws("torch", TORCH, "weight"),
         "true" if all(law(f"torch@{version}", "weight").startswith("uniform") for version in TORCH) else "**false**"),
        ("torch's bias is uniform within ±√k", laws("torch", TORCH, "bias"),
         "true" if all(law(f"torch@{version}", "bias").startswith("uniform") for version in TORCH) else "**false**"),
        ("MindSpore's stored weight has one more axis than torch's",
         (f"torch {by_version(TORCH, lambda d: d['page']['parameters']['weight'])}; "
         f"MindSpore {by_version(MINDSPORE, lambda d: d['page']['parameters']['weight'])}"),
         everywhere(MINDSPORE, lambda data: data["page"]["parameters"]["weight"] == [240, 120, 1, 4])),
        ("torch's reflection is nn.Pad(((0,0),(1,1),(1,1)), 'REFLECT') before a convolution with 2 more input channels",
         (f"3 channels become {by_version(MINDSPORE, lambda d: probe('Pad(((0,0),(1,1),(1,1)), REFLECT), shape')(d)[1])}, the first of "
         f"them {by_version(MINDSPORE, channel)}, which is channel 1 reflected"),
         "**false**" if all(channel(data) == [5, 4, 5, 6, 5] for data in MINDSPORE.values()) else "true"),
    ]  # fmt: skip


PAD_2, PAD_PAIR = "pad_mode='pad', padding=2", "pad_mode='pad', padding=(1, 2)"
VALID_1, SAME_1 = "pad_mode='valid', padding=1", "pad_mode='same', padding=1"
TAIL = """
## What follows for your code

- PyTorch's `same` puts the extra sample on the **right**, as MindSpore's does at stride 1. The rule `torch-left` is the one that the page
  describes; no measured version of PyTorch follows it.
- To reflect in MindSpore, pad the length axis only, `nn.Pad(((0,0),(0,0),(1,1)), "REFLECT")`, and keep the input channels.
- MindSpore's documentation shows the newer default, `weight_init=None`, from 2.1 on. 2.7.0 is the oldest of the newer versions that was
  measured."""


def main() -> None:
    """Print the page."""
    print(HEAD)
    for claim, found, verdict in rows():
        print(f"| {claim} | {found} | {verdict} |")
    print(TAIL)


if __name__ == "__main__":
    main()

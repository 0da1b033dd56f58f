"""Print tests/golden/papers/reads.json: which sample every tap of every output of each reference reads, measured on the packages.

python tests/papers/measure.py > tests/golden/papers/reads.json, in the environment of requirements/papers.txt.
"""

from __future__ import annotations

import json
import warnings
from typing import Any

import torch
from layers import Built
from references import CASES, Case
from torch import nn
from torch.nn.utils import parametrize

WIDEST = 12  # longer kernels repeat what shorter ones show
KEPT = ("kernel_size", "stride", "dilation", "padding", "padding_mode")


def plain(built: Built) -> nn.Conv1d:
    """Take weight normalisation off the reference's convolution."""
    if parametrize.is_parametrized(built.conv):
        parametrize.remove_parametrizations(built.conv, "weight")
    elif hasattr(built.conv, "weight_g"):
        nn.utils.remove_weight_norm(built.conv)
    return built.conv


@torch.no_grad()
def windows(case: Case, length: int) -> list[list[int]] | None:
    """Return the input position that each tap of each output reads, -1 for a zero; None where the reference refuses."""
    built = case.build()
    conv = plain(built)
    if conv.bias is not None:
        conv.bias.zero_()
    data = torch.arange(1.0, length + 1).expand(1, case.arguments["in_channels"], length)
    taps = []
    for tap in range(conv.kernel_size[0]):
        conv.weight.zero_()
        conv.weight[0, 0, tap] = 1
        try:
            taps.append([round(value) - 1 for value in built.call(data)[0, 0].tolist()])
        except (RuntimeError, ValueError, AssertionError):
            return None
    return [list(window) for window in zip(*taps)] or None


def main() -> None:
    """Print one line per case."""
    warnings.simplefilter("ignore")
    lines = []
    for case in CASES:
        if case.sizes[0] > WIDEST:
            continue
        sizes: dict[str, Any] = {name: value for name, value in case.arguments.items() if name in KEPT}
        if case.transposed:
            sizes["transposed"] = True
        reads = {length: windows(case, length) for length in case.lengths}
        lines.append(json.dumps({"policy": case.policy, "package": case.package, **sizes, "reads": reads}, separators=(",", ":")))
    print("[\n" + ",\n".join(dict.fromkeys(lines)) + "\n]")


if __name__ == "__main__":
    main()

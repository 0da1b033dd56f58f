"""Print docs/guides/torch_tools.md: features of torch tried on every kind of layer.

python docs/make_torch_tools.py > docs/guides/torch_tools.md
"""

from __future__ import annotations

import itertools
import logging
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from helpers.torch_tools import FEATURES, KINDS, REFUSED, outcome

HEAD = """# What works with PyTorch

A layer with `backend="torch"` is a `torch.nn.Conv1d`. You can use PyTorch's tools on it, such as export, FX, quantization, `torch.func`,
weight normalization and distributed training. This page lists {count} features, and whether they work on {kinds} kinds of layers.

`python docs/make_torch_tools.py` writes this page, here with torch {version}. The project's tests repeat its tables.

## Which class you get

| the layer has | class |
|---|---|
| equal pads, or torch's own `"same"`, in any padding mode of torch, with any initial weights | `torch.nn.Conv1d` |
| other pads or modes, or `execution="fast"` | a subclass of `torch.nn.Conv1d` |

Some tools require the class `torch.nn.Conv1d` itself. For these tools, the subclass provides a `torch.nn.Conv1d`:

- **`torch.fx`** traces a subclass as a padding operation and a call of a `torch.nn.Conv1d`. `fuse_fx` and FX quantization find this call.
- **`fuse_modules` and eager quantization** put a padding module before PyTorch's fused or quantized module.
- **`torch.jit.script`** compiles a `torch.nn.Conv1d` for a layer with `execution="fast"`. It raises an error for layers that pad with their
  own code.

In this example, `fuse_fx` fuses a causal layer with the normalization after it. `torch.export` then exports the layer for different
lengths:

```python
import torch
from torch.ao.quantization.quantize_fx import fuse_fx

import convpolicy as cp

layer = cp.Conv1d(4, 6, 3, padding="causal", backend="torch")
model = torch.nn.Sequential(layer, torch.nn.BatchNorm1d(6)).eval()
fused = fuse_fx(model)

x = torch.randn(2, 4, 40)
print([node.op for node in fused.graph.nodes])
print(f"fused, largest difference {{(fused(x) - model(x)).abs().max():.5f}}")

length = torch.export.Dim("length", min=8, max=4096)
program = torch.export.export(layer, (x,), dynamic_shapes=({{2: length}},))
longer = torch.randn(2, 4, 999)
print("exported, largest difference", (program.module()(longer) - layer(longer)).abs().max().item())
```

```text
['placeholder', 'call_function', 'call_module', 'output']
fused, largest difference 0.00000
exported, largest difference 0.0
```

## Kinds of layers
"""
TAIL = """
## Limits

- **A trace contains the pads of one length.** `torch.jit.trace` and the ONNX exporter with `dynamo=False` print a `TracerWarning`. For
  other lengths, use `torch.export.export` or `torch.onnx.export(dynamo=True)`.
- **Some padding modes do not support a dynamic length.** `torch.export` and `torch.onnx.export` then raise an error, and `torch.compile`
  compiles once for each length. These modes are:
  - the padding mode of a plugin, because it is Python code
  - `odd`, `odd_symmetric`, `extrapolate` and `linear_ramp`, if `overflow="zero-extend"`
- **`fully_shard` does not accept a scalar parameter.** For a learned constant, use one value per channel: `value=[0.0] * in_channels`.
- **`fuse_fx` does not fuse a normalization with a layer that drops outputs**, such as `chomp`, `same_drop_last` and `causal_keep`. Use
  `fuse_modules` or `fuse_conv_bn_eval` for these layers.
- **PT2E quantization** is in the package torchao. It quantizes the exported graph, which contains `aten.conv1d`.
- **`torch.utils.mkldnn.to_mkldnn` ignores the padding mode.** With `padding_mode="reflect"` it pads zeros, also for PyTorch's own layers.
  For unequal pads it raises a RuntimeError. Use `torch.compile` instead.
- **An input with a wrong shape** raises PyTorch's RuntimeError if the class is `torch.nn.Conv1d`. A subclass raises `ConvPolicyError`,
  which is also a ValueError.
"""


def described(kind: object) -> str:
    """The row of a kind: its call and its class."""
    options = "".join(f", {name}={value!r}" for name, value in kind.options.items())
    name = type(kind.layer()).__name__
    return f"| {kind.name} | `cp.Conv1d(4, 6, {kind.kernel_size}{options})` | {'`torch.nn.Conv1d`' if name == 'Conv1d' else 'a subclass'} |"


def shortened(sentences: list[str]) -> str:
    """Several refusals as one, an ellipsis where they differ."""
    first = prefix(sentences)
    last = prefix([sentence[len(first) :][::-1] for sentence in sentences])[::-1]
    return first if set(sentences) == {first} else f"{first}…{last}"


def prefix(texts: list[str]) -> str:
    """What several texts begin with."""
    same = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*texts))
    return "".join(letters[0] for letters in same)


def main() -> None:
    """Print the page."""
    logging.disable(logging.CRITICAL)
    count = sum(map(len, FEATURES.values()))
    print(HEAD.format(count=count, kinds=len(KINDS), version=torch.__version__.partition("+")[0]))
    print("| kind | call | class |\n|---|---|---|")
    print("\n".join(described(kind) for kind in KINDS.values()))
    notes: list[str] = []
    for group, functions in FEATURES.items():
        print(f"\n## {group}\n\n| feature | {' | '.join(KINDS)} |\n|---{'|---' * len(KINDS)}|")
        for name, function in functions.items():
            outcomes = [outcome(function, kind) for kind in KINDS.values()]
            refusals = [found.removeprefix(REFUSED) for found in outcomes if found != "yes"]
            if refusals:
                notes.append(shortened(refusals))
            cells = ["yes" if found == "yes" else f"no, {len(notes)}" for found in outcomes]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
    print("\n## What the refusals say\n")
    print("\n".join(f"{number}. {note}" for number, note in enumerate(notes, 1)))
    print(TAIL, end="")


if __name__ == "__main__":
    main()

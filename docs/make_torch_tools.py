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

A layer of `backend="torch"` is a `torch.nn.Conv1d`, and PyTorch's tools work on it: export, FX, quantization, `torch.func`, weight
normalization, distributed training. This page lists {count} features, each tried on {kinds} kinds of layers.

`python docs/make_torch_tools.py` makes the page, and the tests try every cell again. Tried with torch {version}.

## Which class you get

| the layer has | class |
|---|---|
| equal pads, or torch's own `"same"`, in any padding mode of torch, with any initial weights | `torch.nn.Conv1d` |
| other pads or modes, or `execution="fast"` | a subclass |

Some tools look at the class. From a subclass they also get a `torch.nn.Conv1d`:

- `torch.fx` traces a padding and a call of a `torch.nn.Conv1d`, so `fuse_fx` and FX quantization find it.
- `fuse_modules` and eager quantization put a padding module before torch's fused or quantized module.
- `torch.jit.script` compiles a `torch.nn.Conv1d` for `execution="fast"`. It refuses layers that pad by themselves.

Here a causal layer is fused with the normalization after it, and exported for every length:

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

- **Traces keep the pads of one length.** `torch.jit.trace`, and the ONNX exporter that uses it (`dynamo=False`), warn of it
  (`TracerWarning`). Use `torch.export.export` or `torch.onnx.export(dynamo=True)` for other lengths.
- **A plugin's padding mode is Python code.** `torch.export` and `torch.onnx.export` refuse it with a dynamic length, and `torch.compile`
  compiles once for each length. The same holds for `overflow="zero-extend"` with a mode that adds sums: `odd`, `odd_symmetric`,
  `extrapolate`, `linear_ramp`. All other built-in modes work for every length.
- **`fully_shard` accepts no scalar parameter.** Give a learned constant one value per channel: `value=[0.0] * in_channels`.
- **`fuse_fx` does not fold a normalization into a layer that drops outputs** (`chomp`, `same_drop_last`, `causal_keep`), because the cut is
  between the two. `fuse_modules` and `fuse_conv_bn_eval` do.
- **PT2E quantization** is in the package torchao. It quantizes the exported graph, in which it finds `aten.conv1d`.
- **`torch.utils.mkldnn.to_mkldnn` reads neither padding mode nor unequal pads.** With `padding_mode="reflect"` it pads zeros, also for
  torch's own layers. For unequal pads it raises a RuntimeError. Use `torch.compile`.
- **An input of a wrong shape** raises torch's RuntimeError where the class is `torch.nn.Conv1d`, otherwise `ConvPolicyError`, which is also a
  ValueError.
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

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

from helpers.torch_tools import FEATURES, KINDS, LACKING, REFUSED, TRANSPOSED, outcome

HEAD = """# What works with PyTorch

A layer with `backend="torch"` is a `torch.nn.Conv1d` or a `torch.nn.ConvTranspose1d`. You can use PyTorch's tools on it, such as export, FX, quantization, `torch.func`,
weight normalization and distributed training. This page lists {count} features, and whether they work on {kinds} kinds of convolutions
and on {transposed} kinds of transposed convolutions.

`python docs/make_torch_tools.py` writes this page, here with torch {version}. The project's tests repeat its tables.

## Which class you get

| the layer has | class |
|---|---|
| equal pads, or torch's own `"same"`, in any padding mode of torch, with any initial weights | `torch.nn.Conv1d` |
| other pads or modes, or `execution="fast"` or `"auto"` | a subclass of `torch.nn.Conv1d` |

| the transposed layer | class |
|---|---|
| cuts as much on the left as on the right, or more by less than `max(stride, dilation)` samples | `torch.nn.ConvTranspose1d` |
| cuts other numbers, has mode `"circular"`, or has `execution="fast"` or `"auto"` | a subclass of `torch.nn.ConvTranspose1d` |

Some tools require PyTorch's own class. For these tools, the subclass provides a layer of that class:

- **`torch.fx`** traces a subclass as a padding operation and a call of a `torch.nn.Conv1d`. `fuse_fx` and FX quantization find this call.
  A transposed subclass is a call of a `torch.nn.ConvTranspose1d` and a cut.
- **`fuse_modules` and eager quantization** put a padding module before PyTorch's fused or quantized module, or a cutting module after it.
- **`torch.jit.script`** compiles PyTorch's own class for a layer with `execution="fast"`. It raises an error for layers that pad or cut with
  their own code.

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
- **ONNX rounds a negative quotient towards 0, Python rounds it down.** In the program that `torch.export.export` makes of a layer, a
  plugin's rule divides no negative number. With `strict=True`, such a rule raises an error.
- **Some padding modes do not support a dynamic length.** `torch.export` and `torch.onnx.export` then raise an error, and `torch.compile`
  compiles once for each length. These modes are:
  - the padding mode of a plugin, because it is Python code
  - `odd`, `odd_symmetric`, `extrapolate` and `linear_ramp`, if `overflow="zero-extend"`
- **`fully_shard` does not accept a scalar parameter.** For a learned constant, use one value per channel: `value=[0.0] * in_channels`.
- **`fuse_fx` does not fuse a normalization with a layer that drops outputs**, such as `chomp`, `same_drop_last` and `causal_keep`, or with
  a subclass of `torch.nn.ConvTranspose1d` that cuts. Use `fuse_modules` or `fuse_conv_bn_eval` for these layers.
- **PyTorch's own `torch.nn.ConvTranspose1d` lacks some features**, which transposed layers therefore lack, too:
{lacking}
- **`output_size` in a call** works as in PyTorch. With `torch.fx`, set the `output_padding` of the layer instead. A crop rule without
  `output_padding` refuses it.
- **Quantized transposed layers** need weights with one scale, such as those of `torch.ao.quantization.default_qconfig`.
- **PT2E quantization** is in the package torchao. It quantizes the exported graph, which contains `aten.conv1d`.
- **`torch.utils.mkldnn.to_mkldnn` ignores the padding mode.** With `padding_mode="reflect"` it pads zeros, also for PyTorch's own layers.
  For unequal pads it raises a RuntimeError. Use `torch.compile` instead.
- **An input with a wrong shape** raises PyTorch's RuntimeError if the class is PyTorch's own. A subclass raises `ConvPolicyError`,
  which is also a ValueError.
"""


def described(kind: object) -> str:
    """The row of a kind: its call and its class."""
    options = "".join(f", {name}={value!r}" for name, value in kind.options.items())
    name = type(kind.layer()).__name__
    own = f"`torch.nn.{name}`" if name == kind.native.__name__ else "a subclass"
    return f"| {kind.name} | `cp.{kind.factory.__name__}(4, 6, {kind.kernel_size}{options})` | {own} |"


def shortened(sentences: list[str]) -> str:
    """Several refusals as one, an ellipsis where they differ."""
    first = prefix(sentences)
    last = prefix([sentence[len(first) :][::-1] for sentence in sentences])[::-1]
    return first if set(sentences) == {first} else f"{first}…{last}"


def prefix(texts: list[str]) -> str:
    """What several texts begin with."""
    same = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*texts))
    return "".join(letters[0] for letters in same)


def tables(kinds: dict[str, object], left_out: set[tuple[str, str]], level: str, notes: list[str]) -> None:
    """Print a table of every group of features for some kinds of layers; collect what the refusals say."""
    print("| kind | call | class |\n|---|---|---|")
    print("\n".join(described(kind) for kind in kinds.values()))
    for group, functions in FEATURES.items():
        chosen = {name: function for name, function in functions.items() if (group, name) not in left_out}
        print(f"\n{level} {group}\n\n| feature | {' | '.join(kinds)} |\n|---{'|---' * len(kinds)}|")
        for name, function in chosen.items():
            outcomes = [outcome(function, kind) for kind in kinds.values()]
            refusals = [found.removeprefix(REFUSED) for found in outcomes if found != "yes"]
            note = shortened(refusals) if refusals else ""
            if refusals and note not in notes:
                notes.append(note)
            cells = ["yes" if found == "yes" else f"no, {notes.index(note) + 1}" for found in outcomes]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print the page."""
    logging.disable(logging.CRITICAL)
    count, version = sum(map(len, FEATURES.values())), torch.__version__.partition("+")[0]
    print(HEAD.format(count=count, kinds=len(KINDS), transposed=len(TRANSPOSED), version=version))
    notes: list[str] = []
    tables(KINDS, set(), "##", notes)
    print("\n## Transposed convolutions\n")
    tables(TRANSPOSED, LACKING, "###", notes)
    print("\n## What the refusals say\n")
    print("\n".join(f"{number}. {note}" for number, note in enumerate(notes, 1)))
    print(TAIL.format(lacking="\n".join(f"  - {name}" for _group, name in sorted(LACKING))), end="")


if __name__ == "__main__":
    main()

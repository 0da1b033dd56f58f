"""Write docs/papers: a page for every policy of a paper and the page that lists them, from what the policies say.

python docs/make_papers.py docs/papers
"""

from __future__ import annotations

import contextlib
import inspect
import io
import sys
from pathlib import Path
from typing import Any

import convpolicy as cp
from convpolicy.comparison import paper_text
from convpolicy.core.initial_values import in_words
from convpolicy.core.paper import OVERRIDES, SIZES, Paper

EXAMPLE = """import numpy as np
import convpolicy as cp

policy = cp.policy("{policy}")
sizes = policy.paper.layer("{layer}")
layer = cp.Conv1d(**sizes, policy=policy, seed=0)  # backend="torch" or "mindspore" for a native layer
data = np.random.default_rng(0).standard_normal((1, sizes["in_channels"], {length}), dtype=np.float32)
print(layer(data).shape)
"""
DECODER = """layer = cp.ConvTranspose1d(**policy.paper.layer("{layer}"), policy=policy, seed=0)
for length in {lengths}:
    print(policy.plan({call}, length=length, transposed=True))
"""
LENGTHS = """for length in {lengths}:
    print(policy.plan({call}, length=length))
"""
INITIALIZERS = """for name in ("as_written", "as_trained"):
    layer = cp.Conv1d(64, 64, 7, policy=policy, weight_init=name, seed=0)
    print(name, policy.evolve(weight_init=name).weight_init, "standard deviation", round(float(layer.weight.std()), 4))
"""
INDEX = """# Papers

These {count} policies reproduce the convolutions of published models, as their reference code computes it. With the same weights,
`cp.Conv1d(..., policy="paper/encodec", backend="torch")` returns the bits of that code.

- `convpolicy papers` prints this list, and `convpolicy show paper/encodec` one of its pages.
- [Reproduce a paper](../guides/reproduce_a_paper.md) shows how to use a policy.
- `weight_init="as_written"` is the initializer that the reference code calls. `"as_trained"` is the distribution that training starts from,
  and the default. They differ where weight normalization overwrites what the code initialized.
- With weight normalization, a torch layer has `torch.nn.utils.parametrizations.weight_norm`. `weight_norm=False` builds the plain layer
  with the keys `weight` and `bias`.

| policy | model | differs from torch's Conv1d in |
|---|---|---|
"""
FOOT = """
```{toctree}
:hidden:
:glob:

*
```

## How they were compared

- `pip install --no-deps -r requirements/papers.txt && pip install --no-deps . ./plugins/convpolicy-onnx ./plugins/convpolicy-mlx &&
  pytest tests/papers` runs the packages of the papers, in an environment for this purpose.
- `tests/golden/papers/reads.json` contains which sample every tap of every output of them reads. Every test run compares it with the
  policies.
- `python docs/make_papers.py docs/papers` makes these pages from the policies, which are data: `convpolicy/library/papers/*.toml`.
"""


def page(policy: cp.Policy, paper: Paper) -> str:
    """The page of one policy."""
    rule = cp.padding_rules()[policy.padding.name]
    source = inspect.cleandoc(rule.pads.__doc__ or "").partition("\n")[2].strip().replace("``", "`")
    mode, _arguments = policy.part("padding_mode")
    plan = paper_text.drawn_plan(policy, paper)
    initializers = "\n".join(
        f"- `{name}`: {in_words(choice)}, `{choice}`" for name, choice in policy.words("weight_init").items()
    )
    return f"""# {paper.model}

`{policy.name}`: {policy.description}

- Paper: {paper.citation}. {paper.link}
- Reference code: {policy.source}
- Differs from torch's Conv1d in: {paper_text.differences(policy)}

## Padding

Rule `{policy.padding}`: {rule.description}

{source}

Mode `{policy.padding_mode}`: {mode.description}

{decoder_rule(policy)}## One of its layers

`{paper.drawn_layer}`: {plan}

```{{picture}} {policy.name}
:drawn-layer:
```

## How it is often reproduced wrongly

{paper.trap}

## Initial weights

{paper.numbers}

{initializers}

## Evidence

{paper.evidence}

## Layers of the paper

{layers(paper.layers)}{decoder_layers(paper)}
## Example

{example(policy, paper)}"""


def decoder_rule(policy: cp.Policy) -> str:
    """What the transposed convolutions of the paper cut, or nothing."""
    if policy.transposed is None:
        return ""
    half = policy.transposed
    rule = cp.crop_rules()[half.padding.name]
    source = inspect.cleandoc(rule.crops.__doc__ or "").partition("\n")[2].strip().replace("``", "`")
    return f"""## Transposed convolutions

{half.description}

- Reference code: {half.source}
- Crop rule `{half.padding}`: {rule.description}

{source}

"""


def decoder_layers(paper: Paper) -> str:
    """A table of the paper's transposed layers, or nothing."""
    if not paper.transposed_layers:
        return ""
    return f"\nTransposed convolutions:\n\n{layers(paper.transposed_layers)}"


def layers(table: tuple[tuple[str, Any], ...]) -> str:
    """A table of layers."""
    lines = [f"| layer | {' | '.join(SIZES)} | differs from the policy in |", "|---" * (len(SIZES) + 2) + "|"]
    for name, pairs in table:
        arguments = dict(pairs)
        sizes = " | ".join(str(arguments.get(size, 1)) for size in SIZES)
        others = ", ".join(f"{key}={arguments[key]}" for key in OVERRIDES if key in arguments)
        lines.append(f"| `{name}` | {sizes} | {f'`{others}`' if others else ''} |")
    return "\n".join(lines) + "\n"


def example(policy: cp.Policy, paper: Paper) -> str:
    """A Python block and what it prints: the drawn layer, plans for short and uneven lengths, both initializers where there are two."""
    sizes = paper.sizes(paper.drawn_layer)
    window = (sizes["kernel_size"] - 1) * sizes["dilation"] + 1
    code = EXAMPLE.format(policy=policy.name, layer=paper.drawn_layer, length=paper.drawn_length)
    call = ", ".join(f"{size}={value}" for size, value in sizes.items() if value > 1 or size == "kernel_size")
    lengths = [length for length in (1, window, 2 * window + 1) if reaches(policy, sizes, length)]
    code += "\n" + LENGTHS.format(lengths=lengths, call=call)
    if (decoder := paper_text.transposed_plan(policy, paper)) is not None:
        name, plan = decoder
        sizes = paper.sizes(name)
        call = ", ".join(f"{size}={value}" for size, value in sizes.items() if value > 1 or size == "kernel_size")
        code += "\n" + DECODER.format(layer=name, lengths=[1, plan.length], call=call)
    if policy.init_names:
        code += "\n" + INITIALIZERS
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})  # noqa: S102 - the code above
    return f"```python\n{code}```\n\n```text\n{printed.getvalue()}```\n"


def reaches(policy: cp.Policy, sizes: dict[str, int], length: int) -> bool:
    """Whether the padding mode is defined for an input this short."""
    try:
        policy.plan(**sizes, length=length)
    except cp.ConvPolicyError:
        return False
    return True


def pages() -> dict[str, str]:
    """File name -> text."""
    texts = {}
    index = ""
    for policy in paper_text.papers():
        if policy.paper is None or not policy.name.startswith("paper/"):
            continue
        name = f"{policy.name.removeprefix('paper/')}.md"
        texts[name] = page(policy, policy.paper)
        index += f"| [{policy.name}]({name}) | {policy.paper.model} | {paper_text.differences(policy)} |\n"
    return {"README.md": INDEX.format(count=len(texts)) + index + FOOT, **texts}


def main() -> None:
    """Write the pages into the folder given."""
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

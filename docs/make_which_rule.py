"""Print docs/which_rule.md: from what is written in a framework to the rule that does it, and where the same is written otherwise.

    python docs/make_which_rule.py > docs/which_rule.md

Every number comes from a plan, and the last column from comparing plans over many lengths; only the idioms are written by hand.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from marks import sizes_heads, table, unbroken

import convpolicy as cp

POLICIES = {
    "PyTorch": "torch",
    "TensorFlow": "tensorflow",
    "Keras": "keras",
    "Flax": "flax",
    "MindSpore": "mindspore",
    "Paddle": "paddle",
}
SIZES = ((4, 1, 1, 10), (4, 2, 1, 10), (4, 2, 1, 11), (3, 1, 2, 10))  # kernel, stride, dilation, length
IDIOMS = (  # code, what is passed to cp.Conv1d, where it is seen
    ("`padding=1`", {"padding": 1}, "torch, Paddle, MLX"),
    ('`pad_mode="pad", padding=1`', {"padding": 1}, "MindSpore"),
    ("`padding=(k - 1) * d // 2`", {"padding": "same_symmetric"}, "many torch repositories"),
    ("`padding=k // 2`", {"padding": "half"}, "many torch repositories"),
    ("`F.pad(x, ((k - 1) * d, 0))` before the layer", {"padding": "causal"}, "WaveNet and its relatives"),
    ("`padding=(k - 1) * d`, then `[..., :-p]` (chomp)", {"padding": "chomp"}, "TCN"),
    ("`nn.ReflectionPad1d(1)` before the layer", {"padding": 1, "padding_mode": "reflect"}, "torch"),
    ("`nn.ReplicationPad1d(1)` before the layer", {"padding": 1, "padding_mode": "replicate"}, "torch"),
    ('`padding=1, padding_mode="circular"`', {"padding": 1, "padding_mode": "circular"}, "torch"),
    ('`auto_pad="SAME_UPPER"`', {"padding": "same_upper"}, "the ONNX standard; for ONNX Runtime see its plugin"),
    ('`auto_pad="SAME_LOWER"`', {"padding": "same_lower"}, "the ONNX standard; for ONNX Runtime see its plugin"),
    ("`keras.layers.ZeroPadding1D((2, 1))` before the layer", {"padding": (2, 1)}, "Keras"),
)
HEAD = """# Which rule is mine?

Find the line that is in your code. The second column is what you pass to `cp.Conv1d`. The other columns show the number of samples
added on the left and on the right, for kernel k, stride s, dilation d and length L. A dash means that the framework refuses these sizes.

- On the command line: `convpolicy find "tf SAME"`.
- With sliders: the [explorer](guides/explorer.md).
- Every rule as a picture: the [gallery](gallery.md). Every parameter: [Every part](reference/parts.md).
"""
EQUAL = """
## The same padding in another framework

The arguments in one row add the same padding for every length, kernel, stride and dilation that they accept.
"""
LIMITS = {"stride 1 only": (3, 2, 1, 10), "dilation 1 only": (3, 1, 2, 10)}  # named where an argument is refused for these sizes


def pads(policy: cp.Policy, sizes: tuple[int, int, int, int]) -> str:
    """Return ``(left, right)`` that no line breaks, or a dash."""
    kernel, stride, dilation, length = sizes
    try:
        plan = policy.plan(kernel, stride, dilation, length=length)
    except cp.ConvPolicyError:
        return "–"
    return unbroken(f"({plan.left}, {plan.right})")


def arguments() -> Iterator[tuple[str, str, Any, cp.Policy]]:
    """Yield framework, word, what convpolicy calls it, and the policy with it; a word that differs in case alone comes once."""
    for framework, name in POLICIES.items():
        policy, seen = cp.policy(name), set()
        for word, _rule in policy.padding_names:
            chosen = policy.evolve(padding=word)
            meant = (chosen.padding, chosen.padding_mode)
            if meant not in seen:
                seen.add(meant)
                yield framework, word, chosen.padding, chosen


def call(policy: cp.Policy) -> str:
    """Return what is passed to ``cp.Conv1d`` as code."""
    mode = policy.padding_mode
    more = "" if mode == cp.Choice("zeros") else f", padding_mode={repr(mode) if mode.params else repr(mode.name)}"
    return f"`padding={policy.padding.name!r}{more}`".replace("Choice(", "cp.Choice(")


def groups() -> list[list[tuple[str, str, cp.Policy]]]:
    """Return the arguments in groups that add the same padding."""
    found: list[list[tuple[str, str, cp.Policy]]] = []
    for framework, word, _choice, policy in arguments():
        for group in found:
            if _alike(policy, group[0][2]):
                group.append((framework, word, policy))
                break
        else:
            found.append([(framework, word, policy)])
    return found


def _alike(policy: cp.Policy, other: cp.Policy) -> bool:
    """Whether two policies add the same wherever both accept the sizes."""
    if policy.padding_mode.name != other.padding_mode.name:
        return False
    grid = itertools.product((3, 4, 5, 8), (1, 2, 3), (1, 2), range(1, 40))
    compared = [(pads(policy, sizes), pads(other, sizes)) for sizes in grid]
    return all("–" in pair or pair[0] == pair[1] for pair in compared)


def limits_of(policy: cp.Policy) -> list[str]:
    """Return which sizes a policy refuses."""
    return [limit for limit, sizes in LIMITS.items() if pads(policy, sizes) == "–"]


def limited(framework: str, word: str, policy: cp.Policy) -> str:
    """Return an argument, and which sizes it refuses."""
    limits = limits_of(policy)
    return f"{framework} `{word}`" + (f" ({', '.join(limits)})" if limits else "")


def main() -> None:
    """Print the page."""
    print(HEAD)
    print("## Arguments of the frameworks\n")
    rows = [
        (
            f"{framework} `padding={word!r}`".replace("MindSpore `padding", "MindSpore `pad_mode"),
            call(policy),
            *(pads(policy, s) for s in SIZES),
        )
        for framework, word, _choice, policy in arguments()
    ]
    print(table(("you write", "convpolicy", *sizes_heads(SIZES)), rows))
    print("## Common idioms\n")
    idioms = []
    for code, changes, where in IDIOMS:
        policy = cp.policy("torch").evolve(name="idiom", **changes)
        passed = ", ".join(f"{name}={value!r}" for name, value in changes.items())
        idioms.append((code, f"`{passed}`", where, *(pads(policy, sizes) for sizes in SIZES)))
    print(table(("you write", "convpolicy", "seen in", *sizes_heads(SIZES)), idioms), end="")
    print(EQUAL)
    print("| argument | convpolicy |\n|---|---|")
    for group in groups():
        print(
            f"| {', '.join(limited(*entry) for entry in group)} | {call(min((policy for *_word, policy in group), key=lambda policy: len(limits_of(policy))))} |"
        )


if __name__ == "__main__":
    main()

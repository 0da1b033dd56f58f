"""Tables of what the frameworks do by default, from the policies that `convpolicy verify` compares with them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from marks import table, unbroken

import convpolicy as cp
from convpolicy.core.initial_values import in_words
from convpolicy.registry import current

POLICIES = {"PyTorch": "torch", "Keras, TensorFlow": "keras", "Flax": "flax", "MindSpore": "mindspore", "Paddle": "paddle"}
OLDER = {"MindSpore": "mindspore@2.0"}  # with other defaults than the newest
# what is translated into a framework, to see how it writes a mode
SOURCE = {"torch": ("paddle", 'paddle.nn.Conv1D(8, 8, 4, padding=2, padding_mode="{}")')}
OTHERS = ("torch", 'torch.nn.Conv1d(8, 8, 4, padding=2, padding_mode="{}")')
MODES = ("reflect", "replicate", "circular")
KEYWORDS = {
    "in_channels": "input channels",
    "out_channels": "output channels",
    "kernel_size": "kernel size",
    "stride": "stride",
    "dilation": "dilation",
    "groups": "groups",
    "padding": "padding",
    "padding_mode": "padding mode",
    "bias": "whether there is a bias",
    "weight_init": "initial weights",
    "bias_init": "initial bias",
}

# one meaning in two keywords, and two in one
SPELLED = {"mindspore": {"padding": "pad_mode`, `padding"}, "paddle": {"bias": "bias_attr"}}


def policies() -> Iterator[tuple[str, cp.Policy]]:
    """Yield the newest policy of every framework."""
    for framework, name in POLICIES.items():
        yield framework, cp.policy(name)


def versions() -> Iterator[tuple[str, cp.Policy]]:
    """Yield the policies of every framework: the newest, and one of an older version whose defaults differ."""
    for framework, policy in policies():
        yield framework, policy
        if framework in OLDER:
            yield framework, cp.policy(OLDER[framework])


def pads(policy: cp.Policy, *sizes: int, length: int) -> str:
    """Return ``(left, right)`` and the number of outputs, or that the framework refuses the sizes."""
    try:
        plan = policy.plan(*sizes, length=length)
    except cp.ConvPolicyError:
        return "refused"
    return unbroken(f"({plan.left}, {plan.right}) → {plan.length_out}")


def word(policy: cp.Policy, padding: str) -> str:
    """Return the framework's spelling of a word for padding."""
    argument = "pad_mode" if policy.framework == "mindspore" else "padding"
    spelled = next((own for own, _rule in policy.padding_names if own.lower() == padding), padding)
    return f"`{argument}={spelled!r}`"


def call(policy: cp.Policy) -> Any:
    """Return how the call of the framework's own Conv1d is read."""
    return current().parts("dialect")[policy.name].reader.classes[0]


def default_padding() -> str:
    """Return what a Conv1d does without an argument for padding."""
    rows = []
    for framework, policy in policies():
        name = "pad_mode" if policy.name == "mindspore" else "padding"
        rows.append((framework, f"`{name}={call(policy).parameters[name]!r}`", pads(policy, 4, length=10)))
    return table(("framework", "default", "(left, right) → outputs"), rows)


def extra_sample() -> str:
    """Return the pads of each framework's "same" for an even kernel."""
    rows = [
        (framework, word(policy, padding), pads(policy.evolve(padding=own), 4, length=10))
        for framework, policy in policies()
        for padding in ("same", "same_lower")
        for own in [next((own for own, _rule in policy.padding_names if own.lower() == padding), None)]
        if own is not None
    ]
    return table(("framework", "you write", "(left, right) → outputs"), rows)


def stride_of_same() -> str:
    """Return the pads of each framework's "same" with a stride, for two lengths, and with a dilation too."""
    rows = []
    for framework, policy in policies():
        same = policy.evolve(padding=next(own for own, _rule in policy.padding_names if own.lower() == "same"))
        both = pads(same, 3, 2, 2, length=10)
        rows.append((framework, word(policy, "same"), *(pads(same, 3, 2, length=n) for n in (10, 11)), both))
    heads = "10 samples", "11 samples", "10 samples, dilation 2"
    return table(("framework", "you write", *heads), rows)


def modes() -> str:
    """Return which framework's Conv1d has which padding mode, from the code that `translate` writes."""
    rows = []
    for framework, policy in policies():
        source, code = SOURCE.get(policy.name, OTHERS)
        written = [cp.translate(code.format(mode), source, policy.name, in_channels=8) for mode in MODES]
        own = ["yes" if re.search(rf'padding_mode="{mode}"', text) else "no" for mode, text in zip(MODES, written)]
        words = ", ".join(f"`padding={name!r}`" for name, _mode in policy.mode_names)
        rows.append((framework, *own, words or "–"))
    return table(("framework", *(f"`{mode}`" for mode in MODES), "as a word for padding"), rows)


def initial_values() -> str:
    """Return bias and initial values of every framework, with the versions that were measured."""
    rows = []
    for framework, policy in versions():
        bias = "yes" if policy.bias else "no"
        rows.append((f"{framework} {policy.measured}", in_words(policy.weight_init), bias, in_words(policy.bias_init)))
    return table(("measured on", "initial weights", "bias by default", "initial bias"), rows)


def layouts() -> str:
    """Return names and shapes of parameters and input."""
    rows = []
    values = cp.policy("torch").initial(120, 240, 4)
    for framework, policy in policies():
        layout, data = policy.part("layout")[0], policy.part("data_layout")[0]
        packed = layout.pack(values)
        names = ", ".join(f"`{name}`" for name in packed)
        axes = {"N": "batch", "C": "channels", "W": "length"}
        shape = tuple(packed[layout.weight].shape)
        rows.append((framework, names, layout.axes, shape, f"({', '.join(axes[axis] for axis in data.axes)})"))
    return table(("framework", "parameters", "axes", "shape of the weight", "input"), rows)


def streams() -> str:
    """Return how every random stream is seeded."""
    rows = []
    for name, stream in cp.random_streams().items():
        seeded, _colon, generator = stream.description.partition(": ")
        rows.append((f"`{name}`", seeded, generator))
    return table(("random stream", "reproduces", "how"), rows)


def keywords() -> str:
    """Return the keyword of every argument in every framework, as the dialects read it."""
    columns = []
    for _framework, policy in policies():
        source = call(policy)
        common = {source.names.get(own, own): own for own in source.parameters}
        common |= SPELLED.get(policy.name, {})
        columns.append({name: f"`{common[name]}`" if name in common else "–" for name in KEYWORDS})
    rows = [(meaning, *(column[name] for column in columns)) for name, meaning in KEYWORDS.items()]
    return table(("argument", *POLICIES), rows)


TABLES = {
    "default padding": default_padding,
    "extra sample": extra_sample,
    "stride of same": stride_of_same,
    "modes": modes,
    "initial values": initial_values,
    "layouts": layouts,
    "streams": streams,
    "keywords": keywords,
}

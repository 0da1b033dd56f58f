"""Deliberately wrong padding rules, modes, overflow rules and layers, each with one fault, offered as a plugin.

A fault never crashes and keeps every shape it can: only values, pads or bits tell it from the right one.
"""

from __future__ import annotations

import functools

import attrs
import numpy as np
from helpers.padding_modes import COPYING, SUMS
from helpers.padding_rules import RULES, choice_of

import convpolicy as cp
from convpolicy.parts import mode as modes

# -- rules: each fault turns a right function into a wrong one ------------------------------------------------------------

RULE_FAULTS = {
    "sides swapped": lambda pads: lambda kernel, stride, dilation, length: pads(kernel, stride, dilation, length)[::-1],
    "stride ignored": lambda pads: lambda kernel, stride, dilation, length: pads(kernel, 1, dilation, length),
    "dilation ignored": lambda pads: lambda kernel, stride, dilation, length: pads(kernel, stride, 1, length),
    "length taken as divisible": lambda pads: lambda kernel, stride, dilation, length: pads(kernel, stride, dilation, stride),
    "one more right": lambda pads: lambda *sizes: (pads(*sizes)[0], pads(*sizes)[1] + 1),
    "nothing added": lambda pads: lambda *sizes: tuple(0 * count for count in pads(*sizes)),
}


def wrong_rules():
    """Return every built-in rule with every fault, named ``rule, fault``."""
    for name in RULES:
        rule = cp.padding_rules()[name]
        right = functools.partial(rule.pads, **rule.arguments(choice_of(name)))
        for fault, wrong in RULE_FAULTS.items():
            yield cp.PaddingRule(f"{name}, {fault}", wrong(right), needs_length=True)


# -- modes: each fault turns a right index map into a wrong one -----------------------------------------------------------

MODE_FAULTS = {
    "one step late": lambda source: lambda at, length: source(at + np.where(at < 0, 1, -1), length),
    "sides swapped": lambda source: lambda at, length: source(length - 1 - at, length),
    "mirrored without the edge": lambda source: cp.padding_modes()["reflect"].source,
    "mirrored with the edge": lambda source: cp.padding_modes()["symmetric"].source,
    "wrapped": lambda source: lambda at, length: at % length,
    "wrapped off by one": lambda source: lambda at, length: (at + 1) % length,
    "edge repeated": lambda source: lambda at, length: np.clip(at, 0, length - 1),
    "constant": lambda source: lambda at, length: np.full_like(at, -1),
    "stuck after one period": lambda source: lambda at, length: source(np.clip(at, -length, 2 * length - 1), length),
}


SUM_FAULTS = {  # of what a right function gives: a list of (coefficient, indices)
    "first coefficient a hundredth more": lambda terms, at, length: [(terms[0][0] * 1.01, terms[0][1]), *terms[1:]],
    "coefficients exchanged": lambda terms, at, length: [(terms[1][0], terms[0][1]), (terms[0][0], terms[1][1]), *terms[2:]],
    "first term alone": lambda terms, at, length: terms[:1],
    "second term alone": lambda terms, at, length: terms[1:2],
    "one sample further": lambda terms, at, length: [(share, np.minimum(index + 1, length - 1)) for share, index in terms],
    "other edge": lambda terms, at, length: [(share, np.where(index < 0, index, length - 1 - index)) for share, index in terms],
}


def wrong_modes():
    """Return every built-in mode with every fault, named ``mode, fault``, and zeros that are not quite zero."""
    for name in COPYING:
        mode = cp.padding_modes()[name]
        for fault, wrong in MODE_FAULTS.items():
            yield attrs.evolve(mode, name=f"{name}, {fault}", source=wrong(mode.source), declares=())
    for name in SUMS:
        mode = cp.padding_modes()[name]
        for fault, wrong in SUM_FAULTS.items():

            def source(at, length, right=mode.source, wrong=wrong, **words):
                return wrong(right(at, length, **words), at, length)

            yield attrs.evolve(mode, name=f"{name}, {fault}", source=source, declares=())
    zeros = cp.padding_modes()["zeros"]
    yield cp.PaddingMode("zeros, not quite", zeros.source, params={"value": cp.Param(1e-3)})


RIGHT_OVERFLOW = dict(modes.OVERFLOW)
OVERFLOW_FAULTS = {  # overflow rule, fault -> the length to read the index map at
    ("zero-extend", "periodic instead"): RIGHT_OVERFLOW["periodic"],
    ("zero-extend", "one zero more"): lambda *asked: RIGHT_OVERFLOW["zero-extend"](*asked) + 1,
    ("periodic", "zero-extend instead"): RIGHT_OVERFLOW["zero-extend"],
}

# -- layers: each fault changes one ingredient ----------------------------------------------------------------------------

LESS_PRECISE = {"float32": "float16", "float64": "float32"}


def swap_an_odd_element(plan, layer):
    """Give the side with one element less the one more."""
    if abs(plan.left - plan.right) != 1:
        return plan
    swapped = layer.request.policy.evolve(padding=(plan.right, plan.left))
    return swapped.plan(plan.kernel_size, plan.stride, plan.dilation, length=plan.length)


def changed(plan, **fields):
    """Return a plan with other values or sources; one that gives sums stays as it is."""
    return cp.Plan.from_dict(plan.to_dict() | fields) if plan.copies else plan


def pad_by_zeros(plan, layer):
    """Forget the mode."""
    return changed(plan, value=0.0, left_sources=(-1,) * plan.left, right_sources=(-1,) * plan.right)


def scribble(data, layer):
    """Work in the caller's array."""
    data *= 2
    return data


def of_sides(change):
    """Return a fault that changes what is added on each side."""
    return {"plan": lambda plan, layer: attrs.evolve(plan, sides=tuple(map(change, plan.sides)))}


def values_swapped(plan, layer):
    """Exchange the constants of both sides."""
    left, right = plan.sides
    return attrs.evolve(plan, sides=(attrs.evolve(left, value=right.value), attrs.evolve(right, value=left.value)))


def doubled_twice(side):
    """Take a coefficient of 2 as 1.9."""
    return attrs.evolve(side, terms=[attrs.evolve(t, coefficient=1.9) if t.coefficient == 2.0 else t for t in side.terms])


SUM_LAYER_FAULTS = {  # those that only a sum, or a constant per channel or side, shows
    "constant of the wrong channel": of_sides(
        lambda side: attrs.evolve(side, value=side.value[::-1]) if np.ndim(side.value) else side
    ),
    "constants of the sides swapped": {"plan": values_swapped},
    "coefficient of 2 taken as 1.9": of_sides(doubled_twice),
    "first term of a sum alone": of_sides(lambda side: attrs.evolve(side, terms=side.terms[:1])),
}
LAYER_FAULTS = {
    "odd element on the other side": {"plan": swap_an_odd_element},
    "zeros whatever the mode": {"plan": pad_by_zeros},
    "pads 1e-3 more": {"plan": lambda plan, layer: changed(plan, value=plan.value + 1e-3) if plan.copies else plan},
    "kernel flipped": {"weight": lambda weight, layer: weight[..., ::-1]},
    "weight rounded": {"weight": lambda weight, layer: weight.astype(LESS_PRECISE[layer.request.dtype])},
    "input rounded": {"data": lambda data, layer: data.astype(LESS_PRECISE[layer.request.dtype])},
    "input channels reversed": {"data": lambda data, layer: data[:, ::-1]},
    "stride ignored": {"stride": lambda stride, layer: 1},
    "dilation ignored": {"dilation": lambda dilation, layer: 1},
    "groups ignored": {"group": lambda group, layer: 0 * group},
    "groups interleaved": {"group": lambda group, layer: np.arange(group.size) % layer.request.spec.groups},
    "bias dropped": {"bias": lambda bias, layer: 0 * bias},
    "bias along the wrong axis": {"bias": lambda bias, layer: bias[::-1]},
    "constant output": {"output": lambda output, layer: np.full_like(output, 0.5)},
    "one item for the batch": {"output": lambda output, layer: np.broadcast_to(output[:1], output.shape)},
    "8 units in the last place per term": {
        "output": lambda output, layer: output + np.spacing(np.abs(output)) * 8 * (layer.weight[0].size + 2)
    },
    "one output less": {"output": lambda output, layer: output[..., :-1]},
    "computes in another dtype": {"output": lambda output, layer: output.astype("longdouble")},
    "works in the caller's array": {"data": scribble},
}
STALE = "parameters copied when built"
LAYER_FAULTS_IN_PLACE = {STALE: {"weight": lambda weight, layer: layer.built[0], "bias": lambda bias, layer: layer.built[1]}}
RIGHT = "no fault"


class Layer:
    """A convolution written as simply as NumPy allows, with one fault; it shares nothing with the NumPy backend."""

    def __init__(self, request, faults, weight, bias):
        self.request, self.faults, self.weight, self.bias = request, faults, weight, bias
        self.built = weight.copy(), None if bias is None else bias.copy()

    def take(self, ingredient, value):
        """Return an ingredient as this layer's fault has it."""
        return self.faults[ingredient](value, self) if ingredient in self.faults else value

    def pad(self, plan, data):
        """Return (batch, channels, padded_length), element by element."""
        columns = [data[..., n] for n in range(plan.cut[0], plan.length - plan.cut[1])]
        added = [[], []]
        for side, elements in zip(plan.sides, added):
            value = np.asarray(side.value, data.dtype)
            for n in range(side.width):
                column = np.zeros(data.shape[:2], data.dtype)
                for term in side.terms:
                    share = data.dtype.type(np.broadcast_to(term.coefficient, side.width)[n])
                    column = column + share * (value if term.sources[n] < 0 else data[..., term.sources[n]])
                elements.append(column)
        columns = [*added[0], *columns, *added[1]]
        return np.stack(columns, -1) if columns else data[..., :0]

    def __call__(self, data):
        """Convolve (batch, channels, length)."""
        spec, dtype = self.request.spec, data.dtype
        if data.shape[1] != spec.in_channels:
            raise cp.InvalidValueError(f"input must have {spec.in_channels} channels, got {data.shape[1]}; correct it.")
        plan = self.request.plan(data.shape[2])
        plan, data, weight = self.take("plan", plan), self.take("data", data), self.take("weight", self.weight)
        stride, dilation = self.take("stride", spec.stride), self.take("dilation", spec.dilation)
        group = self.take("group", np.arange(spec.out_channels) * spec.groups // spec.out_channels)
        padded = self.take("padded", self.pad(plan, data))
        output = np.zeros((len(data), spec.out_channels, plan.length_out), dtype)
        for out, offset, tap in np.ndindex(weight.shape):
            read = np.arange(plan.length_out) * stride + tap * dilation
            output[:, out] += weight[out, offset, tap] * padded[:, group[out] * weight.shape[1] + offset][:, read]
        if self.bias is not None:
            output += self.take("bias", self.bias)[:, None]
        return self.take("output", output)


def wrong_backends():
    """Return a backend for every fault of a layer, and one without any."""
    for fault, faults in {RIGHT: {}, **LAYER_FAULTS, **SUM_LAYER_FAULTS, **LAYER_FAULTS_IN_PLACE}.items():

        def build(request, stream, device, faults=faults):
            if device is not None:
                raise cp.InvalidValueError(f"device must be None, got {device!r}; leave it out.")
            drawn = request.draw(stream)
            return Layer(request, faults, drawn["weight"], drawn["bias"])

        yield cp.Backend(fault, build, description="A wrong backend.")


class Wrong:
    """All of the above as a plugin."""

    @cp.hookimpl
    def convpolicy_padding_rules(self):
        return list(wrong_rules())

    @cp.hookimpl
    def convpolicy_padding_modes(self):
        return list(wrong_modes())

    @cp.hookimpl
    def convpolicy_backends(self):
        return list(wrong_backends())

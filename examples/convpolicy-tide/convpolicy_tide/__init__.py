"""Padding for convpolicy, an initializer, a policy that names all three, and a backend."""

import numpy as np
from convpolicy import Backend, Choice, Initializer, PaddingMode, PaddingRule, Param, Policy, hookimpl


def lookahead(kernel, stride, dilation, length):
    """(0, e - 1): each output reads the sample at its own place and those after it."""
    return 0, (kernel - 1) * dilation


def alternate(positions, length):
    """The two samples at the edge in turn: 1234, left 2, right 2 -> 12|1234|34."""
    before, after = positions % 2, length - 2 + (positions - length) % 2
    return np.clip(np.where(positions < 0, before, after), 0, length - 1)


def smoothing(draws, target, *, noise):
    """The mean of all taps, plus noise of this standard deviation."""
    return 1 / target.fans.fan_in + draws.normal(target.shape, 0.0, noise)


def build(request, stream, device):
    """Import what the backend needs when its first layer is built."""
    from convpolicy_tide import layer

    return layer.build(request, stream, device)


@hookimpl
def convpolicy_padding_rules():
    """Return the rules: how many elements go on each side."""
    return [PaddingRule("tide-lookahead", lookahead, declares={"length-preserving"})]


@hookimpl
def convpolicy_padding_modes():
    """Return the modes: which sample of the input each added element repeats."""
    return [PaddingMode("tide-alternate", alternate, declares={"linear"})]


@hookimpl
def convpolicy_initializers():
    """Return the initializers: how fresh weights are drawn."""
    return [Initializer("tide-smoothing", smoothing, params={"noise": Param(0.01, minimum=0.0)})]


@hookimpl
def convpolicy_policies():
    """Return the policies: one part of each kind."""
    return [
        Policy(
            "tide",
            padding="tide-lookahead",
            padding_mode="tide-alternate",
            bias=False,
            weight_init=Choice("tide-smoothing", noise=0.1),
            description="Looks ahead, alternates at the end, starts near the mean, no bias.",
        )
    ]


@hookimpl
def convpolicy_backends():
    """Return the backends: where layers run."""
    return [Backend("tide-einsum", build, description="NumPy arrays, one einsum per call.")]

"""Checks of a wrapper: its name and functions, and what it reads from example modules against the modules themselves."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from convpolicy import reference
from convpolicy.errors import ConvPolicyError
from convpolicy.layers.capture import backends_of, capture_wrapped
from convpolicy.layers.wrapper import Wrapper, wrapper_of
from convpolicy.testing.common import check_names, require
from convpolicy.testing.ladder import Check

MAX_EXAMPLES = 20
LONGEST = 40


def checks(wrapper: Wrapper, max_examples: int = MAX_EXAMPLES) -> list[Check]:
    """Return the checks of a wrapper, lowest rung first; those of values need `Wrapper.examples`."""
    rows = [("names", "names", partial(check_names, wrapper))]
    if wrapper.examples is not None:
        rows += [
            ("examples", "signatures", partial(_examples, wrapper)),
            ("values", "values", partial(_values, wrapper, max_examples)),
        ]
    return [Check(wrapper, *row) for row in rows]


def _modules(wrapper: Wrapper) -> list[Any]:
    assert wrapper.examples is not None
    return list(wrapper.examples())


def _examples(wrapper: Wrapper) -> None:
    modules = _modules(wrapper)
    require(bool(modules), "examples must return modules, got none.")
    for module in modules:
        require(
            wrapper_of(module) is wrapper,
            f"examples must be of class {wrapper.name}, got one of {type(module).__module__}.{type(module).__qualname__}.",
        )
        require(isinstance(wrapper.more_of(module), str), f"more must return text, got {wrapper.more_of(module)!r}.")


def _values(wrapper: Wrapper, max_examples: int) -> None:
    """A module without more gives the output of the layer that is read from it, at lengths that both accept."""
    random = np.random.default_rng(0)
    for module in _modules(wrapper):
        if wrapper.more_of(module):
            continue
        captured, (backend, *_others) = capture_wrapped(wrapper, module), backends_of(module)
        layer = captured.build("numpy", dtype="float64" if captured.dtype == "float64" else "float32")
        compared = 0
        for length in random.permutation(np.arange(1, LONGEST))[:max_examples]:
            data = random.standard_normal((2, captured.spec.in_channels, int(length))).astype(layer.weight.dtype)
            try:
                ours = layer(data)
            except ConvPolicyError:
                continue
            theirs = np.asarray(backend.run(module, data))
            about = f"at length {length}, for {captured.spec}"
            require(theirs.shape == ours.shape, f"changes must give outputs of shape {theirs.shape}, got {ours.shape}, {about}.")
            size = np.abs(data).max() * np.abs(captured.weight).sum() + np.abs(0 if captured.bias is None else captured.bias).max(
                initial=0
            )
            bound = 2 * reference.tolerance(captured.dtype, captured.weight.size + 1, size)
            worst = np.abs(theirs - ours).max(initial=0)
            require(worst <= bound, f"changes must give the outputs of the module, got a difference of {worst:.3g}, {about}.")
            compared += 1
        require(compared > 0, f"an example must accept a length below {LONGEST}, got none for {captured.spec}.")

"""`Rule`: when a layer uses which implementation, and `Table`, everything about the implementations of one kind of convolution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from convpolicy.frameworks.torch.execution.conditions import Call
from convpolicy.frameworks.torch.execution.lowering import Lowering
from convpolicy.frameworks.torch.execution.processor import AMD, INTEL, Processor
from convpolicy.layers.backend import LayerRequest

ON_INTEL = frozenset(Processor(INTEL, instructions) for instructions in ("AVX2", "AVX512"))  # the processors of the ratios below
ON_AMD_AVX2, ON_AMD_512 = (frozenset({Processor(AMD, instructions)}) for instructions in ("AVX2", "AVX512"))
ON_AMD = ON_AMD_AVX2 | ON_AMD_512


class Rule(NamedTuple):
    """One rule of the table.

    Attributes:
        lowering: name of the implementation.
        sizes: condition on the layer's request.
        call: condition on the call, or None for every call.
        training: True when the implementation is also faster with the backward pass.
        reason: the measurement.
        processors: the processors on which the implementation is faster.
    """

    lowering: str
    sizes: Callable[[LayerRequest], bool]
    call: Callable[[Call], bool] | None
    training: bool
    reason: str
    processors: frozenset[Processor] = ON_INTEL


class Table(NamedTuple):
    """The implementations of one kind of convolution, and the rules that select them.

    Attributes:
        lowerings: the implementations by name.
        tried: names of the implementations that ``execution="auto"`` times, in this order.
        length_free: names of implementations that do not depend on the input's length.
        rules: execution -> rules, the first matching one decides.
        default: ``request -> name`` of the implementation that is bit-identical to the framework's own code.
    """

    lowerings: Mapping[str, Lowering]
    tried: tuple[str, ...]
    length_free: tuple[str, ...]
    rules: Mapping[str, tuple[Rule, ...]]
    default: Callable[[LayerRequest], str]

"""Random layers of a framework: their outputs, a float64 reference, and the comparison with a backend."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy import reference, registry
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.named import policy as named_policy
from convpolicy.core.resolution import OUTPUT_PADDING, with_output_padding
from convpolicy.core.spec import ConvSpec
from convpolicy.layers.conv1d import Conv1d
from convpolicy.layers.conv_transpose1d import ConvTranspose1d
from convpolicy.verification.native import LAYERS, Native

EXACT, CLOSE, DIFFERS = "exact", "within tolerance", "differs"
Sizes: TypeAlias = "tuple[int, int, int]"  # kernel, stride, dilation
SIZES = tuple(itertools.product((1, 2, 3, 4, 5), (1, 2, 3), (1, 2)))
GROUPS = (1, 2, 4)
CHANNELS = 4
OUT = 8  # output channels of transposed layers: other than those of the input, so that exchanged axes show


class Checked:
    """A policy and the framework with which it is compared."""

    def __init__(self, policy: LayerPolicy, framework: ModuleType) -> None:
        self.policy = policy
        self.transposed = policy.is_transposed
        self.framework = framework
        self.layout = policy.part("layout")[0]
        self.data_layout = policy.part("data_layout")[0]
        self.depthwise = "M" in self.layout.axes  # the layer class has as many groups as channels

    @classmethod
    def of(cls, native: Native, layer: str) -> Checked:
        """Return the policy of a layer and the framework's module; see `Native.load`.

        Raises:
            ImportError: the framework is not installed.
            InvalidValueError: the policy describes no transposed convolution.
        """
        return cls(policy_of(native.name, layer), native.load(layer))

    def spec(self, in_channels: int, out_channels: int, sizes: Sizes, groups: int = 1) -> ConvSpec:
        """Return the sizes of a layer."""
        return ConvSpec.of(in_channels, out_channels, *sizes, groups, transposed=self.transposed)

    def paddings(self) -> list[Any]:
        """Return the values of ``padding`` to compare; None means the default."""
        names = dict.fromkeys(name for name, _rule in self.policy.padding_names)
        return [None, *names, *getattr(self.framework, "PADDINGS", ())]

    def output_paddings(self) -> tuple[Any, ...]:
        """Return the values of ``output_padding`` to compare; None means the default."""
        return (None, *getattr(self.framework, "OUTPUT_PADDINGS", ()))

    def arguments(self) -> list[dict[str, Any]]:
        """Return the arguments with which layers are compared, without the sizes: of a transposed layer each padding."""
        if not self.transposed:
            return [{}]
        return [given(*values) for values in itertools.product(self.paddings(), self.output_paddings())]

    def run(self, spec: ConvSpec, arguments: dict[str, Any], weight: Any, bias: Any, data: Any) -> NDArray[Any]:
        """Return the output (batch, out, length_out) of the framework's layer.

        Args:
            spec: sizes.
            arguments: further arguments of the framework's layer, as a user writes them.
            weight: an array of ``spec.weight_shape``.
            bias: (out,) or None.
            data: (batch, channels, length).
        """
        layer = self.framework.build(spec, {**arguments, "bias": bias is not None})
        self.framework.give(layer, self.layout.pack({"weight": weight, "bias": bias}, spec.groups))
        result: NDArray[Any] = self.data_layout.to_ncw(self.framework.run(layer, self.data_layout.from_ncw(data)))
        return result

    def windows(self, spec: ConvSpec, arguments: dict[str, Any], length: int) -> NDArray[Any]:
        """Return what each kernel tap contributes to each output for the input 1, 2, 3, …, an array (kernel, length_out).

        ``spec`` has one input channel and ``kernel`` output channels. In a convolution, these are the windows that the layer reads.
        """
        taps = np.eye(spec.kernel_size, dtype=np.float32).reshape(spec.weight_shape)
        samples = np.arange(1, length + 1, dtype=np.float32)[None, None]
        result: NDArray[Any] = self.run(spec, arguments, taps, None, samples)[0]
        return result


def given(padding: Any, output_padding: Any) -> dict[str, Any]:
    """Return the arguments of a layer without those that are None."""
    values = {"padding": padding, OUTPUT_PADDING: output_padding}
    return {name: value for name, value in values.items() if value is not None}


def followed(policy: LayerPolicy, arguments: Mapping[str, Any]) -> LayerPolicy:
    """Return the policy that a layer with these arguments follows; see `ConvTranspose1d`."""
    changed = policy.evolve(**{name: value for name, value in arguments.items() if name != OUTPUT_PADDING})
    if OUTPUT_PADDING not in arguments:
        return changed
    return changed.evolve(padding=with_output_padding(changed.padding, arguments[OUTPUT_PADDING]))


class Case(NamedTuple):
    """One random layer with its input, the framework's output, the float64 output, its rounding bound and its arguments."""

    spec: ConvSpec
    weight: Any
    bias: Any
    data: Any
    output: NDArray[Any]
    ideal: NDArray[Any]
    bound: NDArray[Any]
    arguments: dict[str, Any]


def random_cases(checked: Checked, sizes: Iterable[Sizes] = SIZES) -> Iterator[Case]:
    """Yield random layers with the outputs of the framework and of the float64 reference.

    Convolutions have default arguments. Transposed convolutions have each padding in turn.
    """
    random, turns = np.random.default_rng(0), itertools.count()
    out_channels, choices = OUT if checked.transposed else CHANNELS, checked.arguments()
    for numbers, groups in itertools.product(sizes, GROUPS[-1:] if checked.depthwise else GROUPS):
        spec = checked.spec(CHANNELS, out_channels, numbers, groups)
        length = 6 if checked.transposed else spec.effective_kernel + 5
        shapes = (spec.weight_shape, (out_channels,), (2, CHANNELS, length))
        weight, bias, data = (random.standard_normal(shape).astype(np.float32) for shape in shapes)
        first = next(turns)
        for arguments in (choices[(first + turn) % len(choices)] for turn in range(len(choices))):
            try:
                plan = followed(checked.policy, arguments).plan(*numbers, length=length)
                output = checked.run(spec, arguments, weight, bias, data)
            except Exception:  # noqa: S112 - `claims.paddings` counts refusals
                continue
            ideal = reference_of(spec, plan, weight, bias, data)
            bound = reference.tolerance("float32", ideal.terms, ideal.magnitude)
            yield Case(spec, weight, bias, data, output, ideal.output, bound, arguments)
            break


def reference_of(spec: ConvSpec, plan: Any, weight: Any, bias: Any, data: Any) -> reference.Reference:
    """Return the float64 output of a layer; a convolution is padded with zeros."""
    sizes = {"left": plan.left, "right": plan.right, "stride": spec.stride, "dilation": spec.dilation, "groups": spec.groups}
    if spec.transposed:
        return reference.conv_transpose1d(data, weight, bias, mode=plan.mode, **sizes)
    return reference.conv1d(data, weight, bias, **sizes)


def save(cases: Iterable[Case], path: Path) -> None:
    """Write cases to an ``.npz`` file."""
    arrays: dict[str, Any] = {}
    for number, (spec, *values, arguments) in enumerate(cases):
        texts = np.array(json.dumps(attrs.asdict(spec))), np.array(json.dumps(arguments))
        arrays |= {f"{number} {name}": value for name, value in zip(Case._fields, (texts[0], *values, texts[1]))}
    np.savez(path, **arrays)


def load(path: Path) -> list[Case]:
    """Read cases from a file of `save`."""
    with np.load(path, allow_pickle=False) as arrays:
        rows = [[arrays[f"{n} {name}"] for name in Case._fields] for n in range(len(arrays.files) // len(Case._fields))]
    return [Case._make((ConvSpec(**json.loads(str(spec))), *rest, json.loads(str(last)))) for spec, *rest, last in rows]


class Agreement(NamedTuple):
    """Difference between the outputs of a backend and those of the framework.

    ``error`` is the largest absolute difference. ``share`` is the largest ratio of a difference to its tolerance, twice the rounding
    bound.
    """

    exact: bool
    error: float
    share: float

    @property
    def verdict(self) -> str:
        """Return ``exact``, ``within tolerance`` or ``differs``."""
        return EXACT if self.exact else CLOSE if self.share <= 1 else DIFFERS


def agreement(policy: LayerPolicy, backend: str, cases: Iterable[Case]) -> Agreement:
    """Build the layers on a backend with the same weights and compare their outputs with the framework's."""
    result = Agreement(exact=True, error=0.0, share=0.0)
    part = registry.current().get("backend", backend)
    for case in cases:
        spec = case.spec
        build: Any = ConvTranspose1d if spec.transposed else Conv1d
        layer = build(
            spec.in_channels, spec.out_channels, spec.kernel_size, spec.stride, dilation=spec.dilation, groups=spec.groups,
            policy=policy, backend=backend, weight_init=case.weight, bias_init=case.bias, bias=True, **case.arguments,
        )  # fmt: skip
        output = part.run(layer, case.data)
        is_shaped = output.shape == case.output.shape == case.bound.shape
        error = np.abs(output - case.output) if is_shaped else np.full(case.bound.shape, np.inf)
        result = Agreement(
            exact=result.exact and bool(np.array_equal(output, case.output)),
            error=max(result.error, float(error.max())),
            share=max(result.share, float((error / (2 * case.bound)).max())),  # twice: both sides are rounded
        )
    return result


def policy_of(name: str, layer: str) -> LayerPolicy:
    """Return the policy of a layer: the named one, or its half for transposed convolutions.

    Raises:
        InvalidValueError: the policy describes no transposed convolution.
    """
    policy = named_policy(name)
    return policy if layer == LAYERS[0] else policy.half()


def native_of(name: str) -> Native:
    """Return the framework that a policy describes."""
    native: Native = registry.current().get("native framework", name)
    return native

"""What a native framework keeps: its own layers, built, filled and run, are what the policy of its name claims.

The checks import the framework in this process, and need the version that the policy is for.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import numpy as np

from convpolicy.core.named import policy as named_policy
from convpolicy.core.plan import ConvSpec
from convpolicy.testing.common import check_names, check_signature, require
from convpolicy.testing.ladder import Check, ConformanceError
from convpolicy.verification import FAILED, claims
from convpolicy.verification.cases import SIZES, Checked
from convpolicy.verification.native import Native

MAX_EXAMPLES = 12  # sizes of a kernel, with as many lengths
FUNCTIONS = {  # what a module has, with which arguments
    "version": (),
    "build": ("spec", "words"),
    "parameters": ("layer",),
    "give": ("layer", "parameters"),
    "run": ("layer", "data"),
    "seed": ("number",),
}
OPTIONAL = ("seed",)
LISTS = ("PADDINGS", "PADDING_MODES")
SEEDS = claims.SEEDS[:2]
CHANNELS, OUT, LENGTH = 4, 8, 9
FIRST = (  # kernel, stride, dilation: odd and even sums of pads, and strides that skip samples
    (2, 1, 1), (4, 1, 1), (3, 2, 1), (4, 3, 1), (3, 1, 2), (5, 2, 1), (1, 3, 1), (1, 1, 1), (4, 2, 1), (2, 3, 1), (2, 1, 2), (5, 1, 2),
)  # fmt: skip


def checks(native: Native, max_examples: int = MAX_EXAMPLES) -> list[Check]:
    """Return the checks of a native framework, lowest rung first."""
    grid = tuple(dict.fromkeys((*zip(FIRST, itertools.cycle(claims.BEYOND)), *claims.GRID)))[:max_examples]
    sizes = tuple(dict.fromkeys((*FIRST, *SIZES)))[:max_examples]
    found: list[tuple[str, str, Callable[[], None]]] = [
        ("names", "names", partial(_names, native)),
        ("installed", "names", partial(_installed, native)),
        ("signatures", "signatures", partial(_signatures, native)),
        ("version", "shapes and dtypes", partial(_version, native)),
        ("parameters", "shapes and dtypes", partial(_parameters, native)),
        ("output", "shapes and dtypes", partial(_output, native)),
        ("give", "values", partial(_give, native)),
        ("windows", "values", partial(_claimed, native, partial(claims.paddings, grid=grid))),
        ("values", "values", partial(_claimed, native, partial(claims.values, sizes=sizes))),
        ("initial-weights", "values", partial(_claimed, native, partial(claims.initial_weights, seeds=SEEDS))),
    ]
    return [Check(native, *check) for check in found]


@lru_cache(maxsize=1)
def _checked(native: Native) -> Checked:
    return Checked(named_policy(native.name), native.load())


# -- names and signatures -------------------------------------------------------------------------------------------------


def _names(native: Native) -> None:
    check_names(native)
    framework = named_policy(native.name).framework  # refuses a name that no policy has
    require(
        bool(framework), f"its name must be a policy's that claims a framework, and {native.name!r} claims none; pass framework=."
    )
    module = native.module
    named = isinstance(module, str) and all(word.isidentifier() for word in module.split("."))
    require(named, f"module must be an import path such as 'my_plugin.native', got {module!r}.")
    for name, value in native.environment.items():
        require(isinstance(name, str) and isinstance(value, str), f"environment must map text to text, got {name!r}: {value!r}.")


def _installed(native: Native) -> None:
    for name, value in native.environment.items():
        require(
            os.environ.get(name) == value,
            f"this process must have {name}={value!r} in its environment, got {os.environ.get(name)!r}; start one with it.",
        )
    try:
        native.load()
    except ImportError as error:
        missing = error.name or str(error)
        raise ConformanceError(
            f"its module {native.module!r} needs {missing!r}, which is not installed here; install it."
        ) from error


def _signatures(native: Native) -> None:
    module = native.load()
    for name, arguments in FUNCTIONS.items():
        function = getattr(module, name, None)
        if function is not None or name not in OPTIONAL:
            check_signature(name, function, arguments)
    for name in LISTS:
        listed = getattr(module, name, ())
        require(isinstance(listed, (tuple, list)), f"{name} must be a tuple of words and numbers, got {listed!r}.")
    count = getattr(module, "LAYERS_IN_A_ROW", 1)
    require(isinstance(count, int) and count > 0, f"LAYERS_IN_A_ROW must be an integer of 1 or more, got {count!r}.")


# -- shapes and dtypes ----------------------------------------------------------------------------------------------------


def _version(native: Native) -> None:
    checked = _checked(native)
    version = checked.framework.version()
    require(isinstance(version, str), f"version must give text such as '2.1.0', got {version!r}.")
    require(
        checked.policy.covers(version),
        f"its policy is for versions {checked.policy.versions}, and {version} is installed; check it where such a version is.",
    )


def _layers(checked: Checked) -> Iterator[tuple[str, ConvSpec, bool, Any]]:
    """Yield layers as the policy and as the argument ``bias`` say, with what a message says of them."""
    groups = CHANNELS if checked.depthwise else 2
    spec = ConvSpec.of(CHANNELS, OUT, 3, 1, 1, groups)
    for words in ({}, {"bias": True}, {"bias": False}):
        about = f"for channels {CHANNELS} -> {OUT}, kernel_size 3, groups {groups}, " + (
            f"bias={words['bias']}" if words else "no further argument"
        )
        yield about, spec, words.get("bias", checked.policy.bias), checked.framework.build(spec, words)


def _shapes(checked: Checked, spec: ConvSpec, bias: bool) -> dict[str, tuple[int, ...]]:
    zeros = {"weight": np.zeros(spec.weight_shape), "bias": np.zeros(spec.out_channels) if bias else None}
    return {name: value.shape for name, value in checked.layout.pack(zeros, spec.groups).items()}


def _parameters(native: Native) -> None:
    """Names and axes are those of the policy's layout."""
    checked = _checked(native)
    for about, spec, bias, layer in _layers(checked):
        found = checked.framework.parameters(layer)
        require(isinstance(found, dict), f"parameters must give a dict of arrays, got {type(found).__name__}, {about}.")
        for name, value in found.items():
            require(
                isinstance(value, np.ndarray), f"parameter {name!r} must be a NumPy array, got {type(value).__name__}, {about}."
            )
            require(value.dtype == np.float32, f"parameter {name!r} must be float32, got {value.dtype}, {about}.")
        shapes, wanted = {name: value.shape for name, value in found.items()}, _shapes(checked, spec, bias)
        require(
            shapes == wanted,
            f"parameters must have the names and axes of layout {checked.layout.name}, {wanted}, got {shapes}, {about}.",
        )


def _output(native: Native) -> None:
    checked = _checked(native)
    for about, spec, _bias, layer in _layers(checked):
        data = checked.data_layout.from_ncw(np.ones((2, CHANNELS, LENGTH), np.float32))
        output = checked.framework.run(layer, data)
        require(isinstance(output, np.ndarray), f"run must give a NumPy array, got {type(output).__name__}, {about}.")
        require(output.dtype == np.float32, f"run must give float32, got {output.dtype}, {about}.")
        length = checked.policy.plan(spec.kernel_size, length=LENGTH).length_out
        wanted = checked.data_layout.from_ncw(np.empty((2, OUT, length))).shape
        require(
            output.shape == wanted,
            f"run must give axes {checked.data_layout.axes} of shape {wanted}, got {output.shape}, {about}, length {LENGTH}.",
        )


# -- values ---------------------------------------------------------------------------------------------------------------


def _give(native: Native) -> None:
    """What is written into a layer is read out of it, to the bit, and out of no other."""
    checked, random = _checked(native), np.random.default_rng(0)
    for (about, spec, bias, layer), (_about, _spec, _bias, other) in zip(_layers(checked), _layers(checked)):
        given = [
            {name: random.standard_normal(shape).astype(np.float32) for name, shape in _shapes(checked, spec, bias).items()}
            for _ in range(2)
        ]
        for one, values in zip((layer, other), given):
            checked.framework.give(one, values)
        for one, values in zip((layer, other), given):
            found = checked.framework.parameters(one)
            for name, value in values.items():
                require(
                    found[name].tobytes() == value.tobytes(),
                    f"parameters must give the {name} that give wrote into this layer, to the bit, {about}.",
                )


def _claimed(native: Native, measured: Callable[[Checked], Iterator[claims.Row]]) -> None:
    """Require what `convpolicy verify` reports of the policy."""
    for row in measured(_checked(native)):
        require(
            row["verdict"] not in FAILED,
            f"{row['claim']}: the framework's own layer is not what policy {native.name!r} claims"
            + (f", {row['detail']}." if row["detail"] else "."),
        )

"""Checks of a native framework: its layers are what the policy of the same name claims.

The checks import the framework in this process, and need a version that the policy covers.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import numpy as np

from convpolicy.core.named import policy as named_policy
from convpolicy.core.spec import ConvSpec
from convpolicy.testing.common import check_names, check_signature, require
from convpolicy.testing.ladder import Check, ConformanceError
from convpolicy.verification import FAILED, claims
from convpolicy.verification.cases import SIZES, Checked
from convpolicy.verification.native import Native

MAX_EXAMPLES = 12  # combinations of kernel size, stride and dilation
FUNCTIONS = {  # functions of the module, with their arguments
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
FIRST = (  # kernel, stride, dilation: odd and even totals of padding, and strides that skip samples
    (2, 1, 1), (4, 1, 1), (3, 2, 1), (4, 3, 1), (3, 1, 2), (5, 2, 1), (1, 3, 1), (1, 1, 1), (4, 2, 1), (2, 3, 1), (2, 1, 2), (5, 1, 2),
)  # fmt: skip


def checks(native: Native, max_examples: int = MAX_EXAMPLES) -> list[Check]:
    """Return the checks of a native framework, lowest rung first."""
    grid = tuple(dict.fromkeys((*zip(FIRST, itertools.cycle(claims.BEYOND)), *claims.GRID)))[:max_examples]
    sizes = tuple(dict.fromkeys((*FIRST, *SIZES)))[:max_examples]
    rows: list[tuple[str, str, Callable[[], None]]] = [
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
    return [Check(native, *check) for check in rows]


@lru_cache(maxsize=1)
def _checked(native: Native) -> Checked:
    return Checked(named_policy(native.name), native.load())


# -- names and signatures -------------------------------------------------------------------------------------------------


def _names(native: Native) -> None:
    check_names(native)
    framework = named_policy(native.name).framework  # raises for an unknown policy
    require(
        bool(framework),
        f"its name must be that of a policy that claims a framework, but policy {native.name!r} claims none; pass framework=.",
    )
    module = native.module
    is_path = isinstance(module, str) and all(part.isidentifier() for part in module.split("."))
    require(is_path, f"module must be an import path such as 'my_plugin.native', got {module!r}.")
    for name, value in native.environment.items():
        require(isinstance(name, str) and isinstance(value, str), f"environment must map text to text, got {name!r}: {value!r}.")


def _installed(native: Native) -> None:
    for name, value in native.environment.items():
        require(
            os.environ.get(name) == value,
            f"the environment of this process must have {name}={value!r}, got {os.environ.get(name)!r}; set it before Python starts.",
        )
    try:
        native.load()
    except ImportError as error:
        missing = error.name or str(error)
        raise ConformanceError(f"its module {native.module!r} needs {missing!r}, which is not installed; install it.") from error


def _signatures(native: Native) -> None:
    module = native.load()
    for name, arguments in FUNCTIONS.items():
        function = getattr(module, name, None)
        if function is not None or name not in OPTIONAL:
            check_signature(name, function, arguments)
    for name in LISTS:
        listed = getattr(module, name, ())
        require(isinstance(listed, (tuple, list)), f"{name} must be a tuple of names and numbers, got {listed!r}.")
    count = getattr(module, "LAYERS_IN_A_ROW", 1)
    require(isinstance(count, int) and count > 0, f"LAYERS_IN_A_ROW must be an integer of 1 or more, got {count!r}.")


# -- shapes and dtypes ----------------------------------------------------------------------------------------------------


def _version(native: Native) -> None:
    checked = _checked(native)
    version = checked.framework.version()
    require(isinstance(version, str), f"version must return a string such as '2.1.0', got {version!r}.")
    require(
        checked.policy.covers(version),
        f"its policy is for versions {checked.policy.versions}, but {version} is installed; install such a version.",
    )


def _layers(checked: Checked) -> Iterator[tuple[str, ConvSpec, bool, Any]]:
    """Yield layers with and without the argument ``bias``, each with a description for messages, its sizes and its bias."""
    groups = CHANNELS if checked.depthwise else 2
    spec = ConvSpec.of(CHANNELS, OUT, 3, 1, 1, groups)
    for arguments in ({}, {"bias": True}, {"bias": False}):
        about = f"for channels {CHANNELS} -> {OUT}, kernel_size 3, groups {groups}, " + (
            f"bias={arguments['bias']}" if arguments else "no further argument"
        )
        yield about, spec, arguments.get("bias", checked.policy.bias), checked.framework.build(spec, arguments)


def _shapes(checked: Checked, spec: ConvSpec, bias: bool) -> dict[str, tuple[int, ...]]:
    zeros = {"weight": np.zeros(spec.weight_shape), "bias": np.zeros(spec.out_channels) if bias else None}
    return {name: value.shape for name, value in checked.layout.pack(zeros, spec.groups).items()}


def _parameters(native: Native) -> None:
    """The parameters have the names and axes of the policy's layout."""
    checked = _checked(native)
    for about, spec, bias, layer in _layers(checked):
        parameters = checked.framework.parameters(layer)
        require(
            isinstance(parameters, dict), f"parameters must return a dict of arrays, got {type(parameters).__name__}, {about}."
        )
        for name, value in parameters.items():
            require(
                isinstance(value, np.ndarray), f"parameter {name!r} must be a NumPy array, got {type(value).__name__}, {about}."
            )
            require(value.dtype == np.float32, f"parameter {name!r} must be float32, got {value.dtype}, {about}.")
        shapes, expected = {name: value.shape for name, value in parameters.items()}, _shapes(checked, spec, bias)
        require(
            shapes == expected,
            f"parameters must have the names and axes of layout {checked.layout.name}, {expected}, got {shapes}, {about}.",
        )


def _output(native: Native) -> None:
    checked = _checked(native)
    for about, spec, _bias, layer in _layers(checked):
        data = checked.data_layout.from_ncw(np.ones((2, CHANNELS, LENGTH), np.float32))
        output = checked.framework.run(layer, data)
        require(isinstance(output, np.ndarray), f"run must return a NumPy array, got {type(output).__name__}, {about}.")
        require(output.dtype == np.float32, f"run must return float32, got {output.dtype}, {about}.")
        length = checked.policy.plan(spec.kernel_size, length=LENGTH).length_out
        expected = checked.data_layout.from_ncw(np.empty((2, OUT, length))).shape
        require(
            output.shape == expected,
            f"run must return axes {checked.data_layout.axes} of shape {expected}, got {output.shape}, {about}, length {LENGTH}.",
        )


# -- values ---------------------------------------------------------------------------------------------------------------


def _give(native: Native) -> None:
    """Values written into a layer are read back bit for bit, and do not change another layer."""
    checked, random = _checked(native), np.random.default_rng(0)
    for (about, spec, bias, layer), (_about, _spec, _bias, other) in zip(_layers(checked), _layers(checked)):
        values_of_layers = [
            {name: random.standard_normal(shape).astype(np.float32) for name, shape in _shapes(checked, spec, bias).items()}
            for _ in range(2)
        ]
        for one, values in zip((layer, other), values_of_layers):
            checked.framework.give(one, values)
        for one, values in zip((layer, other), values_of_layers):
            parameters = checked.framework.parameters(one)
            for name, value in values.items():
                require(
                    parameters[name].tobytes() == value.tobytes(),
                    f"parameters must return the {name} that give wrote into this layer, bit for bit, {about}.",
                )


def _claimed(native: Native, measured: Callable[[Checked], Iterator[claims.Row]]) -> None:
    """Require that every claim of the policy that `convpolicy verify` measures is true."""
    for row in measured(_checked(native)):
        require(
            row["verdict"] not in FAILED,
            f"{row['claim']}: the framework's layer differs from what policy {native.name!r} claims"
            + (f", {row['detail']}." if row["detail"] else "."),
        )

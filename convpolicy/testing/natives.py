"""Checks of a native framework: its layers are what the policy of the same name claims.

The checks import the framework in this process, and need a version that the policy covers.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, TypeAlias

import attrs
import numpy as np

from convpolicy.core.named import policy as named_policy
from convpolicy.core.spec import ConvSpec
from convpolicy.testing.common import check_names, check_signature, require
from convpolicy.testing.ladder import RUNGS, Check, ConformanceError
from convpolicy.verification import FAILED, claims
from convpolicy.verification.cases import SIZES, Checked
from convpolicy.verification.native import LAYERS, Native

Row: TypeAlias = "tuple[str, str, Callable[[], None]]"  # name of a check, its rung, and the check
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
LISTS = ("PADDINGS", "PADDING_MODES", "OUTPUT_PADDINGS")
SEEDS = claims.SEEDS[:2]
CHANNELS, OUT, LENGTH = 4, 8, 9
TRANSPOSED_OUT = 12  # in / groups and out / groups differ, so that exchanged axes show
FIRST = (  # kernel, stride, dilation: odd and even totals of padding, and strides that skip samples
    (2, 1, 1), (4, 1, 1), (3, 2, 1), (4, 3, 1), (3, 1, 2), (5, 2, 1), (1, 3, 1), (1, 1, 1), (4, 2, 1), (2, 3, 1), (2, 1, 2), (5, 1, 2),
)  # fmt: skip


def checks(native: Native, max_examples: int = MAX_EXAMPLES) -> list[Check]:
    """Return the checks of a native framework, lowest rung first. Those of its transposed convolution are named ``transposed-…``."""
    rows: list[Row] = [("names", "names", partial(_names, native))]
    for layer in native.layers:
        prefix = "" if layer == LAYERS[0] else "transposed-"
        rows += [(prefix + name, rung, run) for name, rung, run in _of_layer(native, layer, max_examples)]
    return [Check(native, *row) for row in sorted(rows, key=lambda row: RUNGS.index(row[1]))]


def _of_layer(native: Native, kind: str, max_examples: int) -> list[Row]:
    grid = tuple(dict.fromkeys((*zip(FIRST, itertools.cycle(claims.BEYOND)), *claims.GRID)))[:max_examples]
    sizes = tuple(dict.fromkeys((*FIRST, *SIZES)))[:max_examples]
    return [
        ("installed", "names", partial(_installed, native, kind)),
        ("signatures", "signatures", partial(_signatures, native, kind)),
        ("version", "shapes and dtypes", partial(_version, native, kind)),
        ("parameters", "shapes and dtypes", partial(_parameters, native, kind)),
        ("output", "shapes and dtypes", partial(_output, native, kind)),
        ("give", "values", partial(_give, native, kind)),
        ("windows", "values", partial(_claimed, native, kind, partial(claims.paddings, grid=grid))),
        ("values", "values", partial(_claimed, native, kind, partial(claims.values, sizes=sizes))),
        ("initial-weights", "values", partial(_claimed, native, kind, partial(claims.initial_weights, seeds=SEEDS))),
    ]


@lru_cache(maxsize=1)
def _checked(native: Native, kind: str) -> Checked:
    return Checked.of(native, kind)


# -- names and signatures -------------------------------------------------------------------------------------------------


def _names(native: Native) -> None:
    check_names(native)
    framework = named_policy(native.name).framework  # raises for an unknown policy
    require(
        bool(framework),
        f"its name must be that of a policy that claims a framework, but policy {native.name!r} claims none; pass framework=.",
    )
    require(bool(native.layers), "it must have a module; pass module= or transposed=.")
    for field in ("module", "transposed"):
        path = getattr(native, field)
        is_path = isinstance(path, str) and (not path or all(part.isidentifier() for part in path.split(".")))
        require(is_path, f"{field} must be an import path such as 'my_plugin.native', got {path!r}.")
    if native.transposed:
        named_policy(native.name).half()  # raises if the policy describes no transposed convolution
    for name, value in native.environment.items():
        require(isinstance(name, str) and isinstance(value, str), f"environment must map text to text, got {name!r}: {value!r}.")


def _installed(native: Native, kind: str) -> None:
    for name, value in native.environment.items():
        require(
            os.environ.get(name) == value,
            f"the environment of this process must have {name}={value!r}, got {os.environ.get(name)!r}; set it before Python starts.",
        )
    try:
        native.load(kind)
    except ImportError as error:
        missing, path = error.name or str(error), native.module if kind == LAYERS[0] else native.transposed
        raise ConformanceError(f"its module {path!r} needs {missing!r}, which is not installed; install it.") from error


def _signatures(native: Native, kind: str) -> None:
    module = native.load(kind)
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


def _version(native: Native, kind: str) -> None:
    checked = _checked(native, kind)
    version = checked.framework.version()
    require(isinstance(version, str), f"version must return a string such as '2.1.0', got {version!r}.")
    require(
        checked.policy.covers(version),
        f"its policy is for versions {checked.policy.versions}, but {version} is installed; install such a version.",
    )


def _layers(checked: Checked) -> Iterator[tuple[str, ConvSpec, bool, Any]]:
    """Yield layers with and without the argument ``bias``, each with a description for messages, its sizes and its bias."""
    groups = CHANNELS if checked.depthwise else 2
    spec = checked.spec(CHANNELS, TRANSPOSED_OUT if checked.transposed else OUT, (3, 1, 1), groups)
    if checked.transposed and not _is_built(checked, spec):
        groups = 1
        spec = attrs.evolve(spec, groups=groups)
    for arguments in ({}, {"bias": True}, {"bias": False}):
        about = f"for channels {CHANNELS} -> {spec.out_channels}, kernel_size 3, groups {groups}, " + (
            f"bias={arguments['bias']}" if arguments else "no further argument"
        )
        yield about, spec, arguments.get("bias", checked.policy.bias), checked.framework.build(spec, arguments)


def _is_built(checked: Checked, spec: ConvSpec) -> bool:
    """Return whether the framework's layer accepts these groups; transposed convolutions of some frameworks have none."""
    try:
        checked.framework.build(spec, {})
    except Exception:
        return False
    return True


def _shapes(checked: Checked, spec: ConvSpec, bias: bool) -> dict[str, tuple[int, ...]]:
    zeros = {"weight": np.zeros(spec.weight_shape), "bias": np.zeros(spec.out_channels) if bias else None}
    return {name: value.shape for name, value in checked.layout.pack(zeros, spec.groups).items()}


def _parameters(native: Native, kind: str) -> None:
    """The parameters have the names and axes of the policy's layout."""
    checked = _checked(native, kind)
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


def _output(native: Native, kind: str) -> None:
    checked = _checked(native, kind)
    for about, spec, _bias, layer in _layers(checked):
        data = checked.data_layout.from_ncw(np.ones((2, CHANNELS, LENGTH), np.float32))
        output = checked.framework.run(layer, data)
        require(isinstance(output, np.ndarray), f"run must return a NumPy array, got {type(output).__name__}, {about}.")
        require(output.dtype == np.float32, f"run must return float32, got {output.dtype}, {about}.")
        length = checked.policy.plan(spec.kernel_size, length=LENGTH).length_out
        expected = checked.data_layout.from_ncw(np.empty((2, spec.out_channels, length))).shape
        require(
            output.shape == expected,
            f"run must return axes {checked.data_layout.axes} of shape {expected}, got {output.shape}, {about}, length {LENGTH}.",
        )


# -- values ---------------------------------------------------------------------------------------------------------------


def _give(native: Native, kind: str) -> None:
    """Values written into a layer are read back bit for bit, and do not change another layer."""
    checked, random = _checked(native, kind), np.random.default_rng(0)
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


def _claimed(native: Native, kind: str, measured: Callable[[Checked], Iterator[claims.Row]]) -> None:
    """Require that every claim of the policy that `convpolicy verify` measures is true."""
    for row in measured(_checked(native, kind)):
        require(
            row["verdict"] not in FAILED,
            f"{row['claim']}: the framework's layer differs from what policy {native.name!r} claims"
            + (f", {row['detail']}." if row["detail"] else "."),
        )

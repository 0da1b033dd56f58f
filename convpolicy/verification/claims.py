"""The comparison of one policy with its framework, run in a separate process.

``python -m convpolicy.verification.claims POLICY BACKEND …`` prints one JSON row per claim after `MARK`. ``--every=7`` compares paddings for
every seventh size and length only.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convpolicy import registry
from convpolicy.core.plan import require_a_window
from convpolicy.core.resolution import OUTPUT_PADDING
from convpolicy.core.transposed_plan import TransposedPlan
from convpolicy.errors import ConvPolicyError
from convpolicy.verification.cases import (
    CLOSE,
    DIFFERS,
    EXACT,
    SIZES,
    Checked,
    Sizes,
    agreement,
    followed,
    given,
    native_of,
    random_cases,
)
from convpolicy.verification.native import LAYERS, MARK

NOT_CHECKED = "not checked"
TRANSPOSED = "transposed: "  # start of claims about transposed convolutions
BEYOND = (0, 1, 2, 5)  # input lengths minus the shortest one: the effective kernel, for transposed convolutions 1
GRID = tuple(itertools.product(SIZES, BEYOND))
SEEDS = (0, 1, 42, 2**31 + 11)
SHAPES = (  # in, out, kernel, groups
    (3, 4, 5, 1),
    (4, 8, 3, 2),
    (6, 6, 7, 6),
    (1, 1, 1, 1),
    (16, 33, 9, 1),
    (7, 40, 4, 1),
    (5, 15, 4, 5),
)
EVERY = "--every="
LAST_BITS = 4  # units in the last place by which logarithms of another C library or CPU may differ

Row = dict[str, Any]


def row(claim: str, verdict: str, cases: int, detail: str = "") -> Row:
    """Return one line of the report."""
    return {"claim": claim, "verdict": verdict, "cases": cases, "detail": detail}


def defaults(checked: Checked) -> Iterator[Row]:
    """Compare bias, parameter names and axes of a layer with default arguments."""
    bias, layout = checked.policy.bias, checked.layout
    spec = checked.spec(3, 6, (4, 1, 1), 3 if checked.depthwise else 1)
    parameters = checked.framework.parameters(checked.framework.build(spec, {}))
    values = {"weight": np.zeros(spec.weight_shape), "bias": np.zeros(spec.out_channels) if bias else None}
    expected = {name: value.shape for name, value in layout.pack(values, spec.groups).items()}
    shapes = {name: value.shape for name, value in parameters.items()}
    yield row("bias by default, names, axes", EXACT if shapes == expected else DIFFERS, 1, f"{shapes}")


def expected_windows(plan: Any) -> NDArray[Any]:
    """Return what each kernel tap contributes to each output of a plan, in the form of `Checked.windows`."""
    samples, taps = np.arange(1, plan.length + 1, dtype=np.float32), np.arange(plan.kernel_size)[:, None] * plan.dilation
    if isinstance(plan, TransposedPlan):
        full = np.zeros((plan.kernel_size, plan.full_length), np.float32)
        np.put_along_axis(full, taps + np.arange(plan.length) * plan.stride, samples[None], axis=1)
        return plan.cropped(full)
    windows: NDArray[Any] = plan.padded(samples[None])[0][np.arange(plan.length_out) * plan.stride + taps]
    return windows


def paddings(checked: Checked, grid: Iterable[tuple[Sizes, int]] = GRID) -> Iterator[Row]:
    """Compare what the outputs of the framework's layer read, sample by sample, for every padding argument and size."""
    for padding, output_padding in itertools.product(checked.paddings(), checked.output_paddings()):
        claim = "padding by default" if padding is None else f"padding {padding!r}"
        claim += "" if output_padding is None else f", output_padding {output_padding!r}"
        yield _compare_windows(checked, claim, given(padding, output_padding), grid)
    for mode in getattr(checked.framework, "PADDING_MODES", ()):
        yield _compare_windows(checked, f"padding mode {mode!r}", {"padding": 1, "padding_mode": mode}, grid)


def _compare_windows(checked: Checked, claim: str, arguments: dict[str, Any], grid: Iterable[tuple[Sizes, int]]) -> Row:
    same = refused = only_framework = only_policy = 0
    for (kernel, stride, dilation), beyond in grid:
        spec = checked.spec(1, kernel, (kernel, stride, dilation))
        length = (1 if checked.transposed else spec.effective_kernel) + beyond
        try:
            plan = require_a_window(followed(checked.policy, arguments).plan(kernel, stride, dilation, length=length))
            expected = expected_windows(plan)
        except ConvPolicyError:
            expected = None
        try:
            windows = checked.windows(spec, arguments, length)
        except Exception:  # any exception of the framework counts as a refusal
            windows = None
        if windows is None:
            refused += expected is None
            only_framework += expected is not None
        elif expected is None:
            only_policy += 1
        elif not np.array_equal(windows, expected):
            return row(claim, DIFFERS, same, f"kernel {kernel}, stride {stride}, dilation {dilation}, length {length}")
        else:
            same += 1
    counts = {"both": refused, "the framework": only_framework, "the policy": only_policy}
    # a framework may have no output_padding for one of its paddings
    agreed = same or (OUTPUT_PADDING in arguments and refused and not only_framework and not only_policy)
    return row(claim, EXACT if agreed else DIFFERS, same, ", ".join(f"{n} refused by {who}" for who, n in counts.items() if n))


def values(checked: Checked, sizes: Iterable[Sizes] = SIZES) -> Iterator[Row]:
    """Compare outputs for random weights and data with the float64 reference."""
    cases = list(random_cases(checked, sizes))
    for case in cases:
        if case.output.shape != case.ideal.shape:
            detail = f"shape {case.output.shape} instead of {case.ideal.shape} for {case.spec}"
            yield row("outputs against float64", DIFFERS, len(cases), detail)
            return
    shares = [float((np.abs(case.output - case.ideal) / case.bound).max()) for case in cases]
    if not shares:
        yield row("outputs against float64", DIFFERS, 0, "every layer was refused")
        return
    verdict = CLOSE if max(shares) <= 1 else DIFFERS
    yield row("outputs against float64", verdict, len(shares), f"at most {max(shares):.3f} of the tolerance")


def on_backends(checked: Checked, backends: list[str]) -> Iterator[Row]:
    """Compare the outputs of the layers of each backend with the framework's outputs for the same weights."""
    cases = list(random_cases(checked))
    for backend in backends:
        if checked.transposed and registry.current().get("backend", backend).build_transposed is None:
            yield row(f"outputs of backend {backend!r}", NOT_CHECKED, 0, "the backend has no transposed convolutions")
            continue
        result = agreement(checked.policy, backend, cases)
        detail = "" if result.exact else f"at most {result.share:.3f} of the tolerance"
        yield row(f"outputs of backend {backend!r}", result.verdict, len(cases), detail)


def initial_weights(checked: Checked, seeds: Sequence[int] = SEEDS) -> Iterator[Row]:
    """Compare the bits of initial weight and bias after seeding, for two layers in a row."""
    if not hasattr(checked.framework, "seed"):
        yield row("initial weights after seeding", NOT_CHECKED, 0, "the framework draws none")
        return
    total = differing = worst = refused = 0
    policy = checked.policy.evolve(bias=True)
    shapes = [sizes for sizes in SHAPES if sizes[0] == sizes[3]] if checked.depthwise else SHAPES
    for seed in seeds:
        for in_channels, out_channels, kernel, groups in shapes:
            spec = checked.spec(in_channels, out_channels, (kernel, 1, 1), groups)
            checked.framework.seed(seed)
            stream = policy.start_stream(seed)
            for _layer in range(getattr(checked.framework, "LAYERS_IN_A_ROW", 2)):
                try:
                    layer = checked.framework.build(spec, {"bias": True})
                except Exception:
                    if groups == 1:
                        raise
                    refused += 1  # the framework has no groups
                    break
                drawn = checked.layout.pack(policy.draw(spec, stream), groups)
                for name, array in checked.framework.parameters(layer).items():
                    distance = _ulps(array, drawn[name])
                    total, differing = total + array.size, differing + int((distance > 0).sum())
                    worst = max(worst, int(distance.max()))
    verdict = DIFFERS if worst > LAST_BITS else CLOSE if differing else EXACT
    detail = f"{total} values" + (f", {differing} differ by up to {worst} units in the last place" if differing else "")
    yield row("initial weights after seeding", verdict, len(seeds) * len(shapes) - refused, detail)


def _ulps(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.int64]:
    """Return the elementwise distance of two arrays in units in the last place of float32."""
    ordered = []
    for array in (a, b):
        bits = np.ascontiguousarray(array, np.float32).view(np.int32).astype(np.int64)
        ordered.append(np.where(bits < 0, -(2**31) - bits, bits))
    distance: NDArray[np.int64] = np.abs(ordered[0] - ordered[1])
    return distance


def check(name: str, backends: list[str], every: int = 1) -> Iterator[Row]:
    """Yield the version of the framework, then one row per claim. Claims about transposed convolutions start with `TRANSPOSED`."""
    native = native_of(name)
    for layer in native.layers:
        checked, prefix = Checked.of(native, layer), "" if layer == LAYERS[0] else TRANSPOSED
        version = checked.framework.version()
        yield {"version": version}
        if not checked.policy.covers(version):
            yield row("version", NOT_CHECKED, 0, f"installed is {version}, the policy is for {checked.policy.versions}")
            return
        for claim in _rows(checked, backends, every):
            yield {**claim, "claim": prefix + claim["claim"]}


def _rows(checked: Checked, backends: list[str], every: int) -> Iterator[Row]:
    yield from defaults(checked)
    yield from paddings(checked, GRID[::every])
    yield from values(checked)
    yield from on_backends(checked, backends)
    yield from initial_weights(checked)


def main() -> None:
    """Compare the policy that the command line names and print its rows."""
    name, *words = sys.argv[1:]
    backends = [word for word in words if not word.startswith(EVERY)]
    every = next((int(word.removeprefix(EVERY)) for word in words if word.startswith(EVERY)), 1)
    os.environ.update(native_of(name).environment)
    try:
        for claim in check(name, backends, every):
            print(MARK + json.dumps(claim), flush=True)  # noqa: T201 - read by the process that started this one
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if importlib.util.find_spec(missing) is not None:
            raise
        print(MARK + json.dumps(row("framework", "not installed", 0, missing)), flush=True)  # noqa: T201 - as above


if __name__ == "__main__":
    main()

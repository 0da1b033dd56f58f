"""What the tests of whole models share: every ported layer against the layer it came from, on random data."""

from __future__ import annotations

import attrs
import numpy as np

import convpolicy as cp
from convpolicy import reference

LENGTH = 19


def outputs(capture, layer, backend, data):
    """A layer's own output, and how far another order of summation may be from it."""
    own = cp.backends()[backend].run(layer, data)
    absolute = attrs.evolve(
        capture,
        weight=np.abs(np.float64(capture.weight)),
        bias=None if capture.bias is None else np.abs(np.float64(capture.bias)),
    )
    magnitude = absolute.build("numpy", dtype="float64")(np.abs(np.float64(data)))
    terms = capture.weight.shape[1] * capture.weight.shape[2] + 1
    return own, 2 * reference.tolerance(capture.dtype, terms, magnitude)


def check(modules, backend, ported, to, not_run=()):
    """Weights of every layer to the bit, outputs within rounding.

    Args:
        modules: path -> module of the model.
        backend: its backend.
        ported: what `port_model` returned.
        to: the backend that it was ported to.
        not_run: paths of layers that the framework cannot run here.
    """
    assert sorted(ported.layers) == sorted(modules)
    random = np.random.default_rng(0)
    for path, layer in ported.layers.items():
        capture = cp.capture(modules[path])
        data = random.standard_normal((2, capture.spec.in_channels, LENGTH)).astype(capture.dtype)
        if path not in not_run:
            own, bound = outputs(capture, modules[path], backend, data)
            other = cp.backends()[to].run(layer, data)
            assert own.shape == other.shape, path
            assert (np.abs(np.float64(own) - np.float64(other)) <= bound).all(), path
            assert np.abs(own).max() > 0, path
        there = cp.capture(layer)
        assert there.weight.tobytes() == capture.weight.tobytes(), path
        assert (there.bias is None) == (capture.bias is None), path
        assert capture.bias is None or there.bias.tobytes() == capture.bias.tobytes(), path


def check_names(ported, values, to):
    """Every parameter that is not computed from others has the values of the new name, with the axes that `Renamed` says.

    Args:
        ported: what `port_model` returned.
        values: old parameter name -> NumPy array.
        to: the backend that it was ported to.
    """
    layouts = {(layout.axes, layout.transposed, layout.flip): layout for layout in cp.layouts().values()}
    backend = cp.backends()[to]
    targets = {False: cp.layouts()[backend.layout], True: cp.layouts()[backend.transposed_layout]}
    assert set(ported.parameters) <= set(values)
    for old, new in ported.parameters.items():
        if new.computed:
            continue
        role = next(role for role in ("weight", "bias") if new.name.endswith(getattr(targets[False], role)))
        path = new.name.removesuffix(getattr(targets[False], role)).rstrip("./")
        layer = ported.layers[path]
        array = backend.parameters(layer)[role]
        if new.axes == "O":
            assert np.array_equal(values[old], array), old
        else:
            transposed = cp.capture(layer).spec.transposed
            before, (after, _comma, reversed_) = new.axes.split(" -> ")[0], new.axes.split(" -> ")[1].partition(", ")
            assert after == targets[transposed].axes
            source = layouts[before, transposed, targets[transposed].flip != bool(reversed_)]
            assert np.array_equal(source.restored(values[old]), array), old

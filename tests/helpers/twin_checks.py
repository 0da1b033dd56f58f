"""What the tests of architectures share: a checkpoint becomes one of the twin, loads whole, and comes back with the same bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from helpers.architectures import architecture
from helpers.outlines import outline
from safetensors.torch import load_file, save_file
from torch.nn.utils import parametrize

import convpolicy as cp


def check_there_and_back(name, builder, load, *, target, middle, own=(), counts=True):
    """Convert a torch checkpoint for its twin and back, in the current folder.

    - The report and the framework's loader miss nothing, and have nothing that the twin does not expect.
    - Every array of the twin is the one that the framework's rule makes of torch's, also that of modules of no known kind.
    - The way back gives the bytes of the first file. Of weights with weight normalization, which becomes a plain weight, these are the
      bytes of the file in which torch has the plain weight.

    Args:
        name: name of the architecture.
        builder: builds the twin.
        load: function ``(twin, path)`` that loads a file with the framework's own loader and checks what that reports.
        target: name of the framework.
        middle: name of the file for the twin.
        own: paths of the layers that the framework lacks.
        counts: False if the file cannot store the numbers of batches that torch's norms have seen; they are 0 then.
    """
    model = architecture(name)
    if not counts:
        with torch.no_grad():
            _ = [value.zero_() for key, value in model.state_dict().items() if key.endswith("num_batches_tracked")]
    twin = builder.build(outline(model))
    _save(model, "a.safetensors")
    normed = any(".parametrizations." in key for key in model.state_dict())
    report = cp.convert("a.safetensors", middle, source="torch", target=target, model=twin, fold_weight_norm=normed)
    assert report.loading.complete, str(report.loading)
    assert builder.own == list(own)
    load(twin, middle)
    _remove_norms(model)
    _check_arrays(builder, model.state_dict(), exact=not normed)
    back = cp.convert(middle, "c.safetensors", source=target, target="torch", model=model)
    assert back.loading.complete, str(back.loading)
    if normed:
        first = cp.convert(
            "a.safetensors", "plain.safetensors", source="torch", target="torch", model=model, fold_weight_norm=True
        )
        assert first.loading.complete
    assert Path("plain.safetensors" if normed else "a.safetensors").read_bytes() == Path("c.safetensors").read_bytes()
    model.load_state_dict(load_file("c.safetensors"))


def _save(model, path):
    """Save a state dict; a tensor with two names has both."""
    save_file({key: value.detach().clone() for key, value in model.state_dict().items()}, path)


def _remove_norms(model):
    """Replace weight normalization by the weight, as torch computes it."""
    for module in list(model.modules()):
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight")


def _check_arrays(builder, state, *, exact):
    """Compare every array of the twin with the framework's rule."""
    assert builder.layers
    for path, (part, layer) in builder.layers.items():
        for attribute, expected in builder.rule(part, _below(path, state)).items():
            _compare(builder.value(layer, attribute), expected, f"{path}.{attribute}", exact=exact)
    for path, (part, module) in builder.others.items():
        for attribute in part.values:
            _compare(builder.value(module, attribute), _below(path, state)[attribute], f"{path}.{attribute}", exact=True)


def _below(path, state):
    """Return the tensors that are directly in a module, by their names there."""
    start = f"{path}." if path else ""
    rows = {key.removeprefix(start): value for key, value in state.items() if key.startswith(start)}
    return {key: value.detach().numpy() for key, value in rows.items() if "." not in key}


def _compare(found, expected, name, *, exact):
    """Two arrays are equal; a weight without its weight normalization is to a rounding of torch's."""
    assert found.shape == expected.shape, name
    if exact or found.ndim == 1:
        assert np.array_equal(found, expected), name
    else:
        assert np.allclose(found, expected, rtol=4 * np.finfo("f4").eps, atol=0), name
    assert found.any(), name

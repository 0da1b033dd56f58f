"""What the tests of `why` for whole models share: torch twins of MLX modules, and the comparison of each pair of modules."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import torch
from mlx import nn

import convpolicy as cp
from convpolicy.diagnosis.models.comparing import Comparison, follows, units
from convpolicy.diagnosis.models.matching import matched
from convpolicy.diagnosis.models.units import FORMULAS
from convpolicy.diagnosis.models.whole import _recorded
from convpolicy.models.readers import reader_of

DATA = np.random.default_rng(3).standard_normal((2, 4, 20)).astype(np.float32)
LAST = (nn.Conv1d, nn.Conv2d)  # weights with the input channels last
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d)


def comparisons(a, b, x):
    """The pairs of modules of two models, after each pair ran on the same input."""
    recordings = _recorded((reader_of(a), reader_of(b)), x, None)
    pairs = matched(recordings[0].leaves(), recordings[1].leaves(), {})
    return [item for item in units(pairs, recordings) if isinstance(item, Comparison)]


def require_equal(a, b, x):
    """Two models are equal up to rounding, and each module computes what its description says, where there is a formula."""
    answer = cp.why(a, b, x)
    assert answer.equal, str(answer)
    assert not answer.causes
    for found in comparisons(a, b, x):
        kinds = [call.description.kind for unit in (found.a, found.b) for call in unit.calls if call.description]
        assert len(kinds) >= 2, f"{found.a.path} and {found.b.path} must be described"
        if set(kinds) <= {*FORMULAS, "convolution"}:
            require_formulas(found)
    return answer


def require_formulas(found):
    """Both modules of a pair computed what their descriptions say."""
    for unit in (found.a, found.b):
        assert follows(unit.computed(unit.inputs), unit.output, unit.dtype) is True, f"{unit.path} {unit.title}"


def require_cause(answer, path, *aspects):
    """One module is named, and what differs in it."""
    assert not answer.equal
    causes = {(cause.path_b or cause.path_a, cause.aspect) for cause in answer.causes}
    assert causes == {(path, aspect) for aspect in aspects}, str(answer)


def mended(answer, model, reference, x):
    """The line of the answer changes the model so that it is equal."""
    assert answer.fix, str(answer)
    exec(answer.fix, {"model": model, "diagnosis": answer})
    after = cp.why(reference, model, x)
    assert after.equal, f"{answer.fix}\n{after}"


def randomized(module):
    """Parameters and running statistics that no initial value looks like."""
    random = np.random.default_rng(7)
    with torch.no_grad():
        for value in [*module.parameters(), *(b for b in module.buffers() if b.is_floating_point())]:
            value.copy_(torch.from_numpy(random.uniform(0.2, 0.9, tuple(value.shape)).astype(np.float32)))
    return module


def copied(source, module):
    """Copy the arrays of a torch module to an MLX module of the same kind."""
    own = {name: value.detach().numpy() for name, value in [*source.named_parameters(), *source.named_buffers()]}
    if isinstance(module, (nn.LSTM, nn.GRU)):
        module.Wx, module.Wh = mx.array(own["weight_ih_l0"]), mx.array(own["weight_hh_l0"])
        _copy_biases(own["bias_ih_l0"], own["bias_hh_l0"], module)
        return module
    for name in [name for name, value in module.items() if isinstance(value, mx.array)]:
        array = own[name]
        if name == "weight" and isinstance(module, LAST):
            array = np.moveaxis(array, 1, -1)
        if name == "weight" and isinstance(module, TRANSPOSED):
            array = np.moveaxis(array, 0, -1)
        module[name] = mx.array(np.ascontiguousarray(array))
    return module


def _copy_biases(inputs, hidden, module):
    if isinstance(module, nn.LSTM):
        module.bias = mx.array(inputs + hidden)
        return
    both = 2 * module.hidden_size  # those of two gates are added, that of the third is not
    module.b = mx.array(np.concatenate([inputs[:both] + hidden[:both], inputs[both:]]))
    module.bhn = mx.array(hidden[both:])


def pair(source, module):
    """A torch and an MLX model of a convolution and one more module, with the same weights, in inference mode."""
    before, own_before = randomized(torch.nn.Conv1d(4, 6, 3, padding=1)), nn.Conv1d(4, 6, 3, padding=1)
    own = nn.Sequential(copied(before, own_before), copied(randomized(source), module))
    own.eval()
    return torch.nn.Sequential(before, source).eval(), own

"""What the tests of `why` for whole models share: the comparison of each pair of modules."""

from __future__ import annotations

import numpy as np

import convpolicy as cp
from convpolicy.diagnosis.models.comparing import Comparison, follows, units
from convpolicy.diagnosis.models.matching import matched
from convpolicy.diagnosis.models.units import FORMULAS
from convpolicy.diagnosis.models.whole import _recorded
from convpolicy.models.readers import reader_of


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
    scope = {"model": model, "diagnosis": answer}
    exec(answer.fix, scope)
    after = cp.why(reference, model, x)
    assert after.equal, f"{answer.fix}\n{after}"


DATA = np.random.default_rng(3).standard_normal((2, 4, 20)).astype(np.float32)


def randomized(module):
    """A torch module with parameters and running statistics that no initial value looks like."""
    import torch

    random = np.random.default_rng(7)
    with torch.no_grad():
        for value in [*module.parameters(), *(b for b in module.buffers() if b.is_floating_point())]:
            value.copy_(torch.from_numpy(random.uniform(0.2, 0.9, tuple(value.shape)).astype(np.float32)))
    return module

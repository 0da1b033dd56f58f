"""Random layers, cuts and inputs for the tests of sharding, and what the float64 reference says of them."""

from __future__ import annotations

import attrs
import numpy as np
from hypothesis import strategies as st

import convpolicy as cp
from convpolicy import reference
from convpolicy.errors import ConvPolicyError

MODES = ("zeros", "reflect", "symmetric", "replicate", "circular", "odd", "extrapolate", ("reflect", "zeros"))
RULES = ("valid", "same_upper", "same_lower", "causal", "full", "half", (2, 3), (0, 5), (-1, 2), (0, -2))
CROPS = ((0, 0), (1, 2), (3, 0), (-1, -2), (0, -3))


@attrs.frozen
class Case:
    """One layer on one input, and how the input is cut."""

    policy: cp.Policy
    kernel: int
    stride: int
    dilation: int
    groups: int
    transposed: bool
    length: int
    parts: int | list[int]
    order: str
    documents: list[int] | None

    @property
    def sizes(self):
        """Kernel size, stride and dilation."""
        return self.kernel, self.stride, self.dilation

    @property
    def borders(self):
        """Borders of the documents."""
        return self.documents or [0, self.length]

    def shards(self):
        """Return the shard of each rank."""
        own = {"order": self.order, "documents": self.documents}
        return self.policy.shard(self.length, self.parts, *self.sizes, transposed=self.transposed, **own)

    def capture(self, seed=0):
        """Return a capture with random weights of 2 groups of channels at most."""
        random = np.random.default_rng(seed)
        spec = cp.ConvSpec(2, 2 * self.groups, *self.sizes, self.groups, self.transposed)
        policy = self.policy.transposed if self.transposed else self.policy
        weight = random.standard_normal(spec.weight_shape)
        return cp.Capture(spec, policy, weight, random.standard_normal(spec.out_channels), "float64")

    def reference(self, data, weight, bias):
        """Return the float64 reference of the whole layer: its outputs, magnitudes and number of terms."""
        results = [self._document(data[..., first:end], weight, bias) for first, end in zip(self.borders, self.borders[1:])]
        arrays = (np.concatenate([result[n] for result in results], -1) for n in (0, 1))
        return reference.Reference(*arrays, max(result.terms for result in results))

    def _document(self, data, weight, bias):
        plan = self.policy.plan(*self.sizes, length=data.shape[-1], transposed=self.transposed)
        sizes = {"stride": self.stride, "dilation": self.dilation, "groups": self.groups, "left": plan.left, "right": plan.right}
        if self.transposed:
            return reference.conv_transpose1d(data, weight, bias, mode=plan.mode, **sizes)
        mode = tuple(plan.mode.split(",")) if "," in plan.mode else plan.mode
        return reference.conv1d(data, weight, bias, mode=mode, **sizes)

    def reads(self):
        """Return which samples each output reads, bool (length, outputs), from the reference on inputs of one sample that is not 0."""
        random = np.random.default_rng(1)
        shape = (1, 1, self.kernel)
        single = attrs.evolve(self, groups=1)
        return single.reference(np.eye(self.length)[:, None], random.standard_normal(shape), None).output[:, 0] != 0


@st.composite
def cases(draw, longest=24):
    """Draw a case whose layer accepts its input."""
    transposed = draw(st.booleans())
    policy = cp.policy("torch")
    if transposed:
        changes = {"padding": draw(st.sampled_from(CROPS)), "padding_mode": draw(st.sampled_from(("zeros", "circular")))}
        policy = policy.evolve(transposed=changes)
    else:
        policy = policy.evolve(padding=draw(st.sampled_from(RULES)), padding_mode=draw(st.sampled_from(MODES)))
    kernel, stride, dilation = draw(st.integers(1, 9)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    length, ranks = draw(st.integers(1, longest)), draw(st.integers(1, 5))
    order = draw(st.sampled_from(("contiguous", "contiguous", "zigzag")))
    chunks = ranks * (2 if order == "zigzag" else 1)
    inner = draw(st.lists(st.integers(0, length), min_size=chunks - 1, max_size=chunks - 1))
    parts = draw(st.sampled_from((ranks, [0, *sorted(inner), length])))
    documents = None
    if length > 1 and draw(st.integers(0, 3)) == 0:
        documents = sorted({0, length, *draw(st.lists(st.integers(1, length - 1), min_size=1, max_size=3))})
    case = Case(policy, kernel, stride, dilation, draw(st.sampled_from((1, 2))), transposed, length, parts, order, documents)
    try:
        plans = [policy.plan(*case.sizes, length=b - a, transposed=transposed) for a, b in zip(case.borders, case.borders[1:])]
    except ConvPolicyError:
        plans = []
    if not plans or not all(plan.length_out for plan in plans):  # too short for the mode or the window
        return attrs.evolve(case, policy=cp.policy("torch").evolve(padding="full"), transposed=False)
    return case

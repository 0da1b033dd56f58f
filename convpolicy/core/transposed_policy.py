"""`TransposedPolicy`: what a transposed convolution cuts from its result, its initialization and its weight layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import attrs
import numpy as np

from convpolicy.arithmetic import integer
from convpolicy.core.cuts import CONTIGUOUS
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.plain_data import PART_FIELDS, TRANSPOSED_CLAIMS
from convpolicy.core.plan import check_length
from convpolicy.core.resolution import with_output_size
from convpolicy.core.shard import Shard
from convpolicy.core.sharding import shards_of
from convpolicy.core.transposed_plan import MODES, TransposedPlan
from convpolicy.errors import InvalidValueError, shown
from convpolicy.parts import arguments as accepted
from convpolicy.parts.choice import Choice

PADDING = "padding"  # a field of policies, and a parameter of a crop rule whose framework counts differently from `explicit`


@attrs.frozen(cache_hash=True, repr=False)
class TransposedPolicy(LayerPolicy):
    """The crop rule, initialization and weight layout of a framework's transposed 1-D convolution.

    It is part of a `Policy`, as ``policy.transposed``. It is immutable and hashable. It has the fields of `Policy`, with these
    differences:

    Args:
        padding: crop rule, a `Choice` or a name. It says how many samples are cut from each side of the full result.
        padding_mode: ``"zeros"``, or ``"circular"`` to add what is cut on one side to the other end.
        layout: a layout of transposed weights.
        weight_norm: axis of the weight (in, out/groups, kernel) that has one norm per index, or None.
        dilated_output_padding: False if the framework requires an ``output_padding`` below the stride for every dilation.
    """

    kind: ClassVar[str] = "transposed policy"
    part_kinds: ClassVar[Mapping[str, str]] = MappingProxyType({**PART_FIELDS, "padding": "crop rule"})
    claims: ClassVar[Mapping[str, Any]] = TRANSPOSED_CLAIMS
    is_transposed: ClassVar[bool] = True
    default_padding: ClassVar[Choice] = Choice("explicit")
    default_layout: ClassVar[Choice] = Choice("IOW")
    dilated_output_padding: bool = attrs.field(
        default=True, converter=accepted.plain_bool, validator=accepted.of_type(bool), kw_only=True
    )

    def checked(self, fields: Any = PART_FIELDS) -> TransposedPolicy:
        """Check the parts named in ``fields``; see `LayerPolicy.checked`. The padding mode must be one of `MODES`."""
        super().checked(fields)
        if "padding_mode" in fields and self.padding_mode.name not in MODES:
            raise InvalidValueError(
                f"padding_mode of a transposed convolution must be one of {', '.join(MODES)}, got {str(self.padding_mode)!r}; pick one."
            )
        return self

    def shard(
        self,
        length: int,
        parts: int | Sequence[int],
        kernel_size: int,
        stride: int = 1,
        dilation: int = 1,
        *,
        order: str = CONTIGUOUS,
        documents: Sequence[int] | None = None,
    ) -> tuple[Shard, ...]:
        """Cut one long input over ranks; see `Policy.shard`."""
        return shards_of(self, length, parts, (kernel_size, stride, dilation), order, documents)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TransposedPolicy:
        """Build a policy from a dictionary that `to_dict` returned. It contains ``"transposed": True``.

        Raises:
            InvalidValueError, InvalidTypeError: the data is of another kind of policy, has another schema, an unknown key, or a
                value that is not allowed.
            UnknownNameError: a part is not registered.
        """
        if isinstance(data, Mapping):
            if data.get("transposed") is not True:
                raise InvalidValueError(
                    f"policy key 'transposed' must be true for a transposed convolution, got {shown(data.get('transposed'))}; "
                    f"read the policy with Policy.from_dict, which has this policy as its part transposed."
                )
            data = {key: value for key, value in data.items() if key != "transposed"}
        return super().from_dict(data)

    def evolve(self, **changes: Any) -> TransposedPolicy:
        """Return a modified copy; see `Policy.evolve`.

        If the crop rule of the policy has a parameter ``padding``, an int for ``padding`` sets this parameter.
        """
        if isinstance(changes.get(PADDING), (int, np.integer)) and PADDING in self.part(PADDING)[0].params:
            changes[PADDING] = self.padding.evolve(**{PADDING: changes[PADDING]})
        return super().evolve(**changes)

    def plan(
        self, kernel_size: int, stride: int = 1, dilation: int = 1, *, length: int, output_size: int | None = None
    ) -> TransposedPlan:
        """Return what is cut for one input length.

        Args:
            kernel_size, stride, dilation: in samples, 1 or more.
            length: input length in samples, 0 or more.
            output_size: the output length, as in a call of ``torch.nn.ConvTranspose1d``. It sets the parameter
                ``output_padding`` of the crop rule. None uses the parameter of the policy.

        Returns:
            A `TransposedPlan`. If everything is cut, ``length_out`` is 0.

        Raises:
            InvalidTypeError, InvalidValueError: a size is not allowed, the policy refuses this combination of sizes, or
                ``output_size`` is out of range.
        """
        if output_size is None:
            plan: TransposedPlan = super().plan(kernel_size, stride, dilation, length=length)
            return plan
        spec, checked = self._spec(kernel_size, stride, dilation), check_length(length)
        changed = self.evolve(padding=with_output_size(self, spec, checked, integer("output_size", output_size, 0)))
        resized: TransposedPlan = changed.planned(spec, checked)
        return resized

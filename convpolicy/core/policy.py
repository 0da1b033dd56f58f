"""`Policy`: the padding, initialization and weight layout of a 1-D convolution of any size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, overload

import attrs
from numpy.typing import NDArray

from convpolicy.core.cuts import CONTIGUOUS
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.plan import Plan
from convpolicy.core.shard import Shard
from convpolicy.core.sharding import shards_of
from convpolicy.core.transposed_plan import TransposedPlan
from convpolicy.core.transposed_policy import TransposedPolicy
from convpolicy.errors import InvalidTypeError, InvalidValueError, shown
from convpolicy.parts.stream import Stream


def _is_half(_policy: Any, _field: Any, value: Any) -> None:
    if value is not None and not isinstance(value, TransposedPolicy):
        raise InvalidTypeError(
            f"transposed must be a TransposedPolicy or None, got {shown(value)} of type {type(value).__name__}; pass one."
        )


@attrs.frozen(cache_hash=True, repr=False)
class Policy(LayerPolicy):
    """The padding, initialization and weight layout of a framework's 1-D convolution. A policy is immutable and hashable.

    A policy contains no sizes. It selects registered parts by name. Use ``convpolicy.policy(name)`` to get a framework's policy.

    Args:
        name: name of the policy.
        padding, padding_mode: padding rule and padding mode, each a `Choice` or a name.
        bias: True if a layer has a bias by default.
        weight_init, bias_init: initializers, each a `Choice` or a name.
        layout, data_layout, random_stream: weight layout, data layout and random stream, each a `Choice` or a name.
        padding_names: mapping from a name that the framework accepts for ``padding`` to the padding rule.
        mode_names: mapping from a name for ``padding`` that also selects a padding mode to the `Choice` of this mode.
        init_names: mapping from a name for ``weight_init`` to the `Choice` of the initializer. ``"as_written"`` is the initializer
            that the reference code calls. ``"as_trained"`` is the initializer from which training starts. Default: ``weight_init``.
        weight_norm: axis of the weight (out, in/groups, kernel) that has one norm per index, or None for no weight normalization.
        strided_dilation: False if the framework does not allow a stride above 1 together with a dilation above 1.
        framework: name of the framework that the policy reproduces, or empty.
        versions: versions of the framework that the policy reproduces, as a specifier such as ``">=2.1,<2.11"``.
        measured: versions that were compared with the policy. For the other ``versions``, the policy relies on documentation.
        source: place that defines the behaviour, e.g. a file of the framework.
        description: one sentence about the policy.
        paper: a `Paper`, if the policy describes a published model.
        transposed: the `TransposedPolicy` of the framework's transposed convolution, or None.
    """

    kind: ClassVar[str] = "policy"
    transposed: TransposedPolicy | None = attrs.field(default=None, validator=_is_half, kw_only=True)

    def evolve(self, **changes: Any) -> Policy:
        """Return a modified copy.

        A copy with another name no longer claims to reproduce the framework. ``convpolicy verify`` does not test this copy.

        Args:
            **changes: new values of fields. ``padding`` can also be an int, a pair (left, right) or one of ``padding_names``.
                ``padding_mode`` can be a pair (left, right). ``weight_init`` and ``bias_init`` can be a number or an array.
                ``transposed`` can be a dictionary of changes, as for `TransposedPolicy`. The other fields do not change the
                transposed convolution.

        Raises:
            InvalidTypeError, InvalidValueError, UnknownNameError: a value is not allowed. The message names the field and the fix.
        """
        if isinstance(changes.get("transposed"), Mapping):
            changes["transposed"] = self.half().evolve(**changes["transposed"])
        half = changes.get("transposed", self.transposed)
        if isinstance(half, TransposedPolicy) and half.name == self.name and changes.get("name", self.name) != self.name:
            changes["transposed"] = half.evolve(name=changes["name"])
        return super().evolve(**changes)

    def half(self) -> TransposedPolicy:
        """Return the policy of the transposed convolution, ``transposed``.

        Raises:
            InvalidValueError: the policy describes no transposed convolution.
        """
        if self.transposed is None:
            raise InvalidValueError(
                f"policy {self.name!r} describes no transposed convolution; pass another policy, or add one with "
                f"evolve(transposed=convpolicy.policy('torch').transposed)."
            )
        return self.transposed

    @overload
    def plan(
        self, kernel_size: int, stride: int = 1, dilation: int = 1, *, length: int, transposed: Literal[False] = False
    ) -> Plan: ...
    @overload
    def plan(
        self, kernel_size: int, stride: int = 1, dilation: int = 1, *, length: int, transposed: Literal[True]
    ) -> TransposedPlan: ...
    def plan(
        self, kernel_size: int, stride: int = 1, dilation: int = 1, *, length: int, transposed: bool = False
    ) -> Plan | TransposedPlan:
        """Return the exact padding of one input length, or what a transposed convolution cuts.

        Args:
            kernel_size, stride, dilation: in samples, 1 or more.
            length: input length in samples, 0 or more.
            transposed: True for the transposed convolution.

        Returns:
            A `Plan`, or a `TransposedPlan`. If no window fits into the padded input, ``length_out`` is 0.

        Raises:
            InvalidTypeError, InvalidValueError: a size is not allowed, or the policy refuses this combination of sizes.
        """
        if transposed:
            return self.half().plan(kernel_size, stride, dilation, length=length)
        plan: Plan = super().plan(kernel_size, stride, dilation, length=length)
        return plan

    def shard(
        self,
        length: int,
        parts: int | Sequence[int],
        kernel_size: int,
        stride: int = 1,
        dilation: int = 1,
        transposed: bool = False,
        *,
        order: str = CONTIGUOUS,
        documents: Sequence[int] | None = None,
    ) -> tuple[Shard, ...]:
        """Cut one long input over ranks: what each of them owns, sends, receives, pads and computes.

        An output belongs to the rank that owns sample ``output * stride``, or ``output // stride`` of a transposed convolution, or the
        last sample. A rank receives each sample that its outputs read and that it does not own, once. All padding is that of the
        whole input.

        Args:
            length: length of the whole input in samples.
            parts: the number of ranks, or the borders of their samples, such as ``[0, 5, 9]`` for 2 ranks. A number cuts as
                ``torch.chunk`` does: ``ceil(length / parts)`` samples for each rank, and what is left for the last ones.
            kernel_size, stride, dilation: in samples, 1 or more.
            transposed: True for the transposed convolution.
            order: ``"contiguous"``, or ``"zigzag"``: rank r of n owns chunks r and 2n-1-r of 2n.
            documents: borders of documents that the layer convolves one by one, each padded at its own ends. None for one document.

        Returns:
            One `Shard` for each rank.

        Raises:
            InvalidTypeError, InvalidValueError: an argument is not allowed, or the policy refuses this length and these sizes.
        """
        policy = self.half() if transposed else self
        return shards_of(policy, length, parts, (kernel_size, stride, dilation), order, documents)

    def initial(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        groups: int = 1,
        seed: int = 0,
        *,
        stream: Stream | None = None,
        dtype: str = "float32",
        transposed: bool = False,
    ) -> dict[str, NDArray[Any] | None]:
        """Draw initial weights with NumPy. The framework's random stream makes them bit-identical to the framework's weights.

        Args:
            in_channels, out_channels, kernel_size, groups: sizes of the layer; see `ConvSpec`.
            seed: a seed that the framework's own seeding function accepts.
            stream: a random stream that replaces ``seed``. Use one stream to draw the layers of a model one after another.
            dtype: ``"float32"``, ``"float64"``, ``"float16"`` or ``"bfloat16"``. The arrays of bfloat16 values have dtype float32.
            transposed: True for the weights of a transposed convolution.

        Returns:
            A dictionary with ``"weight"``, an array (out, in/groups, kernel), for a transposed convolution (in, out/groups, kernel),
            and ``"bias"``, an array (out,) or None.

        Raises:
            InvalidTypeError, InvalidValueError: a size is not allowed, or an initializer refuses the shape.
        """
        if transposed:
            return self.half().initial(in_channels, out_channels, kernel_size, groups, seed, stream=stream, dtype=dtype)
        return super().initial(in_channels, out_channels, kernel_size, groups, seed, stream=stream, dtype=dtype)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Policy:
        """Build a policy from a dictionary that `to_dict` returned.

        Raises:
            InvalidValueError, InvalidTypeError: the data has another schema, an unknown key, or a value that is not allowed.
            UnknownNameError: a part is not registered.
        """
        table = data.get("transposed") if isinstance(data, Mapping) else None
        if table is None:
            return super().from_dict(data)
        if not isinstance(table, Mapping):
            raise InvalidTypeError(
                f"policy key 'transposed' must be a table, got {shown(table)}; write one, or read the policy of a transposed "
                f"convolution with convpolicy.load_policy or TransposedPolicy.from_dict."
            )
        if "transposed" in table:
            raise InvalidValueError("a policy has no key 'transposed' in its table 'transposed'; leave it out.")
        named = {"schema": data.get("schema"), "name": data.get("name"), **table, "transposed": True}
        return super().from_dict({**data, "transposed": TransposedPolicy.from_dict(named)})

"""The implementations of a `TransposedPlan` in torch, each with a name, its conditions, and the implementation whose bits it has.

All of them compute the same function, as those of `lowerings` do. Each one takes an input (batch, in_channels, length), a weight
(in_channels, out_channels / groups, kernel_size), a bias (out_channels,) or None, and a `Work`. It returns (batch, out_channels,
length_out), contiguous except for `full`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

from convpolicy.core.transposed_plan import CIRCULAR, TransposedPlan
from convpolicy.frameworks.torch.crops import FullResult, output_padding
from convpolicy.frameworks.torch.execution import packed_transposed
from convpolicy.frameworks.torch.execution.lowering import Lowering, Work, unless

FEW_TAPS = 2  # up to this stride, one operation for each tap is faster than one for all taps with the same row


def full(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Compute the full result, and return a view without what is cut, as handwritten code does."""
    plan = work.plan
    if plan.left >= 0 <= plan.right and plan.mode != CIRCULAR:  # the usual case, without the time that the other cases need
        output = F.conv_transpose1d(data, weight, bias, plan.stride, 0, 0, work.groups, plan.dilation)
        return output[..., plan.left : output.shape[-1] - plan.right]
    result = FullResult(plan.effective_kernel, plan.stride, plan.dilation, work.groups, plan.mode == CIRCULAR)
    return result.run(data, weight, bias, (plan.left, plan.right))


def native(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Cut inside torch's transposed convolution."""
    plan = work.plan
    more = plan.left - plan.right
    return F.conv_transpose1d(data, weight, bias, plan.stride, plan.left, more, work.groups, plan.dilation)


def cut_inside(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Cut the smaller side of both inside torch's transposed convolution, and copy the outputs of the plan."""
    plan = work.plan
    inside = min(plan.left, plan.right)
    output = F.conv_transpose1d(data, weight, bias, plan.stride, inside, 0, work.groups, plan.dilation)
    return output.narrow(-1, plan.left - inside, plan.length_out).contiguous()


def overlap_add(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Multiply all taps with the input in one matrix product, and add the products where they overlap; nothing cut is added."""
    return _added(_products(data, weight, work.groups), bias, work.plan, 1 if work.plan.stride <= FEW_TAPS else work.plan.stride)


def overlap_add_short(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Compute the same with the factors of the matrix product exchanged, whose rows are then long for short inputs."""
    batch, channels, length = data.shape
    samples = data.transpose(1, 2).reshape(batch * length, channels)
    products = torch.mm(samples, weight.reshape(channels, -1)).view(batch, length, *weight.shape[1:])
    return _added(products.permute(0, 2, 3, 1), bias, work.plan, work.plan.stride)


def polyphase(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Convolve with the taps of every phase as channels of one dense convolution, then interleave the phases."""
    plan = work.plan
    stride, length_out = plan.stride, plan.length_out
    inner, outer, kernel = weight.shape
    lead = -plan.left % stride  # zeros before the kernel, so that the first output has phase 0
    turns = -(-(lead + kernel) // stride)
    phases = F.pad(weight, (lead, turns * stride - lead - kernel)).view(inner, outer, turns, stride)
    dense = phases.flip(2).permute(1, 3, 0, 2).reshape(outer * stride, inner, turns)
    rows = -(-length_out // stride)
    before = turns - 1 - (plan.left + lead) // stride
    padded = F.pad(data, (before, rows + turns - 1 - before - data.shape[-1]))
    output = F.conv1d(padded, dense, None if bias is None else bias.repeat_interleave(stride))
    output = output.view(data.shape[0], outer, stride, rows).transpose(2, 3).reshape(data.shape[0], outer, -1)
    return output if output.shape[-1] == length_out else output[..., :length_out].contiguous()


def _products(data: Tensor, weight: Tensor, groups: int) -> Tensor:
    """Return the products of every input sample and tap, summed over the input channels: (batch, out, kernel, length)."""
    batch, channels, length = data.shape
    taps = weight.reshape(groups, channels // groups, -1).transpose(1, 2)  # (groups, out/groups * kernel, in/groups)
    if batch == groups == 1:
        products = torch.mm(taps[0], data[0])
    else:
        products = torch.matmul(taps, data.reshape(batch, groups, channels // groups, length))
    return products.view(batch, -1, weight.shape[2], length)


class Turn(NamedTuple):
    """Taps whose products go to the same row of `stride` outputs.

    Attributes:
        row: how many rows the outputs are after the input sample; negative for earlier rows.
        first, last: the taps.
        phase: position of the first tap in the row.
    """

    row: int
    first: int
    last: int
    phase: int


def _turns(plan: TransposedPlan) -> Iterator[Turn]:
    """Return the taps in groups of up to ``stride``, those of a whole row first."""
    rows = range(-plan.left // plan.stride, (plan.kernel_size - 1 - plan.left) // plan.stride + 1)
    turns = []
    for row in rows:
        start = plan.left + row * plan.stride
        first, last = max(start, 0), min(start + plan.stride, plan.kernel_size)
        if first < last:
            turns.append(Turn(row, first, last, first - start))
    return iter(sorted(turns, key=lambda turn: turn.first - turn.last))


def _added(products: Tensor, bias: Tensor | None, plan: TransposedPlan, width: int) -> Tensor:
    """Return the output (batch, out, length_out).

    Args:
        products: (batch, out, kernel, length), of input samples and taps.
        bias: (out,) or None.
        plan: the plan.
        width: number of taps that one operation adds.
    """
    batch, channels, _, length = products.shape
    stride, rows = plan.stride, -(-plan.length_out // plan.stride)
    output = products.new_empty(batch, channels, rows, stride)
    offset = products.new_zeros(1) if bias is None else bias.view(1, -1, 1, 1)
    is_first = True
    for turn in _turns(plan):
        start, stop = max(turn.row, 0), min(rows, length + turn.row)
        if is_first and turn.last - turn.first == stride and start < stop:
            for each, phases in _split(turn, width):
                values = products[:, :, each, start - turn.row : stop - turn.row].transpose(2, 3)
                target = output[:, :, start:stop, phases]
                target.copy_(values + offset) if torch.is_grad_enabled() else torch.add(values, offset, out=target)
            output[:, :, :start] = offset
            output[:, :, stop:] = offset
        else:
            if is_first:
                output[:] = offset
            if start < stop:
                for each, phases in _split(turn, width):
                    values = products[:, :, each, start - turn.row : stop - turn.row].transpose(2, 3)
                    output[:, :, start:stop, phases] += values
        is_first = False
    output = output.view(batch, channels, -1)
    return output if output.shape[-1] == plan.length_out else output[..., : plan.length_out].contiguous()


def _split(turn: Turn, width: int) -> Iterator[tuple[slice, slice]]:
    """Return the taps of a turn and their phases, for each operation."""
    for first in range(turn.first, turn.last, width):
        last, shift = min(first + width, turn.last), turn.phase - turn.first
        yield slice(first, last), slice(first + shift, last + shift)


def _is_plain(plan: TransposedPlan) -> bool:
    return plan.mode != CIRCULAR and plan.dilation == 1


def _is_native(plan: TransposedPlan, _channels: int, _groups: int) -> bool:
    return plan.mode != CIRCULAR and output_padding(plan.left, plan.right, max(plan.stride, plan.dilation)) is not None


def _cuts(plan: TransposedPlan, _channels: int, _groups: int) -> bool:
    return plan.mode != CIRCULAR and min(plan.left, plan.right) >= 0 and plan.left != plan.right


LOWERINGS = {
    "full": Lowering(full, unless("", lambda _p, _c, _g: True), "full"),
    "native": Lowering(native, unless("it cuts more on the right, appends too much, or wraps", _is_native), "native"),
    "cut_inside": Lowering(cut_inside, unless("it cuts equally on both sides, appends, or wraps", _cuts)),
    "overlap_add": Lowering(
        overlap_add,
        unless("it wraps, is dilated, or is depthwise", lambda p, c, g: _is_plain(p) and (g == 1 or g < c)),
    ),
    "overlap_add_short": Lowering(
        overlap_add_short, unless("it wraps, is dilated, or is grouped", lambda p, _c, g: _is_plain(p) and g == 1)
    ),
    "polyphase": Lowering(polyphase, unless("it wraps, is dilated, or is grouped", lambda p, _c, g: _is_plain(p) and g == 1)),
    **packed_transposed.LOWERINGS,
}


# implementations that ``execution="auto"`` times, those that win most often first
TRIED = ("packed", "overlap_add_short", "overlap_add", "polyphase", "native", "cut_inside")
LENGTH_FREE = ("full", "native")  # implementations that do not depend on the input's length

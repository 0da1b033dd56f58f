"""The implementations of a plan in torch, each with a name, its conditions, and the implementation whose bits it has.

All of them compute the same function. They differ in speed, in memory and in the order of their sums. `rules` selects one for each
call. Each one takes an input (batch, in_channels, length), a weight (out_channels, in_channels / groups, kernel_size), a bias
(out_channels,) or None, and a `Work`. It returns (batch, out_channels, length_out), contiguous except for `drop`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

from convpolicy.arithmetic import split
from convpolicy.core.plan import Plan
from convpolicy.frameworks.torch.execution import depthwise, packed, rows
from convpolicy.frameworks.torch.execution.lowering import (
    PRIMITIVE_SECONDS,
    Lowering,
    Work,
    is_depthwise,
    is_matrix,
    is_narrow_depthwise,
    is_symmetric,
    is_zeros,
    padded,
    unless,
)
from convpolicy.frameworks.torch.values import outlasting

# padding mode -> mode of torch.nn.functional.pad, which refuses pads that are too wide for the input
FUNCTIONAL_MODES = {"zeros": "constant", "constant": "constant"} | {m: m for m in ("reflect", "replicate", "circular")}


def native(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Convolve with the zero padding of torch's convolution."""
    plan = work.plan
    return F.conv1d(data, weight, bias, plan.stride, plan.left, plan.dilation, work.groups)


def pad_first(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Pad, then convolve without padding."""
    return _valid(padded(data, work), weight, bias, work)


def concatenate(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Concatenate pads and input in one parallel copy, then convolve without padding."""
    return _valid(torch.cat([part for part in _parts(data, work.plan) if part.shape[-1]], -1), weight, bias, work)


def gather(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Gather the padded input by one index, then convolve without padding."""
    return _valid(data.index_select(-1, _index(work.plan.positions, data.device)), weight, bias, work)


def overpad(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Convolve with equal zero padding on both sides, and keep the outputs of the plan."""
    plan = work.plan
    wide, first = _equal_pads(plan)
    both = F.conv1d(data, weight, bias, plan.stride, wide, plan.dilation, work.groups)
    return both.narrow(-1, first, plan.length_out).contiguous()


def same(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Convolve with ``padding="same"``: torch adds the extra zero first, and the others inside the convolution."""
    return F.conv1d(data, weight, bias, work.plan.stride, "same", work.plan.dilation, work.groups)


def drop(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Convolve with the left pad on both sides, and return a view without the last outputs, as handwritten code does."""
    plan = work.plan
    return F.conv1d(data, weight, bias, plan.stride, plan.left, plan.dilation, work.groups)[..., : plan.length_out]


def edges(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Convolve with zero padding, then recompute the few outputs that read the pads."""
    plan = work.plan
    wide, first = _equal_pads(plan)
    output = F.conv1d(data, weight, bias, plan.stride, wide, plan.dilation, work.groups)
    if output.shape[-1] != plan.length_out:
        output = output.narrow(-1, first, plan.length_out).contiguous()
    index, before, after = _edge_index(plan, data.device)
    touching = _valid(data.index_select(-1, index), weight, bias, work)
    output[..., :before] = touching[..., :before]
    output[..., plan.length_out - after :] = touching[..., touching.shape[-1] - after :]
    return output


def windows(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Copy every window to a column, then compute one matrix product per item and group."""
    plan, groups = work.plan, work.groups
    data = padded(data, work).contiguous()
    batch, channels, _ = data.shape
    taps = channels // groups * plan.kernel_size
    item, channel, sample = data.stride()
    columns = data.as_strided(
        (batch, channels, plan.kernel_size, plan.length_out), (item, channel, plan.dilation * sample, plan.stride * sample)
    ).reshape(batch * groups, taps, plan.length_out)
    return _product(columns, weight, bias, batch, groups)


def linear(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Copy every window to a row, then compute one linear layer, for few outputs."""
    return rows.convolved(padded(data, work), weight, bias, work.plan.stride, work.plan.dilation)


def matmul(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Compute a matrix product, for a kernel of 1."""
    return _product(data, weight, bias, data.shape[0], 1)


def channels_last(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Copy the padded input with channels innermost, then run a 2-D convolution."""
    plan = work.plan
    channels_inside = padded(data, work).transpose(1, 2).contiguous().transpose(1, 2)
    output = F.conv2d(
        channels_inside.unsqueeze(2), weight.unsqueeze(2), bias, (1, plan.stride), 0, (1, plan.dilation), work.groups
    )
    return output.squeeze(2).contiguous()


def _valid(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    return F.conv1d(data, weight, bias, work.plan.stride, 0, work.plan.dilation, work.groups)


def _product(columns: Tensor, weight: Tensor, bias: Tensor | None, batch: int, groups: int) -> Tensor:
    """Return (batch, out_channels, n) from columns (batch * groups, taps, n)."""
    rows = weight.reshape(groups, weight.shape[0] // groups, -1)
    if groups == 1:
        rows = rows.expand(batch, -1, -1)  # no copy
    elif batch > 1:
        rows = rows.repeat(batch, 1, 1)
    if bias is None:
        output = torch.bmm(rows, columns)
    elif groups == 1:
        output = torch.baddbmm(bias.unsqueeze(1), rows, columns)
    else:
        output = torch.baddbmm(bias.view(groups, -1, 1).repeat(batch, 1, 1), rows, columns)
    return output if groups == 1 else output.view(batch, -1, output.shape[-1])


def _parts(data: Tensor, plan: Plan) -> tuple[Tensor, Tensor, Tensor]:
    """Return left pad, input and right pad; all are views, except mirrored pads."""
    left, right, length, outer = plan.left, plan.right, plan.length, data.shape[:-1]
    if plan.is_constant:
        value = data.new_full((1,), plan.value)
        return value.expand(*outer, left), data, value.expand(*outer, right)
    if plan.mode == "replicate":
        return data[..., :1].expand(*outer, left), data, data[..., -1:].expand(*outer, right)
    if plan.mode == "circular":
        return data[..., length - left :], data, data[..., :right]
    skipped = int(plan.mode == "reflect")  # the edge sample, which symmetric repeats
    before, after = data[..., skipped : skipped + left], data[..., length - skipped - right : length - skipped]
    return before.flip(-1), data, after.flip(-1)


# mode -> the widest pad for an input of one length, in samples; a wider one would mirror or repeat the input twice
REACH: dict[str, Callable[[int], int]] = {
    "reflect": lambda length: length - 1,
    "symmetric": lambda length: length,
    "circular": lambda length: length,
    "replicate": lambda length: 2**62 if length else 0,
}


def _equal_pads(plan: Plan) -> tuple[int, int]:
    """Return an equal pad for both sides whose outputs contain the plan's, and the index of the first output to keep."""
    more = max(-(-(plan.right - plan.left) // plan.stride), 0)
    return plan.left + more * plan.stride, more


def _edge_counts(plan: Plan) -> tuple[int, int]:
    """Return how many outputs read the left pad, and how many read the right pad."""
    before = -(-plan.left // plan.stride)
    first = max(plan.left + plan.length - plan.effective_kernel, -1) // plan.stride + 1  # the first that reads the right pad
    return min(before, plan.length_out), max(plan.length_out - first, 0)


@lru_cache(maxsize=64)
def _edge_index(plan: Plan, device: torch.device) -> tuple[Tensor, int, int]:
    """Return the positions of a short input that contains every window with pads, and the counts of `_edge_counts`."""
    before, after = _edge_counts(plan)
    positions = plan.positions
    head = positions[: (before - 1) * plan.stride + plan.effective_kernel] if before else ()
    tail = positions[(plan.length_out - after) * plan.stride : (plan.length_out - 1) * plan.stride + plan.effective_kernel]
    gap = (0,) * (-len(head) % plan.stride)  # aligns the tail with the stride
    return _index((*head, *gap, *(tail if after else ())), device), before, after


@lru_cache(maxsize=256)
def _index(positions: tuple[int, ...], device: torch.device) -> Tensor:
    with outlasting():
        return torch.from_numpy(np.array(positions, dtype=np.int64)).to(device)


def _adds(plan: Plan) -> bool:
    return min(plan.left, plan.right) >= 0


def _concatenates(plan: Plan, _channels: int, _groups: int) -> bool:
    """Return True when the pads are a constant or slices of the input, and nothing is cropped."""
    added = max(plan.left, plan.right)
    reaches = plan.is_constant or (plan.copies and plan.mode in REACH and added <= REACH[plan.mode](plan.length))
    return _adds(plan) and added > 0 and reaches


def _is_same(plan: Plan) -> bool:
    return plan.stride == 1 and is_zeros(plan) and (plan.left, plan.right) == split(plan.effective_kernel - 1, "right")


def _drops(plan: Plan, _channels: int, _groups: int) -> bool:
    return plan.left >= plan.right >= 0 and is_zeros(plan)


def _repeats(plan: Plan) -> bool:
    """Return True when every added sample is an input sample."""
    return plan.copies and min((*plan.left_sources, *plan.right_sources), default=0) >= 0


def _corrects(plan: Plan, _channels: int, _groups: int) -> bool:
    if not _adds(plan) or plan.left == plan.right == 0 or not _repeats(plan):
        return False
    return 0 < sum(_edge_counts(plan)) < plan.length_out


LOWERINGS = {
    "same": Lowering(same, unless("its pads differ from torch's own 'same'", lambda p, _c, _g: _is_same(p)), "same"),
    "drop": Lowering(drop, unless("it does not pad with zeros, crops, or pads more on the right", _drops), "drop"),
    "native": Lowering(native, unless("its pads are unequal or not zeros", lambda p, _c, _g: is_symmetric(p)), "native"),
    "pad_first": Lowering(
        pad_first,
        unless("it does not pad", lambda p, _c, _g: p.left or p.right),
        "pad_first",
        setup=PRIMITIVE_SECONDS,
        is_hopeless=is_narrow_depthwise,
    ),
    "concatenate": Lowering(
        concatenate,
        unless("it crops, or its pads are absent, sums or too wide", _concatenates),
        "pad_first",
        setup=PRIMITIVE_SECONDS,
        is_hopeless=is_narrow_depthwise,
    ),
    "gather": Lowering(
        gather,
        unless("it does not pad, or pads with constants or sums", lambda p, _c, _g: (p.left or p.right) and _repeats(p)),
        "pad_first",
    ),
    "overpad": Lowering(
        overpad,
        unless("its pads are equal, crop, or are not zeros", lambda p, _c, _g: _adds(p) and p.left != p.right and is_zeros(p)),
        setup=PRIMITIVE_SECONDS,
    ),
    "edges": Lowering(
        edges, unless("it crops, or its pads are absent, constants, sums or in every window", _corrects), setup=PRIMITIVE_SECONDS
    ),
    "windows": Lowering(
        windows,
        unless(
            "it is pointwise, or depthwise with many outputs",
            lambda p, c, g: depthwise.is_small_product(p) if is_depthwise(c, g) else not is_matrix(p, c, g),
        ),
    ),
    "matmul": Lowering(matmul, unless("its kernel, stride or groups are not 1, or it pads", is_matrix)),
    "linear": Lowering(linear, unless("it is grouped, or has more than 256 outputs", rows.fits), is_hopeless=is_matrix),
    "channels_last": Lowering(  # never faster for depthwise layers, and in bfloat16 torch 2.13 may hang (8 channels, kernel 15)
        channels_last,
        unless("it is depthwise", lambda _p, c, g: not is_depthwise(c, g)),
        setup=PRIMITIVE_SECONDS,
        is_hopeless=is_matrix,
    ),
    **depthwise.LOWERINGS,
    **packed.LOWERINGS,
}


# implementations that ``execution="auto"`` times, those that win most often first
TRIED = (
    "matmul", "taps", "packed", "windows", "linear", "pad_first", "packed_padded", "packed_linear", "channels_last", "overpad", "edges",
    "concatenate",
)  # fmt: skip
LENGTH_FREE = ("native", "pad_first", "matmul", "channels_last")  # implementations that do not depend on the input's length

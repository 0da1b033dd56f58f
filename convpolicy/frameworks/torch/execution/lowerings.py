"""The equal ways in which torch can carry out one plan, each under a name, with what makes it legal and whether it keeps bits.

Every lowering takes input (batch, in_channels, length), weight (out_channels, in_channels / groups, kernel_size), bias or None and
a `Work`, and returns (batch, out_channels, length_out), contiguous but for `drop`. They differ in speed, in memory, and in the order in which
they sum. Which one a layer takes is for the rules to say; every one of them can be asked for by name.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

from convpolicy.arithmetic import split
from convpolicy.core.plan import Plan
from convpolicy.frameworks.torch.values import outlasting

# padding modes that torch.nn.functional.pad has under another or the same name, with torch's own overflow rule
FUNCTIONAL_MODES = {"zeros": "constant", "constant": "constant"} | {m: m for m in ("reflect", "replicate", "circular")}

# tensors of other classes, as those of per-sample gradients, know torch's own functions alone; fake ones must reach no cache
PLAIN = (Tensor, torch.nn.Parameter)


class Work(NamedTuple):
    """One plan for one layer.

    Attributes:
        plan: what is done to the input's last axis.
        groups: blocked connections.
        pad: ``(input, left, right) -> padded input``, as the layer pads when it pads beforehand.
    """

    plan: Plan
    groups: int
    pad: Callable[[Tensor, int, int], Tensor]


Lowered: TypeAlias = Callable[[Tensor, Tensor, "Tensor | None", Work], Tensor]


def native(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Let torch's convolution add the zeros by itself."""
    plan = work.plan
    return F.conv1d(data, weight, bias, plan.stride, plan.left, plan.dilation, work.groups)


def pad_first(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Pad, then convolve without padding."""
    return _valid(_padded(data, work), weight, bias, work)


def concatenate(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Join pads and input in one parallel copy, then convolve without padding."""
    return _valid(torch.cat([part for part in _parts(data, work.plan) if part.shape[-1]], -1), weight, bias, work)


def gather(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Read the padded input through one index, then convolve without padding."""
    return _valid(data.index_select(-1, _index(work.plan.positions, data.device)), weight, bias, work)


def overpad(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Let the convolution add zeros on both sides alike, and keep the outputs that were asked for."""
    plan = work.plan
    wide, first = _alike(plan)
    both = F.conv1d(data, weight, bias, plan.stride, wide, plan.dilation, work.groups)
    return both.narrow(-1, first, plan.length_out).contiguous()


def same(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Say ``padding="same"``: torch adds the odd zero on the right beforehand, and the others inside the convolution."""
    return F.conv1d(data, weight, bias, work.plan.stride, "same", work.plan.dilation, work.groups)


def drop(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Let the convolution add the left pad on both sides and drop the last outputs: a view, as code that does so by hand has it."""
    plan = work.plan
    return F.conv1d(data, weight, bias, plan.stride, plan.left, plan.dilation, work.groups)[..., : plan.length_out]


def edges(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Convolve as if the pads were zeros, then compute the few outputs that touch them anew."""
    plan = work.plan
    wide, first = _alike(plan)
    output = F.conv1d(data, weight, bias, plan.stride, wide, plan.dilation, work.groups)
    if output.shape[-1] != plan.length_out:
        output = output.narrow(-1, first, plan.length_out).contiguous()
    index, before, after = _edge_index(plan, data.device)
    touching = _valid(data.index_select(-1, index), weight, bias, work)
    output[..., :before] = touching[..., :before]
    output[..., plan.length_out - after :] = touching[..., touching.shape[-1] - after :]
    return output


def windows(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Copy every window into a column and multiply: one matrix product per item and group."""
    plan, groups = work.plan, work.groups
    data = _padded(data, work).contiguous()
    batch, channels, _ = data.shape
    taps = channels // groups * plan.kernel_size
    item, channel, sample = data.stride()
    columns = data.as_strided(
        (batch, channels, plan.kernel_size, plan.length_out), (item, channel, plan.dilation * sample, plan.stride * sample)
    ).reshape(batch * groups, taps, plan.length_out)
    return _product(columns, weight, bias, batch, groups)


def matmul(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Multiply: a kernel of one sample is a matrix."""
    return _product(data, weight, bias, data.shape[0], 1)


def channels_last(data: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    """Convolve a padded copy whose channels are innermost, as a convolution over two axes."""
    plan = work.plan
    turned = _padded(data, work).transpose(1, 2).contiguous().transpose(1, 2)
    output = F.conv2d(turned[:, :, None], weight[:, :, None], bias, (1, plan.stride), 0, (1, plan.dilation), work.groups)
    return output.squeeze(2).contiguous()


def _valid(padded: Tensor, weight: Tensor, bias: Tensor | None, work: Work) -> Tensor:
    return F.conv1d(padded, weight, bias, work.plan.stride, 0, work.plan.dilation, work.groups)


def _padded(data: Tensor, work: Work) -> Tensor:
    plan = work.plan
    return work.pad(data, plan.left, plan.right) if plan.left or plan.right else data


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
        output = torch.baddbmm(bias[:, None], rows, columns)
    else:
        output = torch.baddbmm(bias.view(groups, -1, 1).repeat(batch, 1, 1), rows, columns)
    return output if groups == 1 else output.view(batch, -1, output.shape[-1])


def _parts(data: Tensor, plan: Plan) -> tuple[Tensor, Tensor, Tensor]:
    """Return the left pad, the input and the right pad; views but for mirrored ones."""
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


# how many elements a mode can add on one side before it has to fold, for an input of one length
REACH: dict[str, Callable[[int], int]] = {
    "reflect": lambda length: length - 1,
    "symmetric": lambda length: length,
    "circular": lambda length: length,
    "replicate": lambda length: 2**62 if length else 0,
}


def _alike(plan: Plan) -> tuple[int, int]:
    """Return the pad for both sides that contains the plan's, on its grid of strides, and the first output to keep."""
    more = max(-(-(plan.right - plan.left) // plan.stride), 0)
    return plan.left + more * plan.stride, more


def _edge_counts(plan: Plan) -> tuple[int, int]:
    """Return how many outputs read the left pad, and how many the right one."""
    before = -(-plan.left // plan.stride)
    first = max(plan.left + plan.length - plan.effective_kernel, -1) // plan.stride + 1  # the first that reads the right pad
    return min(before, plan.length_out), max(plan.length_out - first, 0)


@lru_cache(maxsize=64)
def _edge_index(plan: Plan, device: torch.device) -> tuple[Tensor, int, int]:
    """Return the input positions of a short valid convolution whose outputs begin and end with those that touch the pads."""
    before, after = _edge_counts(plan)
    positions = plan.positions
    head = positions[: (before - 1) * plan.stride + plan.effective_kernel] if before else ()
    tail = positions[(plan.length_out - after) * plan.stride : (plan.length_out - 1) * plan.stride + plan.effective_kernel]
    gap = (0,) * (-len(head) % plan.stride)  # keeps the tail on the grid of strides
    return _index((*head, *gap, *(tail if after else ())), device), before, after


@lru_cache(maxsize=256)
def _index(positions: tuple[int, ...], device: torch.device) -> Tensor:
    with outlasting():
        return torch.from_numpy(np.array(positions, dtype=np.int64)).to(device)


class Lowering(NamedTuple):
    """One way, when it is legal, and whether it has the bits of the framework's own code.

    Attributes:
        run: the function.
        why_not: ``(plan, in_channels, groups) -> reason`` why it cannot carry out a plan; empty when it can.
        bits_of: the lowering whose every bit it has, because it only copies in another way; empty when it sums in another order.
    """

    run: Lowered
    why_not: Callable[[Plan, int, int], str]
    bits_of: str = ""


def _unless(reason: str, legal: Callable[[Plan, int, int], Any]) -> Callable[[Plan, int, int], str]:
    return lambda plan, channels, groups: "" if legal(plan, channels, groups) else reason


def _adds(plan: Plan) -> bool:
    return min(plan.left, plan.right) >= 0


def _joins(plan: Plan, _channels: int, _groups: int) -> bool:
    """A constant, or a mode that does not fold; something is added and nothing cut."""
    added = max(plan.left, plan.right)
    reaches = plan.is_constant or (plan.copies and plan.mode in REACH and added <= REACH[plan.mode](plan.length))
    return _adds(plan) and added > 0 and reaches


def _is_same(plan: Plan) -> bool:
    return plan.stride == 1 and is_zeros(plan) and (plan.left, plan.right) == split(plan.effective_kernel - 1, "right")


def _is_matrix(plan: Plan, _channels: int, groups: int) -> bool:
    return (plan.kernel_size, plan.stride, groups, plan.left, plan.right) == (1, 1, 1, 0, 0)


def _drops(plan: Plan, _channels: int, _groups: int) -> bool:
    return plan.left >= plan.right >= 0 and is_zeros(plan)


def _repeats(plan: Plan) -> bool:
    """Nothing but samples is added."""
    return plan.copies and min((*plan.left_sources, *plan.right_sources), default=0) >= 0


def _corrects(plan: Plan, _channels: int, _groups: int) -> bool:
    if not _adds(plan) or plan.left == plan.right == 0 or not _repeats(plan):
        return False
    return 0 < sum(_edge_counts(plan)) < plan.length_out


LOWERINGS = {
    "same": Lowering(same, _unless("pads are not those of torch's own 'same'", lambda p, _c, _g: _is_same(p)), "same"),
    "drop": Lowering(drop, _unless("pads are cut or no zeros, or the right one is larger", _drops), "drop"),
    "native": Lowering(native, _unless("pads are unequal or no zeros", lambda p, _c, _g: is_symmetric(p)), "native"),
    "pad_first": Lowering(pad_first, _unless("nothing is padded", lambda p, _c, _g: p.left or p.right), "pad_first"),
    "concatenate": Lowering(concatenate, _unless("pads fold, cut, are sums or absent", _joins), "pad_first"),
    "gather": Lowering(
        gather,
        _unless("pads are constants, sums or absent", lambda p, _c, _g: (p.left or p.right) and _repeats(p)),
        "pad_first",
    ),
    "overpad": Lowering(
        overpad,
        _unless("pads are equal, cut or no zeros", lambda p, _c, _g: _adds(p) and p.left != p.right and is_zeros(p)),
    ),
    "edges": Lowering(edges, _unless("pads are constants, sums, cut, absent or reach everywhere", _corrects)),
    "windows": Lowering(
        windows,
        _unless(
            "every channel is a group, or the kernel is a matrix", lambda p, c, g: (g == 1 or g < c) and not _is_matrix(p, c, g)
        ),
    ),
    "matmul": Lowering(
        matmul, _unless("the kernel, the stride or the groups are more than one, or something is padded", _is_matrix)
    ),
    "channels_last": Lowering(  # depthwise it never wins, and in bfloat16 torch 2.13 may not come back (8 channels, kernel 15)
        channels_last, _unless("every channel is a group of its own", lambda _p, c, g: g == 1 or g < c)
    ),
}


LENGTH_FREE = ("native", "pad_first", "matmul", "channels_last")  # read nothing of the plan that depends on the length


def is_zeros(plan: Plan) -> bool:
    """Return True when every added element is a positive zero."""
    return plan.is_constant and plan.value == 0 and not np.signbit(plan.value)


def is_symmetric(plan: Plan) -> bool:
    """Return True when torch's own convolution can add the pads by itself."""
    return plan.left == plan.right >= 0 and (is_zeros(plan) or plan.left == 0)

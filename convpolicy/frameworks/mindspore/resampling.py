"""What MindSpore's pooling and upsampling over one axis computes, as a `Description`."""

from __future__ import annotations

from typing import Any

from convpolicy.arithmetic import split
from convpolicy.models.description import Description


def one(size: Any) -> Any:
    """Return a size of one axis as a number; MindSpore has axes of length 1 before it."""
    return size[-1] if isinstance(size, (tuple, list)) else size


def pooling(
    name: str, kernel: Any, stride: Any, pads: tuple[int, int], *, ceil_mode: bool = False, count_padding: bool = False
) -> Description:
    """Return the description of a pooling over one axis."""
    settings = {
        "function": name,
        "kernel_size": one(kernel),
        "stride": one(stride if stride is not None else kernel),
        "padding": pads,
        "ceil_mode": bool(ceil_mode),
        "count_padding": bool(count_padding),
    }
    return Description("pooling", settings, axis=1)


def same(x: Any, kernel: int, stride: int) -> tuple[int, int]:
    """Return the pads of ``pad_mode='same'``, which depend on the length."""
    length = x.shape[-1]
    return split(max((-(-length // stride) - 1) * stride + kernel - length, 0), "right")


def max_pool(cell: Any, x: Any) -> Description | None:
    """Return what a MaxPool1d computes, whose settings are in its primitive."""
    kernel, stride, inside = one(cell.kernel_size), one(cell.stride), cell.max_pool.init_attrs
    if not cell.use_pad:
        pads = same(x, kernel, stride) if inside["pad_mode"].upper() == "SAME" else (0, 0)
        return pooling("max", kernel, stride, pads)
    if cell.return_indices or one(inside["dilation"]) != 1:
        return None
    return pooling("max", kernel, stride, (one(inside["pads"]),) * 2, ceil_mode=inside["ceil_mode"])


def average_pool(cell: Any, x: Any) -> Description:
    """Return what an AvgPool1d computes, whose settings are in its primitive."""
    kernel, stride, inside = one(cell.kernel_size), one(cell.stride), cell.avg_pool.init_attrs
    if inside["pad_mode"].upper() == "SAME":
        return pooling("average", kernel, stride, same(x, kernel, stride))
    pads = tuple(inside["pad"][-2:]) if inside["pad_mode"].upper() == "PAD" else (0, 0)
    more = {"ceil_mode": inside.get("ceil_mode", False), "count_padding": inside.get("count_include_pad", True)}
    return pooling("average", kernel, stride, pads, **more)


def mint_average_pool(cell: Any, _x: Any) -> Description:
    """Return what a ``mint.nn.AvgPool1d`` computes."""
    pads = (one(cell.padding),) * 2
    more = {"ceil_mode": cell.ceil_mode, "count_padding": cell.count_include_pad}
    return pooling("average", cell.kernel_size, cell.stride, pads, **more)


def global_pooling(name: str, x: Any, output_size: Any) -> Description | None:
    """Return the description of an adaptive pooling to one output for each channel."""
    return Description("global pooling", {"function": name}, axis=1) if one(output_size) == 1 and x.ndim == 3 else None


def upsampling(x: Any, mode: str, factor: Any, align_corners: Any) -> Description | None:
    """Return the description of an interpolation over one axis; None for one that is not supported."""
    if x.ndim != 3 or mode not in ("nearest", "linear") or not isinstance(one(factor), (int, float)):
        return None
    return Description("upsampling", {"function": mode, "factor": one(factor), "align_corners": bool(align_corners)}, axis=1)

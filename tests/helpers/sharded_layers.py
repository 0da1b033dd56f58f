"""Random layers of torch, cut over ranks, against the same layer on one machine. Runs inside each process of a group."""

from __future__ import annotations

import contextlib
import copy
import random

import torch
import torch.distributed as dist
from torch import nn

import convpolicy as cp
from convpolicy.frameworks.torch.shards.exchange import Exchange
from convpolicy.frameworks.torch.shards.layers import WORK

UNIT = 2.0**-53  # unit roundoff of float64
SAMPLE_BYTES = 2 * 4 * 8  # of 2 rows of 4 channels
SIDES = 2  # the ranks and the one machine each have one bound
LARGEST_COEFFICIENT = 64  # of a sample in an added element, for the modes whose elements are sums
CONSTANT, LEARNED = cp.Choice("constant", value=1.5), cp.Choice("constant", value=0.5, learned=True)
MODES = (
    CONSTANT,
    LEARNED,
    "zeros",
    "reflect",
    "symmetric",
    "replicate",
    "circular",
    "odd",
    "extrapolate",
    ("replicate", "zeros"),
)
SUMS = ("odd", "extrapolate")
RULES = ("valid", "same_upper", "same_lower", "causal", "full", (2, 3), (0, 9), (-1, 2))
CROPS = ((0, 0), (1, 2), (3, 0), (-1, -2))


def random_layer(choose):
    """Return a native layer of torch, or one of convpolicy, in float64, and whether the added elements are sums."""
    groups = choose.choice((1, 1, 2, 4))
    channels = (4, 4 * choose.choice((1, 2)))
    kernel = choose.choice((1, 2, 3, 4, 5, 7, 8, 11, 31))
    sizes = {"stride": choose.randint(1, 4), "dilation": choose.choice((1, 1, 2, 3)), "groups": groups}
    own = {**sizes, "bias": choose.random() < 0.8, "dtype": torch.float64}
    kind = choose.random()
    if kind < 0.2:
        mode = choose.choice(("zeros", "reflect", "replicate", "circular"))
        return nn.Conv1d(*channels, kernel, padding=choose.randint(0, 5), padding_mode=mode, **own), False
    if kind < 0.35:
        more = choose.randint(0, max(sizes["stride"], sizes["dilation"]) - 1)
        return nn.ConvTranspose1d(*channels, kernel, padding=choose.randint(0, kernel // 2), output_padding=more, **own), False
    own |= {"backend": "torch", "seed": 1, "dtype": "float64"}
    if kind < 0.5:
        mode = choose.choice(("zeros", "circular"))
        return cp.ConvTranspose1d(*channels, kernel, padding=choose.choice(CROPS), padding_mode=mode, **own), False
    mode = choose.choice(MODES)
    return cp.Conv1d(*channels, kernel, padding=choose.choice(RULES), padding_mode=mode, **own), mode in SUMS


def random_cuts(choose, length, ranks, order):
    """Return None for even cuts, or borders, some of them of empty shards."""
    if choose.random() < 0.4:
        return None
    chunks = ranks * (2 if order == "zigzag" else 1)
    return [0, *sorted(choose.randint(0, length) for _ in range(chunks - 1)), length]


@contextlib.contextmanager
def counted():
    """Count the bytes that this process receives and sends."""
    counts, original = {"irecv": 0, "isend": 0}, dist.batch_isend_irecv

    def count(operations):
        for each in operations:
            assert each.tensor.numel(), "a message has no samples"
            assert each.tensor.is_contiguous()
            counts[each.op.__name__] += each.tensor.numel() * each.tensor.element_size()
        return original(operations)

    dist.batch_isend_irecv = count
    try:
        yield counts
    finally:
        dist.batch_isend_irecv = original


def picked(data, ranges):
    """Return ranges of samples, end to end."""
    return torch.cat([data[..., first:end] for first, end in ranges], -1)


def ranges_of(cuts, rank):
    """Return the ranges of a rank."""
    return [cuts[rank]] if isinstance(cuts[rank][0], int) else list(cuts[rank])


def gradients(layer, data, upstream, unused=False):
    """Return the outputs, and the gradients of the input and the parameters, some of which may be unused."""
    data = data.detach().requires_grad_()
    outputs = layer(data)
    found = torch.autograd.grad((outputs * upstream).sum(), [data, *layer.parameters()], materialize_grads=unused)
    return [outputs.detach(), *found]


def magnitudes(layer, data, upstream):
    """Return the same for absolute values: the sums of the sizes of the products."""
    layer = copy.deepcopy(layer)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.abs_()
    return [each.abs() for each in gradients(layer, data.abs(), upstream.abs(), unused=True)]


class Failed(AssertionError):
    """A rank computes something else than one machine."""


def require_close(name, one, other, bound):
    """Compare two tensors."""
    if one.shape != other.shape:
        raise Failed(f"{name}: shape {tuple(one.shape)} instead of {tuple(other.shape)}")
    excess = ((one - other).abs() - bound).max().item() if one.numel() else 0.0
    if not excess <= 0:
        raise Failed(f"{name}: beyond the bound by {excess}")


def _one_short(data, exchange):
    for ranges in exchange._receives.values():
        data[..., ranges[-1][1] - 1] = 0


def _wrong_neighbour(data, exchange):
    for ranges in exchange._receives.values():
        for first, end in ranges:
            data[..., first:end] = data[..., first:end].roll(1, 0)  # samples of another row stand for those of another rank


def _phase_lost(data, exchange):
    data.copy_(data.roll(1, -1))


# what is wrong with the buffer after an exchange
FAULTS = {"one short": _one_short, "wrong neighbour": _wrong_neighbour, "stride phase lost": _phase_lost}


@contextlib.contextmanager
def broken(fault):
    """Make the exchanges of this process wrong."""
    original = Exchange.joined

    def joined(self, *arguments):
        buffer = original(self, *arguments)
        if buffer.shape[-1]:
            FAULTS[fault](buffer, self)
        return buffer

    if fault is not None:
        Exchange.joined = joined
    try:
        yield
    finally:
        Exchange.joined = original


def run_case(mesh, seed, fault=None):
    """Shard one random layer. Return False if the layer refuses the input, else True; raise `Failed` if a rank is wrong."""
    choose = random.Random(seed)
    layer, sums = random_layer(choose)
    ranks, rank, length = mesh.size(), mesh.get_coordinate()[0], choose.randint(1, 60)
    order = "zigzag" if choose.random() < 0.15 else "contiguous"
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    data = torch.randn(2, 4, length, generator=generator, dtype=torch.float64)
    try:
        outputs = layer(data)
    except (ValueError, RuntimeError):  # too short for the window or the mode
        return False
    upstream = torch.randn(outputs.shape, generator=generator, dtype=torch.float64)
    whole, sizes = gradients(layer, data, upstream, unused=True), magnitudes(layer, data, upstream)
    spec = cp.capture(layer).spec
    sharded = cp.shard(layer, mesh, length=length, parts=random_cuts(choose, length, ranks, order), order=order)
    mine, out = ranges_of(sharded.cuts(), rank), ranges_of(sharded.output_cuts(), rank)
    shard = None if ranks == 1 else vars(layer)[WORK].shard
    with counted() as counts, broken(fault):
        found = gradients(sharded, picked(data, mine), picked(upstream, out))
    names = [name for name, _parameter in layer.named_parameters()]
    totals = [each.clone() for each in found[2:]]
    for total in totals:  # before a comparison can fail on one rank alone
        dist.all_reduce(total, group=mesh.get_group())
    samples = 0 if shard is None else shard.received + shard.sent  # the gradients of what was sent come back
    if counts["irecv"] != samples * SAMPLE_BYTES:
        raise Failed(f"received {counts['irecv']} bytes instead of {samples * SAMPLE_BYTES}")
    terms = length * spec.kernel_size * max(spec.in_channels, spec.out_channels) + 1
    bound = SIDES * terms * UNIT / (1 - terms * UNIT) * (LARGEST_COEFFICIENT if sums else 1)
    require_close("outputs", found[0], picked(whole[0], out), bound * picked(sizes[0], out))
    require_close("input gradient", found[1], picked(whole[1], mine), bound * picked(sizes[1], mine))
    for name, total, expected, size in zip(names, totals, whole[2:], sizes[2:]):
        require_close(f"{name} gradient", total, expected, bound * size)
    return True

"""`shard`: a module runs on one long input that is cut over the ranks of a process group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from convpolicy.core.cuts import CONTIGUOUS
from convpolicy.errors import InvalidTypeError, shown
from convpolicy.layers.capture import backend_of


def shard(
    module: Any,
    mesh: Any,
    dim: int = -1,
    *,
    length: int,
    parts: Sequence[int] | None = None,
    order: str = CONTIGUOUS,
    documents: Sequence[int] | None = None,
    blocks: Mapping[str, int] | None = None,
    check: bool = True,
    overlap: bool = True,
) -> Any:
    """Shard a module along the length of its input: each rank of a mesh then takes and returns its part, as plain local tensors.

    Before each layer, a rank receives the samples that its outputs read and that it does not own. Outputs and gradients of the input
    equal those of the module on one machine. The gradients of weights are the sums over the rank's own outputs: add them up over the
    mesh. All ranks call the module, and all run the backward pass, also a rank without outputs.

    In Flax, ``module`` is one convolution, of nnx or with its variables as this package builds it in linen. ``mesh`` is a
    ``jax.sharding.Mesh`` with one axis, or a tuple ``(mesh, axis of the length, axis of the batch)``, in which the last one may be left
    out. ``dim`` is -2. The layer takes and returns global arrays (batch, length, channels) that are cut over the mesh;
    ``module.split(data)`` cuts the whole input and ``module.join(outputs)`` returns the whole output. The gradients of weights are those
    of all devices.

    Args:
        module: a ``torch.nn.Module``: one Conv1d or ConvTranspose1d, or a model of them with layers that compute each sample alone. It
            takes (batch, channels, length). It is changed: it gets another class and keeps its parameters and their names. A module
            that is already sharded is sharded anew.
        mesh: a ``torch.distributed.DeviceMesh`` with one dimension.
        dim: the axis of the length, the last one.
        length: length of the whole input in samples.
        parts: borders of the samples of the ranks, such as ``[0, 5, 9]``; see `Policy.shard`. None cuts as ``torch.chunk`` does.
        order, documents: see `Policy.shard`.
        blocks: paths of modules that compute each output from one block of samples, and the length of the block, such as
            ``{"pool": 2}``. A test on random data confirms it. Use it for modules that convpolicy does not know.
        check: True compares the inputs of the ranks at each call, by gathering 9 integers, so that a wrong input is an error on every rank.
        overlap: True computes the outputs that need no other rank while samples are on their way. False allows second derivatives.

    Returns:
        The module. ``module.cuts(length)`` and ``module.output_cuts(length)`` return the range (first, end) of each rank.

    Raises:
        InvalidTypeError, InvalidValueError: an argument is not allowed, differs between ranks, or a part of the model mixes samples in a
            way that convpolicy does not know. Every rank raises an error. The message contains the path of the part.
    """
    backend = backend_of(module)
    if backend is None or backend.sharded is None:
        raise InvalidTypeError(
            f"module must be one of a framework that shards, torch or Flax, got {shown(module)}; pass a torch.nn.Module or an nnx.Conv."
        )
    return backend.sharded(
        module,
        mesh,
        dim,
        length=length,
        parts=parts,
        order=order,
        documents=documents,
        blocks=blocks,
        check=check,
        overlap=overlap,
    )

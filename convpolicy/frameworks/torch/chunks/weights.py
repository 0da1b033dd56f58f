"""The weight that the next call of a layer uses, also with weight normalization. Without gradients it is computed once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.parametrizations import _WeightNorm
from torch.nn.utils.weight_norm import WeightNorm

from convpolicy.frameworks.torch.capture import REWRITING_HOOKS

ORIGINALS = {"_g", "_v"}  # ends of the names of the parameters from which torch.nn.utils.weight_norm computes another


class Weights:
    """Weight and bias of a layer.

    A weight that is normalized is kept while no gradient is needed. It is computed anew if its original parameters are other tensors,
    have other memory or were changed in place. A change through ``.data`` is not seen, as torch does not count it.

    Args:
        layer: a convolution of torch.
    """

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        self._kept: dict[str, tuple[tuple[Any, ...], Tensor]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return what is copied and pickled: not the kept weights."""
        return {"_layer": self._layer, "_kept": {}}

    def get(self, name: str) -> Any:
        """Return the weight or the bias.

        Args:
            name: ``"weight"`` or ``"bias"``.
        """
        try:
            return self._layer._parameters[name]  # a parameter that is computed from others is not in this dictionary
        except KeyError:
            pass
        if torch.compiler.is_compiling():
            return self._computed(name)
        originals = list(self._originals(name))
        if not originals or (torch.is_grad_enabled() and any(each.requires_grad for each in originals)):
            return self._computed(name)
        if any(each.is_inference() for each in originals):
            return self._computed(name)
        # the tensors themselves are kept, so that no other tensor gets the id of one
        place = tuple((each, each.data_ptr(), each._version, each.dtype) for each in originals)
        kept = self._kept.get(name)
        if kept is None or not _equal(kept[0], place):
            with torch.inference_mode(False), torch.no_grad():  # so that a later call with gradients can use it
                kept = self._kept[name] = (place, self._computed(name))
        return kept[1]

    def _originals(self, name: str) -> Iterator[Tensor]:
        """Yield the parameters from which weight normalization computes a parameter; none for another computation."""
        layer = self._layer
        if name in (layer._modules.get("parametrizations") or ()):
            parametrized = layer.parametrizations[name]
            if all(type(part) is _WeightNorm for part in parametrized):
                yield from parametrized._parameters.values()
        elif any(isinstance(hook, WeightNorm) and hook.name == name for hook in layer._forward_pre_hooks.values()):
            yield from (layer._parameters[name + end] for end in sorted(ORIGINALS))

    def _computed(self, name: str) -> Any:
        layer: Any = self._layer
        for hook in layer._forward_pre_hooks.values():
            rewrite: Any = next((rewrite for kind, rewrite in REWRITING_HOOKS.items() if isinstance(hook, kind)), None)
            if rewrite is not None and (getattr(hook, "name", None) or hook._tensor_name) == name:
                return rewrite(hook, layer)
        return getattr(layer, name)


def _equal(kept: tuple[Any, ...], place: tuple[Any, ...]) -> bool:
    return len(kept) == len(place) and all(old[0] is new[0] and old[1:] == new[1:] for old, new in zip(kept, place))

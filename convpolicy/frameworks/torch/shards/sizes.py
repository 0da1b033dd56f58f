"""Answers of conditions on sizes in a forward method, such as ``if padding > 0``, from tensors without data."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import torch
from torch import Tensor, fx, nn

from convpolicy.core.cuts import Cuts
from convpolicy.core.ranges import count
from convpolicy.core.sharding import Layer
from convpolicy.frameworks.torch.chunks.values import attribute, substituted

Cut = tuple[Cuts, Any]  # cuts of a tensor, and the borders of its documents
MOST_CHANNELS = 8  # numbers of channels of the input that are tried


@attrs.frozen(eq=False)
class Sizes:
    """Sizes of the tensors in a graph, for the whole input and for the part of one rank.

    Args:
        whole: the module that was traced.
        cut: cuts of the input.
        rank: the rank.
        layer_of: function that returns the layer of a module whose input is cut in a way and has a number of channels, or None for
            another module.
        blocks: for modules, the number of samples from which each of their outputs is computed.
    """

    whole: nn.Module
    cut: Cut
    rank: int
    layer_of: Callable[[nn.Module, Cut, int], Layer | None]
    blocks: Mapping[nn.Module, int]

    def decide(self, node: fx.Node) -> bool:
        """Return the answer of a condition.

        Raises:
            ValueError: it reads values, or the part of this rank has another answer than the whole. The message is a reason.
        """
        found = [getattr(each, "in_channels", None) for each in self.whole.modules()]
        failure: Exception | None = None
        for channels in list(dict.fromkeys(each for each in found if isinstance(each, int)))[:MOST_CHANNELS] or [1]:
            try:
                answers = {bool(self._run(node, channels, rank)) for rank in (None, self.rank)}
            except Exception as error:
                failure = failure or error
                continue
            if len(answers) > 1:
                raise ValueError("a condition on sizes has another answer for the part of a rank than for the whole input")
            return answers.pop()
        raise ValueError(f"the answer of a condition depends on more than sizes ({failure})")

    def _run(self, node: fx.Node, channels: int, rank: int | None) -> Any:
        needed, pending = set(), [node]
        while pending:
            each = pending.pop()
            if each not in needed:
                needed.add(each)
                pending += each.all_input_nodes
        values: dict[fx.Node, Any] = {}
        cuts: dict[fx.Node, Cut] = {}
        for each in node.graph.nodes:
            if each in needed:
                came = next((cuts[source] for source in each.all_input_nodes if source in cuts), self.cut)
                values[each], cuts[each] = self._value(each, values, came, channels, rank)
        return values[node]

    def _value(self, node: fx.Node, values: Mapping[fx.Node, Any], cut: Cut, channels: int, rank: int | None) -> tuple[Any, Cut]:
        if node.op == "placeholder":
            return torch.empty(1, channels, _samples(cut[0], rank), device="meta"), cut
        if node.op == "get_attr":
            value = attribute(self.whole, str(node.target))
            return (value.to("meta") if isinstance(value, Tensor) else value), cut
        positional, keywords = (substituted(each, values.__getitem__) for each in (node.args, node.kwargs))
        if node.op == "call_module":
            module = self.whole.get_submodule(str(node.target))
            return self._called(module, positional, keywords, cut, rank)
        function = getattr(type(positional[0]), str(node.target)) if node.op == "call_method" else node.target
        return function(*positional, **keywords), cut  # type: ignore[operator]

    def _called(self, module: nn.Module, positional: Any, keywords: Any, cut: Cut, rank: int | None) -> tuple[Any, Cut]:
        if module in self.blocks:
            raise ValueError("it comes after blocks")
        data = positional[0]
        layer = self.layer_of(module, cut, data.shape[1])
        if layer is None:
            return copy.deepcopy(module).to("meta")(*positional, **keywords), cut
        if data.shape[1] != layer.spec.in_channels:
            raise ValueError(f"it has {data.shape[1]} channels instead of {layer.spec.in_channels}")
        output = cut[0].mapped(layer.output_cut)
        borders = None if cut[1] is None else (*(each.first_output for each in layer.documents), output.borders[-1])
        return data.new_empty(data.shape[0], layer.spec.out_channels, _samples(output, rank)), (output, borders)


def _samples(cuts: Cuts, rank: int | None) -> int:
    return cuts.borders[-1] if rank is None else count(cuts.by_rank()[rank])

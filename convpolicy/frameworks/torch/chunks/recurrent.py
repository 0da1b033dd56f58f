"""Streaming forms of recurrent layers that read the past alone."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

HIDDEN, CELL = "hidden", "cell"


class Recurrent:
    """A unidirectional ``torch.nn.LSTM``, ``torch.nn.GRU`` or ``torch.nn.RNN``.

    The arrays of the state are (batch, layers, features): ``hidden``, and ``cell`` of an LSTM.

    Args:
        layer: the layer.

    Raises:
        ValueError: it reads the input from the end, or changes its outputs by chance.
    """

    def __init__(self, layer: nn.RNNBase) -> None:
        if layer.bidirectional:
            raise ValueError("it is bidirectional and reads the input from the end")
        if layer.training and layer.dropout and layer.num_layers > 1:
            raise ValueError("it is in training mode and has a dropout")
        self._layer = layer
        self.axes = ("batch", "time", "channels") if layer.batch_first else ("time", "batch", "channels")
        self._sizes = {HIDDEN: layer.proj_size or layer.hidden_size}
        if isinstance(layer, nn.LSTM):
            self._sizes[CELL] = layer.hidden_size

    def initial(self, batch: int) -> dict[str, Tensor]:
        """Return zeros."""
        parameter = next(self._layer.parameters())
        return {
            name: torch.zeros(batch, self._layer.num_layers, size, dtype=parameter.dtype, device=parameter.device)
            for name, size in self._sizes.items()
        }

    def step(self, chunk: Tensor, state: Mapping[str, Tensor]) -> tuple[tuple[Tensor, None], dict[str, Tensor]]:
        """Return the outputs of a chunk, in place of the last states None, and the next state."""
        if not chunk.shape[self.axes.index("time")]:  # torch refuses an empty sequence
            return self.end(state, chunk), dict(state)
        before = [state[name].transpose(0, 1).contiguous() for name in self._sizes]
        outputs, after = self._layer(chunk, tuple(before) if len(before) > 1 else before[0])
        arrays = after if len(before) > 1 else (after,)
        return (outputs, None), {name: array.transpose(0, 1).contiguous() for name, array in zip(self._sizes, arrays)}

    def end(self, state: Mapping[str, Tensor], like: Tensor | None = None) -> tuple[Tensor, None]:
        """Return no outputs."""
        hidden = state[HIDDEN] if like is None else like
        sizes = {"batch": state[HIDDEN].shape[0], "time": 0, "channels": self._sizes[HIDDEN]}
        return hidden.new_zeros([sizes[axis] for axis in self.axes]), None

"""Features of torch, each a function that uses one layer as torch's users do, and the kinds of layers that they are tried on."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple
from unittest import mock

import torch

import convpolicy as cp
from convpolicy.frameworks.torch.execution import processor

CHANNELS, OUTPUTS = 4, 6
LEARNED = [0.5, -1.0, 2.0, 0.0]  # one constant per channel, from which the learned ones start
MEASURED = processor.Processor(processor.INTEL, "AVX512")
REFUSED = "refused: "


class Kind(NamedTuple):
    """A kind of layer: sizes and options beyond (4, 6)."""

    name: str
    kernel_size: int
    options: dict[str, Any]

    def layer(self, **more: Any) -> Any:
        """A seeded layer in eval mode, so that fused and quantised ones may be compared with it."""
        return self.unseeded(**{"seed": 0, **more}).eval()

    def unseeded(self, **more: Any) -> Any:
        """A layer as a user builds it."""
        with mock.patch.object(processor, "current", lambda: MEASURED):  # fast layers are the same on every machine
            return cp.Conv1d(CHANNELS, OUTPUTS, self.kernel_size, **{**self.options, **more}, backend="torch")

    @property
    def has_own_class(self) -> bool:
        """Whether the class is not torch.nn.Conv1d itself."""
        return type(self.layer()) is not torch.nn.Conv1d


def data(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Random numbers, (2, 4, 20) unless said."""
    return torch.randn(shape or (2, CHANNELS, 20), generator=torch.Generator().manual_seed(seed), dtype=dtype)


KINDS = {
    kind.name: kind
    for kind in (
        Kind("exact", 3, {"padding": 1}),
        Kind("fast", 3, {"padding": 2, "dilation": 2, "execution": "fast"}),
        Kind("reflect", 3, {"padding": 1, "padding_mode": "reflect"}),
        Kind("fast reflect", 3, {"padding": 1, "padding_mode": "reflect", "execution": "fast"}),
        Kind("Keras's initial values", 3, {"policy": "keras"}),
        Kind("causal", 3, {"padding": "causal"}),
        Kind("replicate (2, 1)", 4, {"padding": (2, 1), "padding_mode": "replicate"}),
        Kind("same_upper, stride 2", 4, {"policy": "mindspore", "stride": 2, "bias": True}),
        Kind("EnCodec", 4, {"padding": "encodec", "padding_mode": cp.Choice("reflect", overflow="zero-extend"), "stride": 2}),
        Kind("chomp", 3, {"padding": "chomp"}),
        Kind("odd (2, 1)", 4, {"padding": (2, 1), "padding_mode": "odd"}),
        Kind("learned constants", 3, {"padding": (2, 1), "padding_mode": cp.Choice("constant", value=LEARNED, learned=True)}),
    )
}
FEATURES: dict[str, dict[str, Callable[[Kind], None]]] = {}


def feature(group: str, name: str) -> Callable[[Callable[[Kind], None]], Callable[[Kind], None]]:
    """Register a function under its group and name; it raises where a layer does not do what torch's own layer does."""

    def register(function: Callable[[Kind], None]) -> Callable[[Kind], None]:
        FEATURES.setdefault(group, {})[name] = function
        return function

    return register


def close(a: Any, b: Any, tolerance: float = 1e-5) -> None:
    """Require equal shapes and numbers that differ by rounding."""
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def outcome(function: Callable[[Kind], None], kind: Kind) -> str:
    """``"yes"``, or what a refusal says in its one sentence; any other error is raised."""
    state = torch.get_rng_state()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            function(kind)
    except cp.ConvPolicyError as error:
        assert len(str(error).splitlines()) == 1, error
        return REFUSED + str(error)
    finally:
        torch.set_rng_state(state)
    return "yes"


for _module in ("values", "derivatives", "weights", "graphs", "quantisation"):
    importlib.import_module(f"helpers.torch_tools.{_module}")

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
AMD = processor.Processor(processor.AMD, "AVX2")  # the processor of the rules for transposed layers
REFUSED = "refused: "


class Kind(NamedTuple):
    """A kind of layer: sizes and options beyond (4, 6)."""

    name: str
    kernel_size: int
    options: dict[str, Any]
    transposed: bool = False

    @property
    def factory(self) -> Callable[..., Any]:
        """The function that builds it."""
        return cp.ConvTranspose1d if self.transposed else cp.Conv1d

    @property
    def native(self) -> type[torch.nn.Module]:
        """Torch's own class."""
        return torch.nn.ConvTranspose1d if self.transposed else torch.nn.Conv1d

    @property
    def crops(self) -> bool:
        """Whether something is between its convolution and its output."""
        return self.name == "chomp" or (self.transposed and hasattr(self.layer(), "_crops"))

    def layer(self, **more: Any) -> Any:
        """A seeded layer in eval mode, so that fused and quantised ones may be compared with it."""
        return self.unseeded(**{"seed": 0, **more}).eval()

    def unseeded(self, **more: Any) -> Any:
        """A layer as a user builds it."""
        measured = AMD if self.transposed else MEASURED
        with mock.patch.object(processor, "current", lambda: measured):  # fast layers are the same on every machine
            return self.factory(CHANNELS, OUTPUTS, self.kernel_size, **{**self.options, **more}, backend="torch")

    @property
    def has_own_class(self) -> bool:
        """Whether the class is not torch's own."""
        return type(self.layer()) is not self.native


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
TRANSPOSED = {
    kind.name: kind
    for kind in (
        Kind("exact, transposed", 4, {"stride": 2, "padding": 1}, True),
        Kind("fast, transposed", 4, {"stride": 2, "padding": 1, "execution": "fast"}, True),
        Kind("own initial values, transposed", 3, {"stride": 2, "weight_init": "xavier_normal", "output_padding": 1}, True),
        Kind("kernel below stride", 2, {"stride": 3, "padding": "same_upper"}, True),
        Kind("causal, transposed", 4, {"stride": 2, "padding": "causal"}, True),
        Kind("fast causal, transposed", 4, {"stride": 2, "padding": "causal", "execution": "fast"}, True),
        Kind("cut (1, 3)", 4, {"stride": 2, "padding": (1, 3)}, True),
        Kind("zeros on the left", 3, {"stride": 2, "padding": (-3, 1)}, True),
        Kind("circular, transposed", 4, {"stride": 2, "padding": 1, "padding_mode": "circular"}, True),
    )
}
FEATURES: dict[str, dict[str, Callable[[Kind], None]]] = {}
LACKING: set[tuple[str, str]] = set()  # group and name of what torch's own transposed convolution does not have


def feature(group: str, name: str, *, transposed: bool = True) -> Callable[[Callable[[Kind], None]], Callable[[Kind], None]]:
    """Register a function under its group and name; it raises where a layer does not do what torch's own layer does.

    ``transposed`` is False for what torch's own transposed convolution does not have.
    """

    def register(function: Callable[[Kind], None]) -> Callable[[Kind], None]:
        FEATURES.setdefault(group, {})[name] = function
        if not transposed:
            LACKING.add((group, name))
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

"""Transposed layers under torch.compile, torch.export, ONNX and TorchScript, at lengths other than the traced one."""

from __future__ import annotations

import onnxruntime
import pytest
import torch
from torch import nn

import convpolicy as cp

pytestmark = [pytest.mark.needs("onnx", "onnxruntime", "onnxscript"), pytest.mark.filterwarnings("ignore")]
LENGTHS = (1, 2, 8, 16, 31)


class ByLength:
    """A plugin with crop rules that depend on the length: one cuts, as Paddle's 'same', and one also appends."""

    @staticmethod
    @cp.hookimpl
    def convpolicy_crop_rules():
        """Return the rules."""

        def cuts(kernel, stride, dilation, length):
            total = (length + stride - 1) // stride * stride - stride + (kernel - 1) * dilation + 1 - length
            total = total * (total > 0) if isinstance(total, int) else torch.sym_max(total, 0)
            return total // 2, total - total // 2

        def appends(kernel, stride, dilation, length):
            return length % 4 - 3, 3 - length % 4

        return [cp.CropRule("forward-same", cuts, needs_length=True), cp.CropRule("appends", appends, needs_length=True)]


@pytest.fixture(autouse=True, scope="module")
def by_length():
    """Register the plugin."""
    cp.register(ByLength, "by-length")
    yield
    cp.unregister("by-length")


LAYERS = {
    "native": {"padding": 1},
    "causal": {"padding": "causal"},
    "fast causal": {"padding": "causal", "execution": "fast"},
    "cut and appended": {"padding": (1, -6)},
    "appended left": {"padding": (-3, 2)},
    "by length": {"padding": "forward-same"},
    "appends by length": {"padding": "appends"},
    "circular": {"padding": 1, "padding_mode": "circular"},
    "circular, wide": {"padding": (-2, 3), "padding_mode": "circular", "dilation": 3},
    "groups": {"padding": (0, 2), "groups": 2},
}
layers = pytest.mark.parametrize("options", LAYERS.values(), ids=LAYERS)


def built(options):
    """A seeded layer of 4 → 6 channels, kernel 4, stride 2."""
    return cp.ConvTranspose1d(4, 6, 4, 2, backend="torch", seed=0, **options).eval()


def random(length):
    """Random input."""
    return torch.randn(2, 4, length, generator=torch.Generator().manual_seed(length))


@layers
def test_exported_and_compiled_for_every_length(options):
    """One exported program and one compiled graph, traced at one length, give the layer's bits at others."""
    layer, graphs = built(options), []
    dims = ({0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(layer, (random(20),), dynamic_shapes=dims).module()
    torch.compiler.reset()

    def backend(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend=backend)
    for length in range(5, 40):  # a length of 4 is that of the channels, which torch compiles again
        assert torch.equal(program(random(length)), layer(random(length))), length
        assert torch.equal(compiled(random(length)), layer(random(length))), length
    assert len(graphs) == 1
    torch.compiler.reset()


@pytest.mark.grid(every=3)
@layers
def test_onnx(options):
    """onnxruntime gives the layer's output within rounding at every length."""
    layer, dims = built(options), ({2: torch.export.Dim("length", min=2, max=99)},)
    model = torch.onnx.export(layer, (random(20),), dynamo=True, dynamic_shapes=dims, verbose=False).model_proto
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    assert entry.shape[2] == "length"
    for length in LENGTHS[1:]:
        (output,) = session.run(None, {entry.name: random(length).numpy()})
        torch.testing.assert_close(torch.from_numpy(output), layer(random(length)).detach(), rtol=1e-5, atol=1e-5)


@layers
def test_traced_by_torchscript(options):
    """A trace has the layer's output at its own length; where nothing depends on the length, at others too."""
    layer = built(options)
    trace = torch.jit.trace(layer, random(20), check_trace=False)
    depends = "length" in str(options.get("padding")) or options.get("padding") in ("forward-same", "appends")
    for length in (20, *(() if depends else LENGTHS)):
        torch.testing.assert_close(trace(random(length)), layer(random(length)))


def test_output_size_of_a_compiled_layer():
    """The symbolic size gives the eager layer's bits, for a subclass and for torch's own class."""
    for padding in ((1, 3), 1):
        layer = cp.ConvTranspose1d(4, 6, 7, 3, padding, backend="torch", seed=0)
        torch.compiler.reset()
        compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend="eager")
        for length, more in ((5, 0), (9, 1), (12, 2)):
            size = layer(random(length)).shape[-1] + more
            found = compiled(random(length), output_size=[size])
            assert torch.equal(found, layer(random(length), output_size=[size]))
    torch.compiler.reset()


@pytest.mark.parametrize("dynamic", [False, True])
def test_output_size_of_a_compiled_layer_whose_rule_moves_both_cuts(dynamic):
    """Each output length has cuts of its own, which the compiled layer makes too."""
    layer = cp.ConvTranspose1d(4, 6, 6, 3, "keras_same", backend="torch", seed=0)
    torch.compiler.reset()
    compiled = torch.compile(layer, fullgraph=True, dynamic=dynamic, backend="eager")
    sizes = range(15, 18)
    for size in sizes:
        assert torch.equal(compiled(random(6), output_size=[size]), layer(random(6), output_size=[size]))
    torch.compiler.reset()


def test_fx_says_what_it_cannot_trace():
    """An output_size under torch.fx is refused in one sentence; a model that calls the layer without one is traced."""
    layer = built({"padding": (0, 2)})

    class Sized(nn.Module):
        def __init__(self):
            super().__init__()
            self.up = layer

        def forward(self, x):
            return self.up(x, output_size=[16])

    with pytest.raises(cp.ConvPolicyError, match=r"output_size must be left out under torch\.fx"):
        torch.fx.symbolic_trace(Sized())
    traced = torch.fx.symbolic_trace(nn.Sequential(layer))
    assert torch.equal(traced(random(9)), layer(random(9)))

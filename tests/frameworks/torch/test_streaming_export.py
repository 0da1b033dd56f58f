"""Steps of streams as programs of torch.compile, torch.export and ONNX, whose state is an input and an output."""

from __future__ import annotations

import pytest
import torch
import torch._dynamo.testing
from torch import nn
from torch.export import Dim

import convpolicy as cp

pytestmark = pytest.mark.usefixtures("one_thread")
BOUND = 1e-5  # float32, sums of at most 40 products of about 1, computed in two orders
LAYERS = {
    "causal": lambda: cp.Conv1d(4, 6, 7, padding="causal", backend="torch"),
    "strided": lambda: cp.Conv1d(4, 6, 7, 3, padding="causal", backend="torch"),
    "transposed": lambda: cp.ConvTranspose1d(4, 6, 7, 2, padding="causal", policy="torch", backend="torch"),
    "reflect": lambda: nn.Conv1d(4, 6, 7, padding=3, padding_mode="reflect"),
    "replicate": lambda: nn.Conv1d(4, 6, 7, padding=3, padding_mode="replicate"),
}
STARTS = {"reflect": 2, "replicate": 2}  # graphs for lengths of 2 or more: the first step computes the padding at the start


class Residual(nn.Module):
    """A model with a delay in one of its branches."""

    def __init__(self):
        super().__init__()
        self.conv, self.last = nn.Conv1d(4, 4, 3, padding=1), nn.Conv1d(4, 6, 1)

    def forward(self, x):
        return self.last(x + torch.tanh(self.conv(x)))


class Step(nn.Module):
    """A step as a module."""

    def __init__(self, model):
        super().__init__()
        self.model, self.streaming = model, cp.streaming(model)

    def forward(self, chunk, state):
        return self.streaming.step(chunk, state)


@pytest.mark.parametrize("name", LAYERS)
def test_a_compiled_step_is_one_graph_for_chunks_of_any_length(name):
    """With dynamic=True; torch itself treats a length of 1 and of 0 as constants, which makes one more graph each."""
    torch._dynamo.reset()
    streaming, counter = cp.streaming(LAYERS[name]()), torch._dynamo.testing.CompileCounter()
    step = torch.compile(streaming.step, backend=counter, dynamic=True, fullgraph=True)
    state, graphs = streaming.initial_state(2), STARTS.get(name, 1)
    with torch.no_grad():
        for lengths, more in (((16, 20, 7, 33, 5, 9, 3, 12, 2), 0), ((1, 8, 1), 1), ((0, 4, 1, 0), 2)):
            for samples in lengths:
                chunk = torch.randn(2, 4, samples)
                expected = streaming.step(chunk, state)
                output, state = step(chunk, state)
                torch.testing.assert_close((output, state), expected)
            assert counter.frame_count == graphs + more


@pytest.mark.needs("onnx", "onnxruntime", "onnxscript")
@pytest.mark.filterwarnings("ignore")  # the exporter warns about itself
@pytest.mark.parametrize("build", [LAYERS["strided"], LAYERS["reflect"], LAYERS["transposed"], Residual])
def test_exported_programs(build):
    """torch.export and ONNX, with a dynamic batch and length, run chunk after chunk; the outputs are those of the whole."""
    import onnxruntime

    torch.manual_seed(0)
    step = Step(build()).eval()
    streaming, begun = step.streaming, torch.randn(3, 4, 24)
    chunks = [torch.randn(3, 4, length) for length in (9, 6, 30)]
    with torch.no_grad():
        first, state = streaming.step(begun, streaming.initial_state(3))
        dynamic = {name: {0: Dim.DYNAMIC} | ({2: Dim.AUTO} if array.dim() == 3 else {}) for name, array in state.items()}
        shapes = ({0: Dim.DYNAMIC, 2: Dim.DYNAMIC}, dynamic)
        examples = (torch.randn(2, 4, 12), {name: array[:2] for name, array in state.items()})
        program = torch.export.export(step, examples, dynamic_shapes=shapes, strict=False)
        names = [f"{kind}.{name}" for kind in ("state", "next") for name in state]
        before, after = names[: len(state)], names[len(state) :]
        model = torch.onnx.export(program, input_names=["chunk", *before], output_names=["output", *after], verbose=False)
        session = onnxruntime.InferenceSession(model.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
        assert [each.name for each in session.get_inputs()] == ["chunk", *before]
        exported, ours, arrays = program.module(), [first], {name: array.numpy() for name, array in zip(before, state.values())}
        for chunk in chunks:
            output, *new = session.run(None, {"chunk": chunk.numpy()} | arrays)
            arrays = dict(zip(before, new))
            expected, state = exported(chunk, state)
            ours.append(torch.from_numpy(output))
            assert (ours[-1] - expected).abs().max() <= BOUND
        ours.append(streaming.flush({name.removeprefix("state."): torch.from_numpy(array) for name, array in arrays.items()}))
        whole = step.model(torch.cat([begun, *chunks], -1))
        joined = torch.cat(ours, -1)
        assert joined.shape == whole.shape
        assert (joined - whole).abs().max() <= BOUND

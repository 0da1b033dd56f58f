"""torch.fx, torch.export, torch.compile, ONNX, TorchScript."""

from __future__ import annotations

import io

import onnxruntime
import torch
from torch import nn
from torch.ao.quantization.quantize_fx import fuse_fx
from torch.export import Dim, export

from . import CHANNELS, Kind, close, data, feature
from .weights import normalisation

FX, EXPORT, COMPILE, SCRIPT = "torch.fx", "torch.export and ONNX", "torch.compile", "TorchScript (deprecated by torch)"
LENGTHS = (16, 17, 33)


def at_lengths(function, layer: nn.Module, tolerance: float = 0) -> None:
    """Require the layer's outputs at lengths other than the traced one."""
    for length in LENGTHS:
        x = data(2, CHANNELS, length)
        close(function(x), layer(x), tolerance)


@feature(FX, "symbolic_trace")
def traced(kind: Kind) -> None:
    layer = kind.layer()
    at_lengths(torch.fx.symbolic_trace(nn.Sequential(layer, nn.Identity())), layer, 1e-5)
    at_lengths(torch.fx.symbolic_trace(layer, {"output_size": None} if kind.transposed else None), layer, 1e-5)


@feature(FX, "the graph calls a layer of torch's own class")
def leaf(kind: Kind) -> None:
    graph = torch.fx.symbolic_trace(nn.Sequential(kind.layer(), nn.ReLU()))
    modules = dict(graph.named_modules())
    kinds = [type(modules[node.target]) for node in graph.graph.nodes if node.op == "call_module"]
    assert kinds.count(kind.native) == 1


@feature(FX, "a traced model trains the layer's own parameters")
def trained(kind: Kind) -> None:
    layer = kind.layer()
    torch.fx.symbolic_trace(nn.Sequential(layer))(data()).sum().backward()
    assert layer.weight.grad.abs().sum() > 0


@feature(FX, "fuse_fx (convolution, normalisation)")
def fused(kind: Kind) -> None:
    model = nn.Sequential(kind.layer(), normalisation()).eval()
    graph = fuse_fx(model)
    is_left = any(isinstance(module, nn.BatchNorm1d) for module in graph.modules())
    assert is_left == kind.crops  # it cuts between the two
    close(graph(data()), model(data()))


@feature(FX, "make_fx")
def made(kind: Kind) -> None:
    from torch.fx.experimental.proxy_tensor import make_fx

    close(make_fx(kind.layer())(data())(data(seed=2)), kind.layer()(data(seed=2)))


def exported(kind: Kind, dims, **more) -> torch.export.ExportedProgram:
    return export(kind.layer(), (data(),), dynamic_shapes=({2: dims},) if dims is not None else None, **more)


@feature(EXPORT, "torch.export, one length")
def one_length(kind: Kind) -> None:
    close(exported(kind, None).module()(data(seed=2)), kind.layer()(data(seed=2)), 0)


@feature(EXPORT, "torch.export, Dim.DYNAMIC")
def dynamic(kind: Kind) -> None:
    at_lengths(exported(kind, Dim.DYNAMIC).module(), kind.layer())


@feature(EXPORT, "torch.export, a named Dim")
def named(kind: Kind) -> None:
    at_lengths(exported(kind, Dim("length", min=8, max=4096)).module(), kind.layer())


@feature(EXPORT, "torch.export, a named Dim, strict")
def strict(kind: Kind) -> None:
    at_lengths(exported(kind, Dim("length", min=8, max=4096), strict=True).module(), kind.layer())


@feature(EXPORT, "torch.export.save and load")
def stored(kind: Kind) -> None:
    file = io.BytesIO()
    torch.export.save(exported(kind, None), file)
    file.seek(0)
    close(torch.export.load(file).module()(data()), kind.layer()(data()), 0)


@feature(EXPORT, "the exported graph contains one convolution of ATen")
def aten(kind: Kind) -> None:
    targets = [node.target for node in exported(kind, None).graph.nodes]
    operator = torch.ops.aten.conv_transpose1d.default if kind.transposed else torch.ops.aten.conv1d.default
    assert targets.count(operator) == 1


@feature(EXPORT, "torch.onnx.export with a dynamic length")
def onnx(kind: Kind) -> None:
    program = torch.onnx.export(
        kind.layer(), (data(),), dynamo=True, dynamic_shapes=({2: Dim("length", min=8, max=4096)},), verbose=False
    )
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    at_lengths(lambda x: torch.from_numpy(session.run(None, {name: x.numpy()})[0]), kind.layer().requires_grad_(False), 1e-5)


@feature(COMPILE, "torch.compile(fullgraph=True), forward and backward")
def compiled(kind: Kind) -> None:
    torch.compiler.reset()
    layer, results = kind.layer(), []
    for function in (layer, torch.compile(layer, fullgraph=True, backend="aot_eager")):
        x = data().requires_grad_()
        function(x).square().sum().backward()
        results.append(x.grad)
    close(*results, 1e-4)


@feature(COMPILE, "torch.compile(dynamic=True), one graph for every length")
def compiled_dynamic(kind: Kind) -> None:
    torch.compiler.reset()
    layer, graphs = kind.layer(), []

    def backend(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    at_lengths(torch.compile(layer, fullgraph=True, dynamic=True, backend=backend), layer, 1e-5)
    assert len(graphs) == 1


@feature(COMPILE, "nn.Module.compile")
def compiled_in_place(kind: Kind) -> None:
    torch.compiler.reset()
    layer = kind.layer()
    layer.compile(backend="eager")
    close(layer(data()), kind.layer()(data()))


@feature(SCRIPT, "torch.jit.trace, one length")
def jit_traced(kind: Kind) -> None:
    close(torch.jit.trace(kind.layer(), data(), check_trace=False)(data(seed=2)), kind.layer()(data(seed=2)))


@feature(SCRIPT, "torch.jit.freeze, optimize_for_inference of a trace")
def frozen(kind: Kind) -> None:
    frozen = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(kind.layer(), data(), check_trace=False)))
    with torch.no_grad():
        close(frozen(data(seed=2)), kind.layer()(data(seed=2)))


@feature(SCRIPT, "torch.jit.script")
def scripted(kind: Kind) -> None:
    at_lengths(torch.jit.script(nn.Sequential(kind.layer(), nn.Identity())), kind.layer(), 1e-5)

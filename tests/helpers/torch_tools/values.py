"""Building, dtypes, devices, state and calls."""

from __future__ import annotations

import copy
import io
import pickle

import torch
from torch import nn

import convpolicy as cp

from . import CHANNELS, OUTPUTS, Kind, close, data, feature

BUILD, STATE, CALL = "Building", "State", "Calling"


@feature(BUILD, "dtype=None")
def dtype_none(kind: Kind) -> None:
    assert kind.layer(dtype=None).weight.dtype == torch.float32


@feature(BUILD, "dtype=torch.float64")
def dtype_object(kind: Kind) -> None:
    assert kind.layer(dtype=torch.float64)(data(dtype=torch.float64)).dtype == torch.float64


@feature(BUILD, "torch.set_default_dtype")
def default_dtype(kind: Kind) -> None:
    torch.set_default_dtype(torch.float64)
    try:
        assert kind.layer().weight.dtype == kind.unseeded().weight.dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


@feature(BUILD, "dtype=torch.complex64")
def complex_dtype(kind: Kind) -> None:
    kind.layer(dtype=torch.complex64)


@feature(BUILD, "in_channels=0")
def no_channels(kind: Kind) -> None:
    kind.factory(0, OUTPUTS, kind.kernel_size, **kind.options, backend="torch")


@feature(BUILD, 'device="meta", to_empty, reset_parameters')
def meta(kind: Kind) -> None:
    layer = kind.unseeded(device="meta").to_empty(device="cpu")
    torch.manual_seed(3)
    layer.reset_parameters()
    torch.manual_seed(3)
    close(layer.weight, kind.unseeded().weight, 0)


@feature(BUILD, "with torch.device(…)")
def device_context(kind: Kind) -> None:
    with torch.device("meta"):
        assert kind.unseeded().weight.is_meta


@feature(BUILD, "torch.manual_seed decides")
def seeded(kind: Kind) -> None:
    values = []
    for _ in range(2):
        torch.manual_seed(4)
        values.append(kind.unseeded().weight)
    close(*values, 0)


@feature(BUILD, "isinstance of torch's class, repr")
def instance(kind: Kind) -> None:
    layer = kind.layer()
    assert isinstance(layer, kind.native)
    assert repr(layer).startswith(f"{type(layer).__name__}({CHANNELS}, {OUTPUTS}, kernel_size=({kind.kernel_size},)")


@feature(STATE, "state_dict keys, load_state_dict")
def state_dict(kind: Kind) -> None:
    layer, native = kind.layer(), kind.native(CHANNELS, OUTPUTS, kind.kernel_size)
    learned = ["padding_value"] if "learned" in kind.name else []
    layer.load_state_dict({**native.state_dict(), **{name: layer.state_dict()[name] for name in learned}})
    native.load_state_dict({name: value for name, value in kind.layer(seed=1).state_dict().items() if name not in learned})
    assert list(layer.state_dict()) == ["weight", "bias", *learned]


@feature(STATE, "load_state_dict(assign=True)")
def assigned(kind: Kind) -> None:
    layer, other = kind.unseeded(device="meta"), kind.layer()
    layer.load_state_dict(other.state_dict(), assign=True)
    close(layer(data()), other(data()), 0)


@feature(STATE, "torch.save, torch.load(weights_only=True)")
def saved(kind: Kind) -> None:
    file = io.BytesIO()
    torch.save(kind.layer().state_dict(), file)
    file.seek(0)
    close(torch.load(file, weights_only=True)["weight"], kind.layer().weight.data, 0)


@feature(STATE, "torch.save of the module, pickle")
def pickled(kind: Kind) -> None:
    layer, file = kind.layer(), io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    for twin in (torch.load(file, weights_only=False), pickle.loads(pickle.dumps(layer))):
        close(twin(data()), layer(data()), 0)


@feature(STATE, "copy.deepcopy, AveragedModel")
def copied(kind: Kind) -> None:
    layer = kind.layer()
    averaged = torch.optim.swa_utils.AveragedModel(layer)
    averaged.update_parameters(layer)
    close(averaged(data()), copy.deepcopy(layer)(data()), 0)


@feature(STATE, "share_memory")
def shared(kind: Kind) -> None:
    assert kind.layer().share_memory().weight.is_shared()


@feature(STATE, "reset_parameters")
def reset(kind: Kind) -> None:
    layer, before = kind.layer(), kind.layer().weight
    layer.reset_parameters()
    assert not torch.equal(layer.weight, before)


@feature(STATE, "nn.init.*_ on the weight")
def written(kind: Kind) -> None:
    layer = kind.layer()
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    assert not torch.equal(layer(data()), kind.layer()(data()))


@feature(STATE, "optimizer step (SGD, Adam)")
def optimised(kind: Kind) -> None:
    for optimizer in (torch.optim.SGD, torch.optim.Adam):
        layer = kind.layer()
        layer(data()).square().mean().backward()
        optimizer(layer.parameters(), 0.1).step()
        assert not torch.equal(layer.weight, kind.layer().weight)


@feature(STATE, "parameters_to_vector, clip_grad_norm_")
def vector(kind: Kind) -> None:
    layer = kind.layer()
    layer(data()).sum().backward()
    nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
    assert nn.utils.parameters_to_vector(layer.parameters()).numel() == sum(p.numel() for p in layer.parameters())


@feature(STATE, "cp.capture")
def captured(kind: Kind) -> None:
    capture = cp.capture(kind.layer())
    if "learned" in kind.name:  # the NumPy backend learns nothing
        close(capture.build("torch")(data()), kind.layer()(data()), 0)
    else:
        close(torch.tensor(capture.build("numpy")(data().numpy())), kind.layer()(data()).detach())


@feature(CALL, "train() and eval()")
def modes(kind: Kind) -> None:
    layer = kind.layer()
    close(layer.train()(data()), layer.eval()(data()), 0)


@feature(CALL, "unbatched and empty batches")
def batches(kind: Kind) -> None:
    layer, x = kind.layer(), data()
    close(layer(x[0]), layer(x)[0])
    assert layer(x[:0]).shape == (0, *layer(x).shape[1:])


@feature(CALL, "non-contiguous input")
def strided(kind: Kind) -> None:
    layer, x = kind.layer(), data(2, 20, CHANNELS).transpose(1, 2)
    close(layer(x), layer(x.contiguous()))


@feature(CALL, ".to(float64), .half(), .bfloat16()")
def converted(kind: Kind) -> None:
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        close(kind.layer().to(dtype)(data().to(dtype)).float(), kind.layer()(data()), 0.1)


@feature(CALL, ".to(complex64)")
def complex_layer(kind: Kind) -> None:
    x = torch.complex(data(), data(seed=2))
    layer = kind.layer(bias=False)
    constant = layer(torch.zeros_like(x.real))  # what a constant gives is real
    close(kind.layer(bias=False).to(torch.complex64)(x), torch.complex(layer(x.real), layer(x.imag) - constant))


@feature(CALL, "torch.autocast")
def autocast(kind: Kind) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        output = kind.layer()(data())
    assert output.dtype == torch.bfloat16
    close(output.float(), kind.layer()(data()), 0.05)


@feature(CALL, "forward hooks and pre-hooks")
def hooks(kind: Kind) -> None:
    layer, plain = kind.layer(), kind.layer()
    layer.register_forward_pre_hook(lambda _layer, inputs: (inputs[0] * 2,))
    layer.register_forward_hook(lambda _layer, _inputs, output: output + 1)
    close(layer(data()), plain(data() * 2) + 1)


@feature(CALL, "FakeTensorMode")
def fake(kind: Kind) -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    shape = kind.layer()(data()).shape
    with FakeTensorMode():
        assert kind.unseeded()(torch.empty(2, CHANNELS, 20)).shape == shape


@feature(CALL, "FlopCounterMode, profiler")
def counted(kind: Kind) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.profiler.profile():
        kind.layer()(data())
    assert counter.get_total_flops() > 0

"""`convpolicy.tune` for torch: measures the implementations of each layer and installs the fastest."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import attrs
import torch
from torch import Tensor, nn

from convpolicy.errors import InvalidTypeError, InvalidValueError
from convpolicy.frameworks.torch.execution.bound import bound_of
from convpolicy.frameworks.torch.execution.examples import Call, calls_of, difference, first_line, observed, outputs
from convpolicy.frameworks.torch.execution.lowering import Work
from convpolicy.frameworks.torch.execution.selection import default, table
from convpolicy.frameworks.torch.execution.tuned import Tuned, TunedTransposed, install, own_code, remove, tuned_of
from convpolicy.frameworks.torch.policy_layer import ConvLayer
from convpolicy.layers.backend import LayerRequest
from convpolicy.layers.capture import Capture
from convpolicy.layers.whole_models import CALLED, convolutions
from convpolicy.tuning import TunedLayer, Tuning, no_model
from convpolicy.tuning.timing import FEWEST_ROUNDS, TIMED_SECONDS, interleaved, ratio

GAIN = 0.95  # an implementation is installed when its time is at most this fraction of the layer's own
LONG = 0.05  # seconds; the implementations of longer calls are timed in fewer rounds
SLOWER = 1.5  # an implementation is left out after two calls that take longer than the layer's own code by this factor
CLOSE = 1.15  # only those within this factor of the fastest are timed in all rounds
OWN = "own"  # name of the layer's own code among the implementations
Progress = Callable[[str, int, int], None]


@attrs.define(eq=False)
class _Candidate:
    """A layer that can be tuned, whether its weight may be packed once, and the inputs that reached it."""

    path: str
    layer: ConvLayer
    request: LayerRequest
    freezes: bool
    inputs: dict[Any, Tensor] = attrs.field(factory=dict)


def tune(model: Any, example_inputs: Any, execution: str, rounds: int, progress: Progress, freeze: bool) -> Tuning:
    """Measure the layers of a model, install the fastest implementations and compare outputs; see `convpolicy.tuning.tune`."""
    if not isinstance(model, nn.Module):
        raise no_model(model)
    calls = calls_of(example_inputs)
    if "_orig_mod" in model._modules:  # a test of its class would import the compiler
        raise InvalidTypeError(
            "model must not be compiled yet, got the result of torch.compile; tune the model first, then compile it."
        )
    previous = _tuned_layers(model)
    try:
        with torch.random.fork_rng(devices=[]):
            return _measured(model, calls, execution, rounds, progress, freeze)
    except BaseException:  # also after Ctrl-C: restore the model
        untune(model)
        for layer, tuned in previous:
            install(layer, tuned)
        raise


def _measured(model: nn.Module, calls: list[Call], execution: str, rounds: int, progress: Progress, freeze: bool) -> Tuning:
    untune(model)
    rows, candidates = _rows_and_candidates(model, execution, freeze)
    if torch.is_inference_mode_enabled() and any(candidate.layer.training for candidate in candidates):
        raise InvalidValueError(
            "model must be in eval mode under torch.inference_mode, which records no gradients, got a layer in training mode; call "
            "model.eval(), or tune it outside."
        )
    before, reached = observed(model, [candidate.layer for candidate in candidates], calls)
    measured: dict[Any, TunedLayer] = {}
    for done, (candidate, inputs) in enumerate(zip(candidates, reached)):
        progress(candidate.path, done, len(candidates))
        candidate.inputs = inputs
        rows[candidate.path] = _tuned(candidate, rounds, measured)
    after = _tuned_outputs(model, calls) if any(row.lowering for row in rows.values()) else before
    return Tuning(tuple(rows.values()), max(map(difference, before, after)))


def _tuned_outputs(model: nn.Module, calls: list[Call]) -> list[list[Tensor]]:
    """Return the tuned model's outputs in eval mode, also from layers that were tuned for training."""
    tuned = [way for _layer, way in _tuned_layers(model)]
    modes = [one.training for one in tuned]
    try:
        for one in tuned:
            one.training = False
        return [outputs(model, call) for call in calls]
    except Exception as error:  # a model may raise anything in its second call
        raise InvalidValueError(
            f"model must accept the example inputs in every call, but its last call raised {type(error).__name__}: "
            f"{first_line(error)}; the model was not changed; fix it and tune it again."
        ) from error
    finally:
        for one, mode in zip(tuned, modes):
            one.training = mode
            one.forget()


def _tuned_layers(model: nn.Module) -> list[tuple[nn.Module, Tuned]]:
    return [(module, way) for module in model.modules() if (way := tuned_of(module)) is not None]


def untune(model: Any) -> tuple[str, ...]:
    """Restore the layers' own code; see `convpolicy.tuning.untune`."""
    if not isinstance(model, nn.Module):
        raise no_model(model)
    tuned = [(path, module) for path, module in model.named_modules() if tuned_of(module) is not None]
    for _, module in tuned:
        remove(module)
    return tuple(path for path, _ in tuned)


# -- what can be tuned ----------------------------------------------------------------------------------------------------


def _rows_and_candidates(model: nn.Module, execution: str, freeze: bool) -> tuple[dict[str, TunedLayer], list[_Candidate]]:
    """Return a row for every layer, in order, and the layers that can be tuned; the rows of others contain the reason."""
    places = Counter(id(module) for _, module in model.named_modules(remove_duplicate=False))
    rows: dict[str, TunedLayer] = {}
    candidates = []
    captured = {convolution.path: capture for convolution, capture in convolutions(model)}
    for path, module in model.named_modules():
        name = str(getattr(module, "original_name", type(module).__name__))
        reason = _why_not(module, captured.get(path), places[id(module)])
        if path not in captured and not (isinstance(module, torch.jit.ScriptModule) and any(part in name for part in CALLED)):
            continue
        rows[path] = TunedLayer(path, name, reason=reason)
        capture = captured.get(path)
        if not reason and isinstance(capture, Capture) and isinstance(module, (nn.Conv1d, nn.ConvTranspose1d)):
            request = LayerRequest(capture.spec, capture.policy, capture.dtype, execution)
            candidates.append(_Candidate(path, module, request, freeze and not module.training and capture.dtype == "float32"))
    return rows, candidates


def _why_not(module: nn.Module, capture: Any, places: int) -> str:
    if isinstance(module, torch.jit.ScriptModule):
        return "it is scripted, and TorchScript has a copy of its code"
    if ".quantized" in type(module).__module__ or ".qat" in type(module).__module__:
        return "it is quantised and computes with integers"
    if places > 1:
        return f"it is shared by {places} places of the model, which may call it with other inputs"
    if not isinstance(capture, Capture):
        return str(capture).partition(": ")[2].partition("; ")[0] or str(capture)
    if getattr(module, "_backward_hooks", None) or getattr(module, "_backward_pre_hooks", None):
        return "a backward hook watches it"
    if any(parameter.device.type != "cpu" for parameter in module.parameters()):
        return "it is not on the CPU, the only device that was measured"
    return ""


# -- measuring ------------------------------------------------------------------------------------------------------------


def _tuned(candidate: _Candidate, rounds: int, measured: dict[Any, TunedLayer]) -> TunedLayer:
    """Install the fastest implementation; layers with equal sizes and input shapes are measured once."""
    layer, path = candidate.layer, candidate.path
    plain = TunedLayer(path, type(layer).__name__)
    if not candidate.inputs:
        return attrs.evolve(plain, reason="the example inputs do not reach it")
    if any(len(shape) != 3 or 0 in shape for shape in candidate.inputs):
        return attrs.evolve(plain, reason="it gets unbatched or empty inputs, which were not measured")
    key = (candidate.request, layer.training, tuple(candidate.inputs), *(x.dtype for x in candidate.inputs.values()))
    if key not in measured:
        measured[key] = _fastest(candidate, rounds)
    row = attrs.evolve(measured[key], path=path, class_name=type(layer).__name__)
    if row.lowering:
        tuned = _ways(candidate, [row.lowering])[row.lowering]
        row = attrs.evolve(row, difference=_checked(candidate, tuned.run, _expected(candidate)).difference)
        install(layer, tuned)
    return row


def _ways(candidate: _Candidate, names: list[str]) -> dict[str, Any]:
    layer, request = candidate.layer, candidate.request
    dtype = next(iter(candidate.inputs.values())).dtype
    kind = TunedTransposed if request.spec.transposed else Tuned
    return {name: kind(layer, request, name, dtype) for name in names}


def _fastest(candidate: _Candidate, rounds: int) -> TunedLayer:
    """Return the row of the fastest implementation, measured again after its choice, or of the layer's own code."""
    spec, usual = candidate.request.spec, default(candidate.request)
    plans = [candidate.request.plan(shape[-1]) for shape in candidate.inputs]
    legal = [
        name
        for name, lowering in table(candidate.request).lowerings.items()
        if name not in (usual, "drop", "full")  # the layer's own code, and implementations that return a view
        and (candidate.freezes or lowering.pack is None)
        and (candidate.request.execution != "exact" or lowering.bits_of == usual)
        and not any(lowering.why_not(plan, spec.in_channels, spec.groups) for plan in plans)
    ]
    ways, expected = _ways(candidate, legal), _expected(candidate)
    own = min(_run_once(candidate, own_code(candidate.layer))[1] for _ in range(2))
    most = SLOWER * own if own > TIMED_SECONDS and not candidate.layer.training else float("inf")
    right = [name for name, way in ways.items() if _checked(candidate, way.run, expected, most).is_right]
    worst = _worst(candidate, {name: ways[name] for name in right}, FEWEST_ROUNDS)
    limit = min(1.0, CLOSE * min(worst.values(), default=1.0))
    worst = {name: value for name, value in worst.items() if value < limit}
    if len(worst) > 1 and own <= LONG:
        worst = _worst(candidate, {name: ways[name] for name in worst}, rounds)
    best = min(worst, key=worst.__getitem__, default="")
    ratios, times = _ratios(candidate, {best: ways[best]} if best else {}, rounds)
    before = times[OWN]
    if not best or max(ratios[best]) > GAIN:
        return TunedLayer("", "", before=before, reason="its own implementation is the fastest")
    return TunedLayer("", "", best, before, times[best], statistics.geometric_mean(ratios[best]))


def _worst(candidate: _Candidate, ways: dict[str, Any], rounds: int) -> dict[str, float]:
    """Return for every implementation the largest of its ratios to the layer's own code, one for each input."""
    return {name: max(values) for name, values in _ratios(candidate, ways, rounds)[0].items()}


def _ratios(candidate: _Candidate, ways: dict[str, Any], rounds: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Return the times of every implementation: ratios to the layer's own for each input, and microseconds over all inputs."""
    ratios: dict[str, list[float]] = {name: [] for name in ways}
    times = dict.fromkeys([OWN, *ways], 0.0)
    layer, runs = candidate.layer, {name: way.run for name, way in ways.items()}
    for data in candidate.inputs.values():
        calls = {name: _timed(layer, way, data) for name, way in {OWN: own_code(layer), **runs}.items()}
        seconds = interleaved(calls, rounds)
        for name in ways:
            ratios[name].append(ratio(seconds[name], seconds[OWN]))
        for name in times:
            times[name] += statistics.median(seconds[name]) * 1e6
    return ratios, times


def _timed(layer: ConvLayer, way: Any, data: Tensor) -> Callable[[], object]:
    """Return a function that runs one call: forward in eval mode, forward and backward in training mode."""
    weight, bias = layer.weight, layer.bias
    if not layer.training:

        def forward() -> Tensor:
            with torch.no_grad():
                output: Tensor = way(data, weight, bias)
                return output

        return forward
    leaves = [value.detach().clone().requires_grad_() for value in (data, weight, bias) if value is not None]
    upstream = torch.randn_like(way(data, weight, bias))

    def both() -> Any:
        with torch.enable_grad():
            output = way(leaves[0], leaves[1], leaves[2] if len(leaves) == 3 else None)
        return torch.autograd.grad(output, leaves, upstream)

    return both


@torch.no_grad()
def _run_once(candidate: _Candidate, run: Callable[..., Tensor]) -> tuple[list[Tensor], float]:
    """Return the output of an implementation for every input, and the seconds of these calls."""
    layer, start = candidate.layer, time.perf_counter()
    results = [run(data, layer.weight, layer.bias) for data in candidate.inputs.values()]
    return results, time.perf_counter() - start


@torch.no_grad()
def _expected(candidate: _Candidate) -> list[tuple[Tensor, Tensor]]:
    """Return for every input the layer's own output and the rounding bound for another order of sums."""
    layer, request = candidate.layer, candidate.request
    weight, bias, pad = layer.weight, layer.bias, Tuned(layer, request, OWN, layer.weight.dtype).pad
    bounds = [
        bound_of(data, weight, bias, Work(request.plan(data.shape[-1]), request.spec.groups, pad), request.spec)
        for data in candidate.inputs.values()
    ]
    return list(zip(_run_once(candidate, own_code(layer))[0], bounds))


class _Check(NamedTuple):
    """The largest difference of an implementation's outputs, and whether they are right."""

    difference: float
    is_right: bool


def _checked(
    candidate: _Candidate, run: Callable[..., Tensor], expected: list[tuple[Tensor, Tensor]], most: float = float("inf")
) -> _Check:
    """Compare an implementation; it is right when it is bit-identical or, if fast, within the bound.

    It is not compared, and counts as wrong, if two calls take more than ``most`` seconds each. The first may pack the weight.
    """
    largest, is_right = 0.0, True
    others, seconds = _run_once(candidate, run)
    if seconds > most and _run_once(candidate, run)[1] > most:
        return _Check(float("inf"), False)
    for other, (own, bound) in zip(others, expected):
        if own.shape != other.shape or own.dtype != other.dtype or not other.is_contiguous():
            return _Check(float("inf"), False)
        differences = (own.double() - other.double()).abs()
        is_right &= torch.equal(own, other) if candidate.request.execution == "exact" else bool((differences <= bound).all())
        largest = max(largest, float(differences.max()))
    return _Check(largest, is_right)

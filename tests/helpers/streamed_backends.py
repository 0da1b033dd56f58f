"""Streams random layers of backends: ``python streamed_backends.py CASES BACKEND...`` prints the number of layers that it streamed.

Every stream is compared with the layer on the whole input. The bound is derived from the dtype and the number of terms of each output.
"""

from __future__ import annotations

import sys

import numpy as np

import convpolicy as cp
from convpolicy import reference
from convpolicy.reference import SUM_ROUNDINGS

BATCH, IN, OUT = 2, 2, 4
LENGTHS = (1, 4, 12, 19)
CHUNKS = (0, 1, 3, 6)
TWO_COMPUTATIONS = 2  # each of two results may be off by the bound, in opposite directions
LEARNED = cp.Choice("constant", value=np.array([0.5, -2.0]), learned=True)
RULES = ("valid", "causal", "semicausal", "reverse_causal", "half", "full", "same_upper", "same_static", "torch_same", "encodec")
MODES = (
    *("zeros", "zeros", "replicate", "reflect", "symmetric", "odd", "extrapolate", "linear_ramp"),
    cp.Choice("reflect", overflow="periodic"),
    cp.Choice("constant", value=1.5),
    cp.Choice("constant", value=np.array([0.5, -2.0])),
    ("replicate", "zeros"),
    LEARNED,
)


def drawn(random, backend):
    """A random layer of a backend, or None if its rule or its backend refuses it."""
    sizes = [int(random.integers(low, high)) for low, high in ((1, 6), (1, 4), (1, 3))]
    more = {"groups": int(random.choice([1, 2])), "dilation": sizes.pop(), "backend": backend, "seed": int(random.integers(99))}
    more |= {"policy": "torch", "bias": bool(random.integers(2))}
    pair = int(random.integers(-2, 6)), int(random.integers(-2, 6))
    try:
        if random.random() < 0.35:
            padding = pair if random.random() < 0.7 else str(random.choice(["explicit", "same_upper", "causal"]))
            return cp.ConvTranspose1d(IN, OUT, *sizes, padding=padding, **more)
        padding, mode = pair if random.random() < 0.5 else str(random.choice(RULES)), MODES[random.integers(len(MODES))]
        return cp.Conv1d(IN, OUT, *sizes, padding=padding, padding_mode=mode, **more)
    except cp.ConvPolicyError:
        return None


def bound(captured, plan, data):
    """The largest rounding error of an output in float32, (1, out, 1)."""
    spec, largest = captured.spec, np.abs(data).max()
    elements = [] if spec.transposed else [(side, place) for side in plan.sides for place in range(side.width)]
    for side, place in elements:
        constant = np.abs(side.value).max()
        magnitude = sum(abs(share) * (constant if source < 0 else np.abs(data).max()) for share, source in side.element(place))
        largest = max(largest, magnitude)
    weight = np.abs(captured.weight)
    if spec.transposed:  # (in, out/groups, kernel) -> (out, in/groups, kernel)
        weight = (
            weight.reshape(spec.groups, -1, *weight.shape[1:])
            .transpose(0, 2, 1, 3)
            .reshape(spec.out_channels, -1, spec.kernel_size)
        )
    magnitude = weight.sum(axis=(1, 2)) * largest + (0 if captured.bias is None else np.abs(captured.bias))
    terms = weight[0].size + 1 + SUM_ROUNDINGS
    return TWO_COMPUTATIONS * reference.tolerance("float32", terms, magnitude)[None, :, None]


def streamed(streaming, data, random):
    """The joined outputs of random chunks."""
    live, arrays, outputs, position = streaming.start(BATCH), streaming._stage.arrays, [], 0
    while position < data.shape[2]:
        samples = int(random.choice(CHUNKS))
        outputs.append(live(arrays.of_numpy(np.ascontiguousarray(data[..., position : position + samples]))))
        position += samples
    outputs.append(live.flush())
    return np.concatenate([arrays.to_numpy(output) for output in outputs], axis=2)


def compared(layer, streaming, random):
    """Compare a stream with the layer on the whole input, for each length."""
    captured, arrays = cp.capture(layer), streaming._stage.arrays
    request = cp.LayerRequest(captured.spec, captured.policy)
    for length in random.choice(LENGTHS, 2, replace=False).tolist():
        data = random.standard_normal((BATCH, IN, length)).astype(np.float32)
        try:
            plan = request.plan(length)
        except cp.InvalidValueError as error:
            refusal = None
            try:
                streamed(streaming, data, random)
            except cp.InvalidValueError as raised:
                refusal = str(raised)
            assert refusal == str(error), f"{captured}: length {length}: {refusal!r} instead of {str(error)!r}"
            continue
        whole, joined = arrays.to_numpy(layer(arrays.of_numpy(data))), streamed(streaming, data, random)
        assert (joined.shape, joined.dtype) == (whole.shape, whole.dtype), f"{captured}: {joined.shape} instead of {whole.shape}"
        error = np.abs(joined.astype(np.float64) - whole) / bound(captured, plan, data)
        assert error.max(initial=0) <= 1, f"{captured}: length {length}: off by {error.max()} times the bound"


def main(cases, *backends):
    """Stream random layers of each backend."""
    for backend in backends:
        random, streams = np.random.default_rng(0), 0
        while streams < int(cases):
            layer = drawn(random, backend)
            try:
                streaming = None if layer is None else cp.streaming(layer)
            except cp.InvalidValueError as error:  # it depends on the end of the input from the first output on
                assert str(error).startswith("padding"), error
                continue
            if streaming is not None:
                compared(layer, streaming, random)
                streams += 1
        print(backend, streams)


if __name__ == "__main__":
    main(*sys.argv[1:])

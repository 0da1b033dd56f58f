"""Keras's streams beyond the stored draws: what they refuse, where they are cut into pieces, and what they hold in memory."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest

from convpolicy.frameworks.keras import stream as keras
from convpolicy.frameworks.torch.stream import TorchStream
from convpolicy.parts.stream import variance_scale

STREAMS = {
    "keras": keras.KerasTensorflowStream, "keras-torch": keras.KerasTorchStream, "keras-jax": keras.KerasJaxStream,
}  # fmt: skip
DRAWS = {
    "uniform": lambda stream, shape, dtype: stream.uniform(shape, -0.3, 0.7, dtype),
    "normal": lambda stream, shape, dtype: stream.normal(shape, 0.25, 0.02, dtype),
    "truncated_normal": lambda stream, shape, dtype: stream.truncated_normal(shape, 0.125, 0.5, -2.0, 2.0, dtype),
}
LARGE = (33, 128, 128)  # 540 672 elements


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize(("seed", "limit"), [(-1, "at least 0"), (2**32, "at most 4294967295")])
def test_a_seed_that_keras_refuses_is_refused(name, seed, limit):
    """``keras.utils.set_random_seed`` takes 0 to 2**32 - 1 on every backend."""
    assert STREAMS[name](0).uniform((2,), 0.0, 1.0).tolist() != STREAMS[name](2**32 - 1).uniform((2,), 0.0, 1.0).tolist()
    with pytest.raises(ValueError, match=f"seed must be {limit}"):
        STREAMS[name](seed)


@pytest.mark.parametrize("name", STREAMS)
def test_a_refusal_takes_no_number(name):
    """Another cut than two standard deviations is refused, and the next tensor is as if nothing had been asked."""
    stream = STREAMS[name](3)
    with pytest.raises(ValueError, match=r"lower and upper must be -2 and 2 for stream .*, got -1 and 1"):
        stream.truncated_normal((4,), 0.0, 1.0, -1, 1)
    with pytest.raises(ValueError, match="got dtype 'float8'"):
        stream.normal((4,), 0.0, 1.0, "float8")
    assert stream.normal((4,), 0.0, 1.0).tolist() == STREAMS[name](3).normal((4,), 0.0, 1.0).tolist()


def test_jax_has_no_float64():
    """JAX draws float32 for it, so the stream refuses."""
    with pytest.raises(ValueError, match="stream 'keras-jax' draws float32, float16, bfloat16, got dtype 'float64'"):
        STREAMS["keras-jax"](0).uniform((1,), 0.0, 1.0, "float64")


@pytest.mark.grid(every=3)
@pytest.mark.parametrize("dtype", STREAMS["keras-torch"].dtypes)
@pytest.mark.parametrize("rest", [0, 1, 3, 4, 5, 15, 16, 17])
def test_torch_in_pieces_is_torch_at_once(rest, dtype):
    """Whatever is left after the last piece; torch redoes the last 16 normals of a tensor."""
    count = keras.CHUNK + rest
    tensor = STREAMS["keras-torch"](0)._tensor
    at_once = TorchStream(9).normal((count,), 0.25, 0.02, dtype)
    assert tensor(9).normal((count,), 0.25, 0.02, dtype).tolist() == at_once.tolist()
    candidates = TorchStream(9).normal((count, keras.CANDIDATES), 0.0, 1.0, dtype)
    first = [next((value for value in row if abs(value) < 2), row[0]) for row in candidates.tolist()]
    assert tensor(9).truncated_normal((count,), 0.0, 1.0, -2.0, 2.0, dtype).tolist() == first


@pytest.mark.grid(every=4)
@pytest.mark.parametrize(
    ("name", "law", "dtype"), [(name, law, dtype) for name in STREAMS for law in DRAWS for dtype in STREAMS[name].dtypes]
)
def test_memory_stays_near_the_result(name, law, dtype):
    """At most four times the tensor, and a constant for one piece."""
    stream = STREAMS[name](0)
    DRAWS[law](stream, (64,), dtype)
    tracemalloc.start()
    result = DRAWS[law](stream, LARGE, dtype)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.isfinite(result).all()
    assert peak <= 4 * result.nbytes


@pytest.mark.parametrize("unit", [1, 10, 1000, 10**6])
def test_a_gain_is_taken_back_to_its_scale(unit):
    """``VarianceScaling`` takes the scale itself, ours the root of it: every decimal one comes back, 0.1 and 2 among them."""
    scales = [number / unit for number in range(1, 5001)]
    assert [variance_scale(math.sqrt(scale)) for scale in scales] == scales

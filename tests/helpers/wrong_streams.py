"""Deliberately wrong random streams, each with one fault; what rejects it and what it says."""

from __future__ import annotations

import math

import numpy as np

import convpolicy as cp
from convpolicy.frameworks.numpy.stream import NumpyStream
from convpolicy.parts.stream import Stream


def stream(start=NumpyStream, description="A wrong stream.", **more):
    return cp.RandomStream("wrong", start, description=description, **more)


def started(seed):
    return NumpyStream(seed)


def other(**members):
    """NumPy's stream with other methods."""
    return stream(type("WrongStream", (NumpyStream,), members))


def uniform(change):
    """NumPy's stream whose uniform numbers are changed: ``(values, shape, low, high, dtype) -> values``."""

    def drawn(self, shape, low, high, dtype="float32"):
        return change(NumpyStream.uniform(self, shape, low, high, dtype), shape, low, high, dtype)

    return other(uniform=drawn)


def normal(change):
    """NumPy's stream whose normal numbers are of another mean and standard deviation."""

    def drawn(self, shape, mean, std, dtype="float32"):
        return NumpyStream.normal(self, shape, *change(mean, std), dtype)

    return other(normal=drawn)


def scaled_by_fan_in(self, shape, fans, fan, gain, distribution, dtype="float32"):
    return Stream.scaled(self, shape, fans, "fan_in", gain, distribution, dtype)


def any_seed(self, seed):
    NumpyStream.__init__(self, int(seed) % 2**64)


def no_seed(self, seed):
    NumpyStream.__init__(self, 0)


def infinite(self, seed):
    NumpyStream.__init__(self, 0 if seed != 1 else 1)
    self.factor = math.inf if seed == 1 else 1.0


def times_factor(self, shape, low, high, dtype="float32"):
    return NumpyStream.uniform(self, shape, low, high, dtype) * np.float32(self.factor)


def global_numbers(self, shape, low, high, dtype="float32"):
    return NumpyStream._rounded(self, np.random.random_sample(shape) * (high - low) + low, self.check_dtype(dtype))


def reseeding(self, shape, low, high, dtype="float32"):
    np.random.seed(0)
    return NumpyStream.uniform(self, shape, low, high, dtype)


def unseeded(self, shape, low, high, dtype="float32"):
    return NumpyStream._rounded(self, np.random.default_rng().random(shape) * (high - low) + low, self.check_dtype(dtype))


SHARED = {}


def shared_state(self, seed):
    """Every stream of the class draws from the generator that was started last."""
    NumpyStream.__init__(self, seed)
    SHARED["random"] = self._random


def shared_numbers(self, shape, low, high, dtype="float32"):
    self._random = SHARED["random"]
    return NumpyStream.uniform(self, shape, low, high, dtype)


def remembered(self, seed):
    NumpyStream.__init__(self, seed)
    self.seed = seed


def from_the_start(self, shape, low, high, dtype="float32"):
    return NumpyStream.uniform(NumpyStream(self.seed), shape, low, high, dtype)


def narrow(name):
    """A method that refuses float16."""
    own = getattr(NumpyStream, name)

    def drawn(self, shape, *arguments):
        if arguments[-1] == "float16":
            raise cp.InvalidValueError("no float16; pick another.")
        return own(self, shape, *arguments)

    return drawn


WRONG = {
    "says nothing": (stream(started, description=""), "names", "its description must be one line, got ''"),
    "constructs what is not there": (stream(constructed={"weight": cp.Choice("uniformly")}), "constructed", "unknown initializer 'uniformly'"),
    "constructs a kernel": (stream(constructed={"kernel": cp.Choice("uniform")}), "constructed", "constructed must have the keys weight and bias, got 'kernel'"),
    "starts without a seed": (stream(lambda: NumpyStream(0)), "signature", r"start must take \(seed\), but has the signature \(\)"),
    "a parameter it does not take": (
        stream(started, params={"path": cp.Param("", kind="name")}), "signature", r"start must take \(seed, path=\), but has the signature",
    ),
    "no stream": (stream(np.random.default_rng), "signature", "start must return a Stream, got Generator; subclass convpolicy.Stream"),
    "a list of dtypes": (other(dtypes=["float32"]), "signature", r"dtypes must be a tuple of names, got \['float32'\]"),
    "a dtype that is none": (other(dtypes=("single",)), "signature", "dtypes must be of float64, float32, float16, bfloat16, got 'single'"),
    "no dtype asked": (other(uniform=lambda self, shape, low, high: None), "signature", r"uniform must take \(shape, low, high, dtype\), but has the signature \(shape, low, high\)"),
    "a list": (uniform(lambda values, *_: values.tolist()), "shapes", "it must draw a NumPy array, got list, for uniform"),
    "flat": (uniform(lambda values, *_: values.reshape(-1)), "shapes", r"it must draw shape \(0, 0\), got \(0,\), for uniform"),
    "wide": (uniform(lambda values, *_: values.astype("float64")), "shapes", "it must draw float32, got float64, for uniform"),
    "more than bfloat16": (
        uniform(lambda values, shape, low, high, dtype: values + np.float32(2**-20)), "shapes", "it must draw numbers that bfloat16 can represent, got others, for uniform",
    ),
    "refuses what it declares": (
        other(**{name: narrow(name) for name in ("uniform", "normal", "truncated_normal", "scaled")}),
        "accepts", "it refuses every distribution in float16, which is in its dtypes; remove it from dtypes",
    ),
    "draws what it does not declare": (
        other(dtypes=("float32",), check_dtype=lambda self, dtype: dtype), "refusals", "a dtype that is not in its dtypes must be refused, got numbers for 'float64'; call check_dtype",
    ),
    "breaks at a seed": (other(__init__=any_seed), "refusals", "failed to start with seed nan: ValueError: cannot convert float NaN to integer"),
    "infinite after a seed": (other(__init__=infinite, uniform=times_factor), "refusals", "a seed must be refused, or result in finite numbers, got .*inf.* after seed 1"),
    "beyond its interval": (uniform(lambda values, *_: values * 2), "interval", r"it must draw numbers from -0.5 to 1.5, got \[.*\], for uniform"),
    "not cut": (
        other(truncated_normal=lambda self, shape, mean, std, lower, upper, dtype="float32": NumpyStream.normal(self, shape, mean, std, dtype)),
        "interval", r"it must draw numbers from 0.0 to 1.0, got \[.*\], for truncated_normal",
    ),
    "NaN": (normal(lambda mean, std: (math.nan, std)), "interval", "it draws NaN or infinity for normal"),
    "from NumPy's global state": (other(uniform=global_numbers), "repeatable", "it changes NumPy's random state for uniform.*; keep a generator in the stream"),
    "sets the seed of all": (other(uniform=reseeding), "repeatable", "it changes NumPy's random state for uniform"),
    "from nowhere": (other(uniform=unseeded), "repeatable", "it draws other numbers after the same seed for uniform|fails and passes with the same arguments"),
    "no seed read": (other(__init__=no_seed), "seeds", "it draws the same numbers after seed 0 and after seed 1; draw different numbers for every seed"),
    "one state for all": (
        other(__init__=shared_state, uniform=shared_numbers), "layers", "it draws other numbers after seed 0 when a second stream is in use; keep the state in the stream object",
    ),
    "always from the start": (other(__init__=remembered, uniform=from_the_start), "layers", "it draws the same numbers for tensor 1 as for an earlier one; continue after the previous tensor"),
    "column by column": (
        uniform(lambda values, shape, *_: values.reshape(shape[::-1]).T), "order", r"it must draw element by element in C order, but uniform\(shape, -0.5, 1.5\) of shape \(4, 3, 5\) has other numbers than of 60",
    ),
    "std for variance": (normal(lambda mean, std: (mean, math.sqrt(std))), "distribution", r"normal\(shape, 1.0, 2.0\) must have the standard deviation 2, got 1.4"),
    "no mean": (normal(lambda mean, std: (0.0, std)), "distribution", r"normal\(shape, 1.0, 2.0\) must have the mean 1, got"),
    "another fan": (other(scaled=scaled_by_fan_in), "distribution", r"scaled\(shape, .*'fan_out', 2.0, 'uniform'\) must have the standard deviation 0.4472, got 0.57"),
}  # fmt: skip

"""The conformance kit is tested: every deliberately wrong part is rejected, by the check and with the words that name its fault."""

from __future__ import annotations

import re

import attrs
import numpy as np
import pytest
from helpers import wrong, wrong_parts

import convpolicy as cp
from convpolicy.frameworks.numpy.arrays import NumpyArrays
from convpolicy.testing import RUNGS, ConformanceError, checks_of, faults_of
from convpolicy.testing.adjoint import adjoint, transposed_adjoint
from convpolicy.testing.ladder import climb
from convpolicy.testing.parametrize import CHECKS


def rejected(part, **more):
    """Return the error that the kit raises for a part."""
    with pytest.raises(ConformanceError) as raised:
        climb(part, checks_of(part, **more))
    return raised.value


@pytest.mark.grid(every=4)
@pytest.mark.parametrize("fault", wrong_parts.WRONG)
def test_a_wrong_part_is_rejected(fault):
    """The first check that fails is the one meant, the message says what is wrong, and no rung above it is reached."""
    part, check, says = wrong_parts.WRONG[fault]
    error = rejected(part, max_examples=20)
    assert error.report.failures[0].check == check, str(error)
    assert re.search(says, str(error)), str(error)
    assert str(error).startswith(f"{part.kind} {part.name!r} fails check {check!r}: ")
    verdicts = {result.rung: result.verdict for result in error.report.results}
    above = RUNGS[RUNGS.index(error.report.failures[0].rung) + 1 :]
    assert {verdicts.get(rung, "not reached") for rung in above} <= {"not reached"}
    assert isinstance(error, (cp.ConvPolicyError, AssertionError))


def test_at_least_twelve_of_every_kind_together():
    """The table holds parts of every kind, and no two rows of it expect the same words."""
    kinds = {row[0].kind for row in wrong_parts.WRONG.values()}
    assert kinds == set(CHECKS) - {"backend", "wrapper"}  # below, and in test_wrappers.py
    assert len(wrong_parts.WRONG) >= 12


# -- backends -------------------------------------------------------------------------------------------------------------

LAYERS = {backend.name: attrs.evolve(backend, name="wrong") for backend in wrong.wrong_backends()}
BY_SHAPE = {  # fault -> what rejects it; all others differ from the reference
    "one output less": ("shapes", r"must have shape \(2, 8, 1\), got \(2, 8, 0\)"),
    "computes in another dtype": ("shapes", "the output for a batch of 2 of a float32 layer must be float32, got float(?!32)"),
    "works in the caller's array": ("shapes", "run must not write into the caller's array"),
    wrong.STALE: ("assign", "the output differs from the float64 reference at"),
}


@pytest.mark.parametrize("fault", [fault for fault in LAYERS if fault != wrong.RIGHT])
def test_a_wrong_layer_is_rejected(fault):
    """Every layer of wrong.py: the message holds the place, both numbers, the bound, and the smallest layer that shows it."""
    error = rejected(LAYERS[fault], max_examples=60)
    check, says = BY_SHAPE.get(fault, ("values-float32", "the output differs from the float64 reference at"))
    assert check in {found.check for found in error.report.failures}
    assert re.search(
        rf"{says}.* for kernel_size \d, stride \d, dilation \d, groups \d, (a|no) bias, padding .*, mode ", str(error)
    )


def test_a_layer_without_fault_is_accepted():
    """The layer that carries the faults passes without one."""
    assert climb(LAYERS[wrong.RIGHT], checks_of(LAYERS[wrong.RIGHT], 40)).failures == ()


def numpy_backend(**more):
    """The NumPy backend with something else in place."""
    return attrs.evolve(cp.backends()["numpy"], name="wrong", **more)


def capture_of(**changes):
    """NumPy's capture, changed."""

    def capture(layer):
        found = cp.backends()["numpy"].capture(layer)
        return None if found is None else attrs.evolve(found, **{name: change(found) for name, change in changes.items()})

    return capture


def gradients(layer, data, upstream):
    """The gradients of a convolution without padding, by the definition; to the weight of the flipped kernel."""
    request = layer._request
    plan = request.plan(data.shape[2])

    found = (transposed_adjoint if request.spec.transposed else adjoint)(request.spec, plan, layer.weight, data, upstream)
    return {role: None if role == "bias" and layer.bias is None else values.astype(data.dtype) for role, values in found.items()}


def changed(role, change):
    """The right gradients, but for one of them."""
    return lambda layer, data, upstream: (
        (found := gradients(layer, data, upstream)) | {role: None if found[role] is None else change(found[role])}
    )


def build_anywhere(request, stream, device):
    return cp.backends()["numpy"].build(request, stream, None)


def build_unseeded(request, stream, device):
    return cp.backends()["numpy"].build(request, None, device)


def run_anything(layer, data):
    try:
        return layer(data)
    except cp.ConvPolicyError:
        return np.zeros((len(data), layer.weight.shape[0], 1), data.dtype)


def run_and_crash(layer, data):
    try:
        return layer(data)
    except cp.ConvPolicyError:
        return layer.no_such_thing


def as_in_memory(array):
    """An array as one reads it who ignores that its strides are negative."""
    return None if array is None else array[tuple(slice(None, None, -1 if step < 0 else 1) for step in array.strides)]


def assign_as_in_memory(layer, values):
    cp.backends()["numpy"].assign(layer, {name: as_in_memory(value) for name, value in values.items()})


def transposed(layer):
    return {"weight": layer.weight.transpose(1, 0, 2), "bias": layer.bias}


class Forgetful(NumpyArrays):
    """The last samples of a chunk are forgotten."""

    def owned(self, data):
        return data * 0


class BiasTwice(NumpyArrays):
    """The bias is added to the full result, too."""

    def scattered(self, data):
        return self.biased(super().scattered(data))


def first_pads(layer, data):
    """Keep the plan of the first length for all."""
    layer.first = getattr(layer, "first", data.shape[2])
    if data.shape[2] <= layer.first:
        return layer(data)
    return layer(data[..., : layer.first])


def static_cuts(request, stream, device):
    """Cut what is cut from an input of two samples."""
    plan = request.policy.plan(request.spec.kernel_size, request.spec.stride, request.spec.dilation, length=2)
    cuts = request.policy.evolve(padding=(plan.left, plan.right)) if request.static_pads() is None else request.policy
    return cp.backends()["numpy"].build_transposed(attrs.evolve(request, policy=cuts), stream, device)


BACKENDS = {
    "no dtype": (numpy_backend(dtypes=()), "names", r"dtypes must be a tuple of names, got \(\)"),
    "a dtype that is none": (numpy_backend(dtypes=("single",)), "names", "dtypes must be of float64, float32, float16, bfloat16, got 'single'"),
    "a layout of data": (numpy_backend(layout="NCW"), "names", "layout must be a weight layout, got the data layout 'NCW'"),
    "a layout of transposed weights": (numpy_backend(layout="IOW"), "names", "layout must be a layout of convolutions, got that of transposed ones, 'IOW'"),
    "a transposed layout of convolutions": (numpy_backend(transposed_layout="OIW"), "names", "transposed_layout must be a layout of transposed convolutions, got 'OIW'"),
    "build_transposed without a device": (numpy_backend(build_transposed=lambda request, stream: None), "signatures", r"build_transposed must take \(request, stream, device\), but has"),
    "cuts of the first length": (numpy_backend(build_transposed=static_cuts), "transposed-crop-rule", "the output must have shape|the output differs"),
    "transposed layers of the wrong class": (numpy_backend(build_transposed=cp.backends()["numpy"].build), "transposed-shapes", "it raises"),
    "a framework that is not there": (numpy_backend(framework="nowhere_at_all"), "names", "its framework 'nowhere_at_all' is not installed"),
    "build without a device": (numpy_backend(build=lambda request, stream: None), "signatures", r"build must take \(request, stream, device\), but has"),
    "run of one argument": (numpy_backend(run=lambda layer: None), "signatures", r"run must take \(layer, data\), but has"),
    "gradients of two": (numpy_backend(gradients=lambda layer, data: None), "signatures", r"gradients must take \(layer, data, upstream\), but has"),
    "weight turned": (numpy_backend(parameters=transposed), "shapes", r"its weight must have shape \(8, \d, \d\), got \(\d, 8, \d\)"),
    "no bias given": (numpy_backend(parameters=lambda layer: {"weight": layer.weight}), "shapes", r"parameters must return weight and bias, got \['weight'\]"),
    "a list": (numpy_backend(run=lambda layer, data: layer(data).tolist()), "shapes", "the output for a batch of 2 must be a NumPy array, got list"),
    "refuses nothing": (numpy_backend(run=run_anything), "refusals", r"an input shorter than the kernel must be refused, got an output of shape \(1, 8, 1\)"),
    "refuses by accident": (numpy_backend(run=run_and_crash), "refusals", "an input shorter than the kernel must be refused by a ConvPolicyError, got AttributeError: "),
    "any device": (numpy_backend(build=build_anywhere), "refusals", "a device that does not exist must be refused, but is accepted"),
    "seed ignored": (numpy_backend(build=build_unseeded), "initial-weights", "the initial weight of a float32 layer must be bit-identical to what the stream draws after seed 0"),
    "reversed data read forwards": (numpy_backend(run=lambda layer, data: layer(as_in_memory(data))), "strided-input", "the output differs"),
    "reversed weights read forwards": (numpy_backend(assign=assign_as_in_memory), "assign", "parameters must return the weight that assign wrote, bit for bit"),
    "one length for all": (numpy_backend(run=first_pads), "lengths", r"the output must have shape|the output differs"),
    "assign ignored": (numpy_backend(assign=lambda layer, values: None), "assign", "parameters must return the weight that assign wrote, bit for bit"),
    "capture of anything": (numpy_backend(capture=lambda layer: 3), "capture", "capture must return None for an object that is not a layer of its framework"),
    "capture of nothing": (numpy_backend(capture=lambda layer: None), "capture", "capture must accept layers that the backend built, got None"),
    "captured sides swapped": (
        numpy_backend(capture=capture_of(policy=lambda found: found.policy.evolve(padding="valid"))), "capture", "it raises InvalidValueError: input of length . is too short|the output must have shape|the output differs",
    ),
    "captured weight rounded": (
        numpy_backend(capture=capture_of(weight=lambda found: found.weight.astype("float16").astype(found.dtype))), "capture", "capture must return the layer's weight, bit for bit",
    ),
    "arrays of one argument": (numpy_backend(arrays=lambda layer: None), "signatures", r"arrays must take \(layer, spec\), but has"),
    "chunks that start anew": (numpy_backend(arrays=Forgetful), "streaming", "the output differs|the output must have shape"),
    "bias of each chunk's overlap": (numpy_backend(arrays=BiasTwice), "transposed-streaming", "the output differs"),
    "captured stride forgotten": (
        numpy_backend(capture=capture_of(spec=lambda found: attrs.evolve(found.spec, stride=1))), "capture", "capture must return the sizes ConvSpec",
    ),
    "gradient to the weight flipped": (
        numpy_backend(gradients=changed("weight", lambda values: values[..., ::-1])), "gradients-float32", "the gradient to the weight differs from the float64 reference at",
    ),
    "gradient to the input doubled": (
        numpy_backend(gradients=changed("input", lambda values: 2 * values)), "gradients-float32", "the gradient to the input differs from the float64 reference at",
    ),
    "gradient to the bias averaged": (
        numpy_backend(gradients=changed("bias", lambda values: values / 2)), "gradients-float32", "the gradient to the bias differs from the float64 reference at",
    ),
    "gradient in float64": (
        numpy_backend(gradients=changed("input", lambda values: values.astype("float64"))), "gradients-float32", "the gradient to the input of a float32 layer must be float32, got float64",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", BACKENDS)
def test_a_wrong_backend_is_rejected(fault):
    """Its functions one by one: the first check that fails is the one meant, and says what is wrong."""
    backend, check, says = BACKENDS[fault]
    error = rejected(backend, max_examples=20)
    assert error.report.failures[0].check == check, str(error)
    assert re.search(says, str(error)), str(error)


def test_a_backend_with_right_gradients_is_accepted():
    """The gradients that the faults above are made from pass."""
    backend = numpy_backend(gradients=gradients)
    assert climb(backend, checks_of(backend, 20)).failures == ()


FAULTS = faults_of(numpy_backend(gradients=gradients))


TRANSPOSED_FAULTS = (
    "cut on the other side", "kernel flipped", "fans swapped", "output_padding ignored", "bias not added to appended samples",
    "circular dropped", "axes of the weight exchanged", "bias dropped", "stride ignored", "dilation ignored",
)  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_the_faults_that_the_kit_makes_are_rejected(fault):
    """Those by which a plugin's author sees that the kit can fail on his own backend; those of transposed layers by their own checks."""
    failed = {result.check.startswith("transposed-") for result in rejected(FAULTS[fault], max_examples=20).report.failures}
    if fault.startswith("transposed, "):
        assert failed == {True}


def test_every_fault_of_transposed_layers_is_made():
    """Each that a port can have."""
    assert {fault for fault in FAULTS if fault.startswith("transposed, ")} == {
        f"transposed, {name}" for name in TRANSPOSED_FAULTS
    }


def test_faults_of_functions_that_are_not_there_are_left_out():
    """NumPy's backend does not differentiate."""
    numpy = cp.backends()["numpy"]
    assert set(FAULTS) - set(faults_of(numpy)) == {f"gradient to the {role} doubled" for role in ("input", "weight", "bias")}
    without = faults_of(attrs.evolve(numpy, build_transposed=None))
    assert {fault.partition(", ")[0] for fault in set(faults_of(numpy)) - set(without)} == {"transposed"}

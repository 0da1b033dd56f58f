"""Pads in a row in front of a Conv: read where the policy is exact at every length that the graph takes, else refused."""

from __future__ import annotations

import itertools

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import convpolicy as cp
from convpolicy_onnx import pads, read

Choice = cp.Choice
WEIGHT = np.ones((1, 1, 1), np.float32)
KINDS = (("constant", 0.0), ("constant", 2.0), ("edge", None), ("reflect", None), ("wrap", None))
WIDTHS = ((0, 2), (2, 0), (3, 1))
LENGTHS = (None, 2, 3, 6)  # that the graph says; None: any


def model_of(chain, length=None):
    """A model of Pad nodes ``(mode, value, left, right)`` and a Conv that changes nothing."""
    nodes, tensors, source = [], {"w": WEIGHT}, "input"
    for number, (mode, value, left, right) in enumerate(chain):
        tensors[f"pads{number}"] = np.array([0, 0, left, 0, 0, right])
        inputs = [source, f"pads{number}"]
        if value is not None:
            tensors[f"value{number}"] = np.array(value, np.float32)
            inputs.append(f"value{number}")
        source = f"padded{number}"
        nodes.append(helper.make_node("Pad", inputs, [source], name=f"pad{number}", mode=mode))
    nodes.append(helper.make_node("Conv", [source, "w"], ["output"]))
    ends = (("input", ["batch", 1, length or "length"]), ("output", None))
    given, result = ([helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)] for name, shape in ends)
    stored = [numpy_helper.from_array(values, name) for name, values in tensors.items()]
    graph = helper.make_graph(nodes, "g", given, result, stored)
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 19)])


READ = {
    "reflect left, constant right": ([("reflect", None, 2, 0), ("constant", 1.5, 0, 3)], (2, 3), ("reflect", Choice("constant", value=1.5))),
    "reflect right, zeros left": ([("reflect", None, 0, 2), ("constant", None, 3, 0)], (3, 2), ("zeros", "reflect")),
    "edge right behind wrap left": ([("wrap", None, 2, 0), ("edge", None, 0, 3)], (2, 3), (Choice("circular", overflow="periodic"), "replicate")),
    "two constants": ([("constant", 1.0, 2, 0), ("constant", -1.0, 0, 3)], (2, 3), Choice("constant", left=1.0, right=-1.0)),
    "zeros and a constant": ([("constant", 0.0, 2, 0), ("constant", -1.0, 0, 3)], (2, 3), Choice("constant", left=0.0, right=-1.0)),
    "one constant in two Pads": ([("constant", 1.0, 2, 0), ("constant", 1.0, 0, 3)], (2, 3), Choice("constant", value=1.0)),
    "zeros around zeros": ([("constant", 0.0, 2, 1), ("constant", None, 1, 3)], (3, 4), "zeros"),
    "the edge twice": ([("edge", None, 2, 0), ("edge", None, 1, 3)], (3, 3), "replicate"),
    "nothing in between": ([("reflect", None, 2, 0), ("edge", None, 0, 0), ("constant", 1.5, 0, 3)], (2, 3), ("reflect", Choice("constant", value=1.5))),
    "one side alone": ([("edge", None, 2, 0)], (2, 0), "replicate"),
}  # fmt: skip


@pytest.mark.parametrize(("chain", "widths", "mode"), READ.values(), ids=READ)
def test_what_is_read(chain, widths, mode):
    """Widths and modes, and a Conv of a larger model by its name."""
    found = read(model_of(chain)).policy
    expected = cp.policy("onnx").evolve(padding=widths, padding_mode=mode)
    assert (found.padding, found.padding_mode) == (expected.padding, expected.padding_mode)
    assert read(model_of(chain), "output").policy == found


REFUSED = {
    "reflect behind another side": (
        [("constant", 1.5, 3, 0), ("reflect", None, 0, 2)],
        "got reflect on the right, which repeats samples of Pad node 'pad0' if the input has 2 samples or fewer; put it first, or give the input",
    ),
    "wrap behind another side": (
        [("reflect", None, 2, 0), ("wrap", None, 0, 3)],
        "'pad1' must read samples of the input only, got circular on the right, which repeats samples of Pad node 'pad0'; put it first",
    ),
    "two modes on one side": (
        [("reflect", None, 2, 0), ("constant", 0.0, 1, 3)],
        "'pad1' must be the only Pad of its side, got zeros on the left after Pad node 'pad0', which adds reflect there; merge the two",
    ),
    "reflect twice": (
        [("reflect", None, 2, 0), ("reflect", None, 1, 0)],
        "'pad1' must be the only Pad of its side, got reflect on the left after Pad node 'pad0', which adds reflect there",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    """One sentence each, with both nodes."""
    chain, says = REFUSED[name]
    with pytest.raises(cp.InvalidValueError, match=says):
        read(model_of(chain))


def test_a_fixed_length_is_enough_for_a_reflection():
    """Of three samples the reflection of two reads the input alone, of two it reads the other Pad."""
    chain = REFUSED["reflect behind another side"][0]
    assert read(model_of(chain, 3)).policy.padding_mode == cp.policy("onnx").evolve(padding_mode=(Choice("constant", value=1.5), "reflect")).padding_mode  # fmt: skip
    with pytest.raises(cp.InvalidValueError, match="must read samples of the input only"):
        read(model_of(chain, 2))


def compared():
    """Every two Pads of these kinds and widths: how many are read, and those of which some length gives something else."""
    count, wrong = 0, []
    onnxruntime.set_default_logger_severity(4)  # what it refuses is expected
    for first, second, one, two, said in itertools.product(KINDS, KINDS, WIDTHS, WIDTHS, LENGTHS):
        chain = [(*first, *one), (*second, *two)]
        model = model_of(chain, said)
        try:
            found = read(model)
        except cp.ConvPolicyError:
            continue
        count += 1
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        layer = cp.Conv1d(1, 1, 1, policy=found.policy, weight_init=found.weight)
        for length in range(1, 8) if said is None else [said]:
            data = np.arange(1, length + 1, dtype=np.float32)[None, None]
            if result(lambda data=data: session.run(None, {"input": data})[0]) != result(lambda data=data: layer(data)):
                wrong.append((chain, said, length))
    onnxruntime.set_default_logger_severity(2)
    return count, wrong


def result(call):
    """The numbers that a call gives, or None where it refuses."""
    try:
        return call().tolist()
    except Exception:
        return None


def test_what_is_read_is_exact():
    """At every length that the graph takes, ONNX Runtime and the policy give the same numbers, or both refuse."""
    count, wrong = compared()
    assert wrong == []
    assert count > 200


@pytest.mark.parametrize("name", ["circular", "reflect"])
def test_a_reader_that_looks_at_each_pad_alone_would_show(name, monkeypatch):
    """The comparison finds lengths at which a reflection or a wrap repeats what the first Pad added."""
    right = pads._together

    def alone(node, side, own, other, new, length):
        return right(node, side, own, pads.NOTHING if new.mode.name == name else other, new, length)

    monkeypatch.setattr(pads, "_together", alone)
    assert compared()[1]

"""Transposed convolutions against ONNX Runtime's own ConvTranspose, to the bit, and against the float64 reference."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import onnx
import onnxruntime
import pytest
from transposed_nodes import IN, LAYERS, OUT, TWO_COMPUTATIONS, built, ideal, node_model, random, run, run_node

import convpolicy as cp
from convpolicy import reference
from convpolicy_onnx import natives

Choice = cp.Choice
BACKEND = cp.backends()["onnx"]
POLICIES = {"onnx": None, "onnx-same-upper": "SAME_UPPER", "onnx-same-lower": "SAME_LOWER"}
# padding and output_padding, as a user of the node writes them; None: the policy's own
ARGUMENTS = {
    "onnx": ((None, 0), (None, 1), ("VALID", 0), ("VALID", 2), (1, 0), ((2, 1), 1), ((0, 9), 0), ((9, 0), 2)),
    "onnx-same-upper": ((None, 0), (None, 1), (None, 3)),
    "onnx-same-lower": ((None, 0), (None, 1), (None, 3)),
}
layers = pytest.mark.parametrize(("options", "operators"), LAYERS.values(), ids=LAYERS)


@pytest.mark.grid(every=4)
@pytest.mark.parametrize("kernel", range(1, 10))
@pytest.mark.parametrize("policy", POLICIES)
def test_the_policies_are_onnx_runtimes_own_node_to_the_bit(policy, kernel):
    """Strides 1-5, dilations 1-3, groups, each auto_pad, pads and output_padding: the same bits, or a refusal by both."""
    compared = refused = 0
    sizes = itertools.product((1, 2, 3, 4, 5), (1, 2, 3), ARGUMENTS[policy])
    for number, (stride, dilation, (padding, output_padding)) in enumerate(sizes):
        groups, has_bias = (1, 2)[number % 2], bool(number // 2 % 2)
        spec = cp.ConvSpec.of(IN, OUT, kernel, stride, dilation, groups, transposed=True)
        weight, bias = random(*spec.weight_shape), random(OUT) if has_bias else None
        word = POLICIES[policy] if padding is None else padding
        node = natives.build(spec, {"padding": word, "output_padding": output_padding, "bias": has_bias})
        natives.give(node, {"weight": weight, "bias": bias})
        try:
            layer = cp.ConvTranspose1d(
                IN, OUT, kernel, stride, padding, output_padding, groups, has_bias, dilation, policy=policy, backend="onnx",
                weight_init=weight, bias_init=bias, seed=0,
            )  # fmt: skip
        except cp.InvalidValueError as error:
            assert "output_padding must be below" in str(error)
            layer = None
        for length in (1, 6):
            data = random(2, IN, length)
            try:
                expected = natives.run(node, data)
            except Exception:  # refused by ONNX Runtime
                assert layer is None or not layer.policy.plan(kernel, stride, dilation, length=length).length_out
                refused += 1
                continue
            assert layer is not None, (spec, padding, output_padding, length)
            output = layer(data)
            assert (output.dtype, output.shape) == (expected.dtype, expected.shape)
            assert output.tobytes() == expected.tobytes(), (spec, padding, output_padding, length)
            compared += 1
    assert compared >= 50
    assert compared + refused == 2 * 15 * len(ARGUMENTS[policy])


@pytest.mark.grid(every=2)
@pytest.mark.parametrize("kernel", [1, 2, 3, 5, 8])
def test_output_shape_is_onnx_runtimes_own(kernel):
    """Each length that the node accepts, with and without auto_pad and output_padding; without auto_pad the extra cut is left."""
    compared = 0
    words = itertools.product((1, 2, 3, 5), (1, 2), (None, "SAME_UPPER", "SAME_LOWER", "VALID"), (0, 1), range(-4, 5))
    for stride, dilation, auto_pad, output_padding, more in words:
        spec = cp.ConvSpec.of(IN, OUT, kernel, stride, dilation, 1, transposed=True)
        shape = 2 * stride + spec.effective_kernel + more
        if shape < 1 or (stride + dilation + more) % 2:
            continue
        weight, data = random(*spec.weight_shape), random(1, IN, 3)
        side = "right" if auto_pad == "SAME_UPPER" else "left"
        rule = Choice("onnx_output_shape", output_shape=shape, odd_side=side, output_padding=output_padding)
        attributes = {"output_shape": [shape], "output_padding": [output_padding]} | ({"auto_pad": auto_pad} if auto_pad else {})
        if more >= stride or (output_padding and output_padding >= stride):
            with pytest.raises(cp.InvalidValueError, match=r"output_(shape|padding) must be below"):
                built({"padding": rule, "bias": False, "weight_init": weight}, kernel, stride, dilation)(data)
            with pytest.raises(Exception, match=r"output_shape is inconsistent|output_padding"):
                run_node(data, weight, None, spec, **attributes)
            continue
        layer = built({"padding": rule, "bias": False, "weight_init": weight}, kernel, stride, dilation)
        expected = run_node(data, weight, None, spec, **attributes)
        assert layer(data).shape == expected.shape
        assert layer(data).tobytes() == expected.tobytes(), (spec, attributes)
        assert layer(random(1, IN, 4)).shape[2] == shape  # the same length for a longer input
        compared += 1
    assert compared >= 60


@layers
def test_the_saved_model_is_the_layer(options, operators, tmp_path):
    """One model for every batch and length: its nodes, the layer's bits, and the float64 reference."""
    layer = built(options)
    model = layer.model()
    assert [node.op_type for node in model.graph.node] == operators
    assert model == layer.model(9)
    assert not any(attribute.name == "auto_pad" for node in model.graph.node for attribute in node.attribute)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, tmp_path / "layer.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "layer.onnx"), providers=["CPUExecutionProvider"])
    for batch, length in ((1, 8), (3, 9), (2, 21)):
        data = random(batch, IN, length)
        output = layer(data)
        assert session.run(None, {"input": data})[0].tobytes() == output.tobytes()
        assert layer(data[0]).tobytes() == layer(data[:1])[0].tobytes()
        assert layer(data[:0]).shape == (0, *output.shape[1:])
        expected, bound = ideal(layer.plan(length), layer.weight, layer.bias, data)
        assert output.shape == expected.shape
        assert (np.abs(output - expected) <= bound).all()
    assert pickle.loads(pickle.dumps(layer))(data).tobytes() == layer(data).tobytes()


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, 9])
def test_every_crop_is_the_reference(kernel):
    """Every crop, on both sides of the kernel and the stride: within the tolerance of float64."""
    compared = 0
    for stride, dilation, (name, (options, _operators)) in itertools.product((1, 2, 3, 5), (1, 3), LAYERS.items()):
        try:
            layer = built(options, kernel, stride, dilation)
        except cp.InvalidValueError:
            continue
        for length in (2, 7):
            plan = layer.policy.plan(kernel, stride, dilation, length=length)
            data = random(1, IN, length)
            if not plan.length_out:
                with pytest.raises(cp.InvalidValueError, match="too short"):
                    layer(data)
                continue
            output, (expected, bound) = layer(data), ideal(plan, layer.weight, layer.bias, data)
            assert output.shape == expected.shape
            assert (np.abs(output - expected) <= bound).all(), (name, stride, dilation, length)
            compared += 1
    assert compared >= 150


def test_a_model_of_one_length():
    """A rule that depends on the length needs it."""
    layer = built({"padding": Choice("onnx_output_shape", output_shape=13)})
    with pytest.raises(cp.InvalidValueError, match="length must be a number for padding onnx_output_shape"):
        layer.model()
    assert run(layer.model(6), random(1, IN, 6)).shape == (1, OUT, 13)


FAULTS = {
    "the other side": lambda weights, options: (weights, options | {"padding": (1, 2)}),
    "axes exchanged": lambda weights, options: ({**weights, "weight": weights["weight"].transpose(1, 0, 2)}, options),
    "kernel reversed": lambda weights, options: ({**weights, "weight": weights["weight"][..., ::-1]}, options),
    "bias reversed": lambda weights, options: ({**weights, "bias": weights["bias"][::-1]}, options),
    "one sample more": lambda weights, options: (weights, options | {"padding": (2, 0)}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_layer_is_rejected(fault):
    """The comparison with the reference tells a layer with a fault from the right one."""
    square, data = {"weight": random(IN, IN, 5), "bias": random(IN)}, random(2, IN, 7)

    def output(weights, options):
        layer = cp.ConvTranspose1d(IN, IN, 5, 2, bias=True, policy="onnx", backend="onnx", **options)
        BACKEND.assign(layer, weights)
        return layer(data)

    options = {"padding": (2, 1)}
    result = reference.conv_transpose1d(data, square["weight"], square["bias"], left=2, right=1, stride=2)
    bound = TWO_COMPUTATIONS * reference.tolerance("float32", result.terms, result.magnitude)
    assert (np.abs(output(square, options) - result.output) <= bound).all()
    wrong = output(*FAULTS[fault](square, options))
    assert wrong.shape != result.output.shape or not (np.abs(wrong - result.output) <= bound).all()


def test_the_wrong_side_of_same_is_rejected():
    """ONNX Runtime's SAME_UPPER and SAME_LOWER differ for an odd total; exchanged, the outputs of the real node show it."""
    spec = cp.ConvSpec.of(IN, OUT, 5, 2, 1, 1, transposed=True)
    weight, data = random(*spec.weight_shape), random(1, IN, 6)
    for word, other in (("SAME_UPPER", "onnx-same-lower"), ("SAME_LOWER", "onnx-same-upper")):
        expected = run_node(data, weight, None, spec, auto_pad=word)
        wrong = cp.ConvTranspose1d(IN, OUT, 5, 2, policy=other, backend="onnx", weight_init=weight)(data)
        assert wrong.shape == expected.shape
        assert not np.allclose(wrong, expected)


def test_where_onnxs_reference_evaluator_differs():
    """With a kernel below the stride it gives ``length * stride`` samples for SAME, ONNX Runtime and the policy fewer."""
    from onnx.reference import ReferenceEvaluator

    weight, data = random(IN, OUT, 2), random(1, IN, 6)
    for word, policy in (("SAME_UPPER", "onnx-same-upper"), ("SAME_LOWER", "onnx-same-lower")):
        model = node_model(weight, None, strides=[3], auto_pad=word, kernel_shape=[2], group=1, dilations=[1])
        layer = cp.ConvTranspose1d(IN, OUT, 2, 3, policy=policy, backend="onnx", weight_init=weight)
        assert layer(data).tobytes() == run(model, data).tobytes()
        assert (layer(data).shape[2], ReferenceEvaluator(model).run(None, {"input": data})[0].shape[2]) == (17, 18)

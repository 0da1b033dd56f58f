"""Transposed convolutions against ONNX Runtime's own ConvTranspose, to the bit, and against the float64 reference."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import convpolicy as cp
from convpolicy import reference
from convpolicy_onnx import natives, read

Choice = cp.Choice
IN, OUT = 4, 6
BACKEND = cp.backends()["onnx"]
TWO_COMPUTATIONS = 2  # the tolerance bounds one of them
POLICIES = {"onnx": None, "onnx-same-upper": "SAME_UPPER", "onnx-same-lower": "SAME_LOWER"}
# padding and output_padding, as a user of the node writes them; None: the policy's own
ARGUMENTS = {
    "onnx": ((None, 0), (None, 1), ("VALID", 0), ("VALID", 2), (1, 0), ((2, 1), 1), ((0, 9), 0), ((9, 0), 2)),
    "onnx-same-upper": ((None, 0), (None, 1), (None, 3)),
    "onnx-same-lower": ((None, 0), (None, 1), (None, 3)),
}
PADDED, WRAPPED = ["ConvTranspose", "Pad", "Add"], ["ConvTranspose", "Shape", "Sub", "Mod", "Add", "Neg", "Mod", "Concat", "Pad", "Concat", "Reshape", "ReduceSum", "Add"]  # fmt: skip
LAYERS = {  # what is asked for -> the operators of its model
    "default": ({}, ["ConvTranspose"]),
    "cut": ({"padding": (3, 1)}, ["ConvTranspose"]),
    "causal": ({"padding": "causal"}, ["ConvTranspose"]),
    "same": ({"padding": "same_lower"}, ["ConvTranspose"]),
    "output_padding": ({"padding": 1, "output_padding": 1, "groups": 2}, ["ConvTranspose"]),
    "kept": ({"padding": (1, -1)}, ["ConvTranspose"]),
    "appended": ({"padding": (1, -2)}, PADDED),
    "appended left": ({"padding": (-1, 2), "groups": 2}, PADDED),
    "appended, without bias": ({"padding": (-1, 2), "bias": False}, PADDED[:2]),
    "appended and cut": ({"padding": (-3, 8)}, ["ConvTranspose", "Pad", "Slice", "Add"]),
    "cut and appended": ({"padding": (8, -3)}, ["ConvTranspose", "Pad", "Slice", "Add"]),
    "circular": ({"padding": (2, 1), "padding_mode": "circular"}, WRAPPED),
    "circular, appended": ({"padding": (-1, 3), "padding_mode": "circular", "groups": 2}, WRAPPED),
    "circular, many turns": ({"padding": (9, 6), "padding_mode": "circular", "bias": False}, WRAPPED[:-1]),
}  # fmt: skip
layers = pytest.mark.parametrize(("options", "operators"), LAYERS.values(), ids=LAYERS)


def random(*shape, seed=0):
    """Random numbers, the same at every call."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def built(options, kernel=4, stride=2, dilation=1, **more):
    """A layer of 4 -> 6 channels with a bias."""
    words = {"bias": True, "policy": "onnx", "backend": "onnx", "seed": 3, "dilation": dilation}
    return cp.ConvTranspose1d(IN, OUT, kernel, stride, **(words | options | more))


def run_node(data, weight, bias, spec, **attributes):
    """The output of a ConvTranspose node with these attributes in ONNX Runtime."""
    sizes = {"strides": [spec.stride], "dilations": [spec.dilation], "group": spec.groups, "kernel_shape": [spec.kernel_size]}
    return run(node_model(weight, bias, **sizes, **attributes), data)


def node_model(weight, bias, **attributes):
    """A model with one ConvTranspose node."""
    tensors = {"w": weight} | ({} if bias is None else {"b": bias})
    node = helper.make_node("ConvTranspose", ["input", *tensors], ["output"], name="up", **attributes)
    return model_of([node], tensors)


def model_of(nodes, tensors):
    """A model of these nodes."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("input", nodes[-1].output[0])]
    graph = helper.make_graph(
        nodes, "g", values[:1], values[1:], [numpy_helper.from_array(v, name) for name, v in tensors.items()]
    )
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 19)])


def run(model, data):
    """What ONNX Runtime makes of a model."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"input": data})[0]


def ideal(plan, weight, bias, data):
    """The float64 reference of a layer, and the tolerance of two computations."""
    result = reference.conv_transpose1d(
        data, weight, bias, left=plan.left, right=plan.right, mode=plan.mode, stride=plan.stride, dilation=plan.dilation,
        groups=OUT // weight.shape[1],
    )  # fmt: skip
    return result.output, TWO_COMPUTATIONS * reference.tolerance("float32", result.terms, result.magnitude)


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
            except Exception:  # refused by ONNX Runtime; with output_padding >= stride the policy onnx computes more than it
                is_longer = stride <= output_padding < dilation and policy == "onnx"
                assert layer is None or is_longer or not layer.policy.plan(kernel, stride, dilation, length=length).length_out
                refused += 1
                continue
            output = layer(data)
            assert (output.dtype, output.shape) == (expected.dtype, expected.shape)
            assert output.tobytes() == expected.tobytes(), (spec, padding, output_padding, length)
            compared += 1
    assert compared >= 50
    assert compared + refused == 2 * 15 * len(ARGUMENTS[policy])


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
        layer = built({"padding": rule, "bias": False, "weight_init": weight}, kernel, stride, dilation)
        if more >= stride or (output_padding and output_padding >= stride):
            with pytest.raises(cp.InvalidValueError, match=r"output_(shape|padding) must be below"):
                layer(data)
            with pytest.raises(Exception, match=r"output_shape is inconsistent|output_padding"):
                run_node(data, weight, None, spec, **attributes)
            continue
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


READ = {
    "defaults": ({}, None),
    "pads": ({"pads": [3, 1], "group": 2}, None),
    "output_padding": ({"pads": [1, 1], "output_padding": [1], "strides": [3], "dilations": [2]}, None),
    "SAME_UPPER": ({"auto_pad": "SAME_UPPER", "strides": [3]}, "onnx-same-upper"),
    "SAME_LOWER": ({"auto_pad": "SAME_LOWER", "strides": [2], "output_padding": [1]}, "onnx-same-lower"),
    "SAME_UPPER, kernel below stride": ({"auto_pad": "SAME_UPPER", "strides": [7]}, "onnx-same-upper"),
    "VALID": ({"auto_pad": "VALID", "strides": [2], "output_padding": [1]}, None),
    "output_shape": ({"output_shape": [14], "strides": [2]}, None),
    "output_shape of three axes": ({"output_shape": [1, OUT, 15], "strides": [2]}, None),
    "output_shape, SAME_UPPER": ({"output_shape": [14], "strides": [2], "auto_pad": "SAME_UPPER"}, "onnx-same-upper"),
    "output_shape and pads": ({"output_shape": [14], "strides": [2], "pads": [2, 0]}, None),
}


@pytest.mark.parametrize(("attributes", "policy"), READ.values(), ids=READ)
@pytest.mark.parametrize("has_bias", [True, False])
def test_a_node_is_read(attributes, policy, has_bias, tmp_path):
    """From a file: sizes, policy, weight and bias; built again it has the node's bits, and NumPy agrees with the reference."""
    weight, bias = random(IN, OUT // attributes.get("group", 1), 5), random(OUT) if has_bias else None
    model, data = node_model(weight, bias, **attributes), random(1, IN, 6)
    onnx.save(model, tmp_path / "up.onnx")
    found = read(tmp_path / "up.onnx")
    assert found.spec.transposed
    assert (found.spec.in_channels, found.spec.out_channels) == (IN, OUT)
    assert (found.policy.name, found.policy.bias) == (policy or "onnx", has_bias)
    captured = cp.capture(model)
    assert captured.weight.tobytes() == weight.tobytes()
    assert captured.policy == found.policy
    expected = run(model, data)
    assert captured.build("onnx")(data).tobytes() == expected.tobytes()
    plan = found.policy.plan(5, found.spec.stride, found.spec.dilation, length=6)
    reference_output, bound = ideal(plan, weight, bias, data)
    assert reference_output.shape == expected.shape
    assert (np.abs(captured.build("numpy")(data) - reference_output) <= bound).all()


@layers
def test_a_layer_is_captured(options, operators):
    """Capture, NumPy, capture, ONNX: every bit of the weights and of the outputs."""
    layer, data = built(options), random(2, IN, 9)
    captured = cp.capture(layer)
    again = cp.port(captured.build("numpy"), to="onnx")
    assert again.weight.tobytes() == layer.weight.tobytes()
    assert again(data).tobytes() == layer(data).tobytes()
    assert np.array_equal(layer.weight, cp.policy("onnx").half().initial(IN, OUT, 4, options.get("groups", 1), seed=3)["weight"])


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


def pad_before():
    """A Pad and a ConvTranspose."""
    pad = helper.make_node("Pad", ["input", "pads"], ["padded"], name="pad")
    up = helper.make_node("ConvTranspose", ["padded", "w"], ["output"], name="up")
    return model_of([pad, up], {"pads": np.array([0, 0, 1, 0, 0, 1]), "w": random(2, 2, 3)})


REFUSED = {
    "float64": (lambda: built({}, dtype="float64"), "dtype must be one of float32 for backend 'onnx'"),
    "reflect": (lambda: built({"padding_mode": "reflect"}), "padding_mode of a transposed convolution must be one of zeros, circular"),
    "output_padding": (lambda: built({}, policy="onnx-same-upper", output_padding=2), "output_padding must be below stride=2, as ONNX Runtime requires, got 2"),
    "everything is cut": (lambda: built({"padding": 9})(random(1, IN, 2)), "input of length 2 is too short: 9 and 9 samples are cut"),
    "channels": (lambda: built({})(random(1, 9, IN)), r"input must have shape \(batch, 4, length\) or .* got \(1, 9, 4\); put"),
    "empty": (lambda: built({})(random(1, IN, 0)), "input must have at least one sample"),
    "an output_size that SAME cannot give": (
        lambda: cp.policy("onnx-same-upper").half().plan(5, 2, length=6, output_size=13),
        "output_size must be 12 for crop rule 'onnx_same_upper', whose parameter output_padding does not lengthen this output, got 13",
    ),
    "a Pad before": (lambda: read(pad_before(), "up"), "ConvTranspose node 'up' must read the input of the model, got the output of Pad node 'pad'"),
    "more nodes": (lambda: read(built({"padding": (-1, 2)}).model()), "only one ConvTranspose and its padding, got also Add, Pad; name"),
    "2-D": (lambda: read(node_model(random(2, 2, 3, 3), None)), "must be a 1-D convolution with a weight of 3 axes"),
    "attributes": (lambda: read(node_model(random(2, 2, 3), None, output_padding=[2])), r"ConvTranspose node 'up' cannot be read: .*output_padding must be below max"),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_refusals(fault):
    """Each in one sentence, with what came."""
    call, says = REFUSED[fault]
    with pytest.raises(cp.InvalidValueError, match=says):
        call()


def test_where_onnxs_reference_evaluator_differs():
    """With a kernel below the stride it gives ``length * stride`` samples for SAME, ONNX Runtime and the policy fewer."""
    from onnx.reference import ReferenceEvaluator

    weight, data = random(IN, OUT, 2), random(1, IN, 6)
    for word, policy in (("SAME_UPPER", "onnx-same-upper"), ("SAME_LOWER", "onnx-same-lower")):
        model = node_model(weight, None, strides=[3], auto_pad=word, kernel_shape=[2], group=1, dilations=[1])
        layer = cp.ConvTranspose1d(IN, OUT, 2, 3, policy=policy, backend="onnx", weight_init=weight)
        assert layer(data).tobytes() == run(model, data).tobytes()
        assert (layer(data).shape[2], ReferenceEvaluator(model).run(None, {"input": data})[0].shape[2]) == (17, 18)

"""The transposed layers of the backend against the real paddle.nn.Conv1DTranspose and the float64 reference."""

from __future__ import annotations

import copy
import itertools
import pickle
import re

import paddle
import pytest
from helpers.transposed import IN, KERNELS, OUT, Sizes, grid, ideal, is_within, judge, random
from helpers.transposed_layers import LENGTHS, forward_same_cut, gradients, judge_gradients, same_bits, weights
from paddle import nn

import convpolicy as cp
from convpolicy.frameworks.paddle.transposed import CutConv1DTranspose

Choice = cp.Choice
BACKEND = cp.backends()["paddle"]
SIZES = (Sizes(4, 2, 1, 1), Sizes(5, 3, 2, 2), Sizes(2, 5, 1, 4), Sizes(3, 3, 1, 1), Sizes(7, 4, 3, 2))
# label -> padding, padding mode, what is cut, and True if Paddle's own layer can do it
CUTS = {
    "number": (1, "zeros", lambda sizes: (1, 1), True),
    "pair": ((1, 3), "zeros", lambda sizes: (1, 3), True),
    "output padding": (Choice("explicit", left=1, right=1, output_padding=1), "zeros", lambda sizes: (1, 0), True),
    "appended": ((1, -1), "zeros", lambda sizes: (1, -1), True),
    "appended left": ((-3, 1), "zeros", lambda sizes: (-3, 1), False),
    "appended far": ((1, -9), "zeros", lambda sizes: (1, -9), False),
    "circular": ((2, 3), "circular", lambda sizes: (2, 3), False),
    "circular, wide": ((7, 9), "circular", lambda sizes: (7, 9), False),
}
CASES = [(label, sizes) for label, sizes in itertools.product(CUTS, SIZES)]
each_case = pytest.mark.parametrize(("label", "sizes"), CASES, ids=str)
each_cut = pytest.mark.parametrize("label", CUTS)


def native(sizes: Sizes, padding=0, output_padding=0, bias=True, **keywords):
    """Paddle's own layer."""
    kernel, stride, dilation, groups, _bias = sizes
    own = list(padding) if isinstance(padding, tuple) else padding
    return nn.Conv1DTranspose(
        IN, OUT, kernel, stride, own, output_padding, groups, dilation, bias_attr=None if bias else False, **keywords
    )


def ours(sizes: Sizes, padding=None, mode=None, output_padding=None, **keywords):
    """The same layer through a policy, Paddle's own unless said otherwise."""
    kernel, stride, dilation, groups, _bias = sizes
    keywords = {"policy": "paddle", "backend": "paddle"} | keywords
    return cp.ConvTranspose1d(
        IN, OUT, kernel, stride, padding, output_padding, groups, dilation=dilation, padding_mode=mode, **keywords
    )


def assigned(layer, weight, bias):
    """Write weight (in, out/groups, kernel) and bias into a layer of either kind."""
    BACKEND.assign(layer, {"weight": weight, "bias": bias})
    return layer


def paddings(sizes: Sizes):
    """Everything that Paddle's layer accepts: padding and output_padding."""
    numbers = itertools.product((0, 1, (2, 1), "VALID"), {0, min(1, sizes.stride - 1), sizes.stride - 1})
    words = [("SAME", 0), ("same", sizes.stride - 1), ("valid", 0)] if sizes.dilation == 1 else [("valid", 0)]
    yield from itertools.chain(numbers, words)


def cut_of(padding, output_padding, sizes, length):
    """What Paddle cuts, by its source."""
    pads = {"SAME": forward_same_cut(sizes, length), "VALID": (0, 0)}.get(str(padding).upper(), padding)
    left, right = pads if isinstance(pads, tuple) else (pads, pads)
    return left, right - output_padding


@pytest.mark.grid(every=3)
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_policy_paddle_is_paddles_own_layer_to_the_bit(kernel):
    """Strides 1-5, dilations 1-3, groups 1, 2 and depthwise, with and without bias, every padding, in float32 and float64."""
    compared = 0
    for number, sizes in enumerate(grid(kernel)):
        for turn, (padding, output_padding) in enumerate(paddings(sizes)):
            dtype, has_bias = ("float64", "float32")[(number + turn) % 5 > 0], bool(number % 2)
            weight, bias = weights(number, sizes, dtype)
            own = assigned(native(sizes, padding, output_padding, has_bias).to(dtype=dtype), weight, bias if has_bias else None)
            layer = ours(sizes, padding, output_padding=output_padding, bias=has_bias, dtype=dtype)
            assert type(layer) is nn.Conv1DTranspose
            assigned(layer, weight, bias if has_bias else None)
            for length in LENGTHS:
                if sizes.full(length) <= sum(cut_of(padding, output_padding, sizes, length)):
                    continue
                data = random(length, 2, IN, length, dtype=dtype)
                same_bits(BACKEND.run(own, data), BACKEND.run(layer, data), (sizes, padding, output_padding, length))
                compared += 1
    assert compared > 500


def test_output_paddings_that_paddle_refuses():
    """Strides, dilations and output_paddings up to 5: the policy refuses what Paddle does, whatever the dilation, and nothing else."""

    def paddles_own(sizes, output_padding):
        return native(sizes, output_padding=output_padding)(paddle.ones([1, IN, 4])).shape[2]

    def through_the_policy(sizes, output_padding, policy="paddle"):
        return (
            cp.ConvTranspose1d(IN, OUT, *sizes[:2], 0, output_padding, dilation=sizes.dilation, policy=policy).plan(4).length_out
        )

    verdicts = []
    for stride, dilation, output_padding in itertools.product(range(1, 6), range(1, 6), range(6)):
        sizes, lengths = Sizes(3, stride, dilation, 1), []
        for length_of in (paddles_own, through_the_policy):
            try:
                lengths.append(length_of(sizes, output_padding))
            except ValueError as error:
                assert re.search("output_padding|Output_height and padding", str(error))
                lengths.append(None)
        assert lengths[0] == lengths[1], (sizes, output_padding)
        verdicts.append(lengths[0] is None)
    assert 20 < sum(verdicts) < 130
    with pytest.raises(
        cp.ConvPolicyError, match="output_padding must be below the stride, 1, under policy 'paddle', as paddle requires"
    ):
        through_the_policy(Sizes(3, 1, 4, 1), 2)
    named = cp.policy("paddle").evolve(name="mine")
    assert through_the_policy(Sizes(3, 1, 4, 1), 2, named) == 14


@pytest.mark.parametrize("kernel", KERNELS)
def test_paddles_own_layer_is_the_reference(kernel):
    """What words, pairs and output_padding cut; the policy plans it; the other side and the other kernel order are seen."""
    for number, sizes in enumerate(grid(kernel)):
        choices = list(paddings(sizes))
        padding, output_padding = choices[number % len(choices)]
        weight, bias = weights(number, sizes)
        for length in (4, 5):
            cut = cut_of(padding, output_padding, sizes, length)
            if sizes.full(length) <= sum(cut):
                continue
            data = random(number, 1, IN, length)
            output = BACKEND.run(assigned(native(sizes, padding, output_padding), weight, bias), data)
            judge(output, data, weight, bias, cut, sizes, says=(padding, output_padding))
            policy = cp.ConvTranspose1d(1, 1, 1, padding=padding, policy="paddle")._request.policy
            words = dict(policy.padding.params) | ({"output_padding": output_padding} if output_padding else {})
            plan = policy.evolve(padding=Choice(policy.padding.name, **words)).plan(*sizes[:3], length=length)
            assert (plan.left, plan.right) == cut
            if cut[0] != cut[1]:
                assert not is_within(output, ideal(data, weight, bias, cut[::-1], sizes))
            if kernel > 1:
                assert not is_within(output, ideal(data, weight[..., ::-1], bias, cut, sizes))


def test_same_follows_the_forward_rule_of_the_length():
    """Kernel 7, stride 4: 22 samples from 6 and 46 from 12, where Keras's 'same' has 24 and 48; every length up to 19."""
    policy = cp.policy("paddle").half().evolve(padding="SAME")
    assert [policy.length(length, 7, 4) for length in (6, 12)] == [22, 48]
    assert policy.length(16, 16, 8) == 128
    for kernel, stride in itertools.product((1, 2, 4, 7, 9), (1, 2, 3, 4, 5)):
        sizes = Sizes(kernel, stride, 1, 1)
        layer = native(sizes, "SAME")
        for length in range(1, 20):
            plan = policy.plan(kernel, stride, length=length)
            assert (plan.left, plan.right) == forward_same_cut(sizes, length)
            assert BACKEND.run(layer, random(0, 1, IN, length)).shape[2] == plan.length_out


@each_case
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_cut_is_the_reference(label, sizes, dtype):
    """Also those that Paddle's own layer lacks, for two lengths."""
    padding, mode, cut, is_native = CUTS[label]
    layer = assigned(ours(sizes, padding, mode, dtype=dtype), *weights(5, sizes, dtype))
    assert type(layer) is (nn.Conv1DTranspose if is_native else CutConv1DTranspose)
    for length in (9, 14):
        data = random(length, 2, IN, length, dtype=dtype)
        output = BACKEND.run(layer, data)
        assert output.dtype == dtype
        judge(output, data, *weights(5, sizes, dtype), cut(sizes), sizes, mode)


@each_case
def test_gradients(label, sizes):
    """d(sum of output · random) by input, weight and bias are the exact ones within the rounding bound of float32."""
    padding, mode, cut, _native = CUTS[label]
    layer = assigned(ours(sizes, padding, mode), *weights(5, sizes))
    data = random(0, 2, IN, 9)
    upstream = random(1, 2, OUT, sizes.full(9) - sum(cut(sizes)))
    found = BACKEND.gradients(layer, data, upstream)
    expected = gradients(data, weights(5, sizes)[0], upstream, cut(sizes), sizes, mode)
    judge_gradients(found, expected)
    with pytest.raises(AssertionError, match="weight"):
        judge_gradients({**found, "weight": found["weight"][::-1]}, expected)


def test_output_size():
    """The call's output_size, on Paddle's own layer and on the subclass: the length asked for, and the same refusals."""
    sizes = Sizes(5, 3, 1, 1)
    own, cut = ours(sizes, 1), ours(sizes, (-2, 1))
    data = paddle.to_tensor(random(0, 1, IN, 7))
    for layer, least in ((own, 21), (cut, 24)):
        weight, bias = weights(3, sizes)
        assigned(layer, weight, bias)
        for extra in (0, 1, 2):
            for size in (least + extra, [least + extra]):
                output = layer(data, output_size=size).numpy()
                judge(output, data.numpy(), weight, bias, (1 if layer is own else -2, 1 - extra), sizes)
        for size in (least - 1, least + 3):
            with pytest.raises(ValueError, match="output_size"):
                layer(data, output_size=size)
    with pytest.raises(cp.InvalidValueError, match="output_size must be from 24 to 26 for an input of length 7, got 27; pass"):
        cut(data, output_size=27)


def test_what_paddle_refuses_is_refused():
    """Dilation with SAME, which Paddle ignores; an output_padding of at least the stride, with which it fails when it runs."""
    sizes = Sizes(3, 2, 2, 1)
    undilated = assigned(native(sizes._replace(dilation=1), "SAME"), *weights(0, sizes))
    own = assigned(native(sizes, "SAME"), *weights(0, sizes))
    same_bits(*(BACKEND.run(layer, random(0, 1, IN, 7)) for layer in (own, undilated)), "SAME")
    for backend in ("paddle", "numpy"):
        with pytest.raises(
            cp.ConvPolicyError, match=r"dilation must be 1, got 2, which Paddle's 'SAME' silently sets to 1; .*pair"
        ):
            ours(sizes, "SAME", backend=backend)
    for output_padding in (2, 3):
        with pytest.raises((ValueError, RuntimeError)):
            native(Sizes(3, 2, 3, 1), 0, output_padding)(paddle.to_tensor(random(0, 1, IN, 7)))
        with pytest.raises(
            cp.ConvPolicyError,
            match=f"output_padding must be below the stride, 2, under policy 'paddle', as paddle requires for every dilation, got {output_padding}",
        ):
            ours(Sizes(3, 2, 1, 1), "SAME", output_padding=output_padding)
    with pytest.raises(cp.ConvPolicyError, match="output_padding must be below the stride, 2, under policy 'paddle'"):
        ours(Sizes(3, 2, 1, 1), 1, output_padding=2)


REFUSED = {
    "dtype": (lambda: ours(SIZES[0], dtype="float16"), "dtype must be one of float32, float64 for backend 'paddle', got 'float16'"),
    "channels": (lambda: ours(SIZES[0], (-1, 0))(paddle.to_tensor(random(0, 1, 9, 4))), r"input must have shape \(batch, 4, length\), got \(1, 9, 4\); put"),
    "axes": (lambda: ours(SIZES[0], (-1, 0))(paddle.to_tensor(random(0, 4, 9))), "input must have shape"),
    "everything cut": (lambda: ours(SIZES[0], (-1, 9))(paddle.to_tensor(random(0, 1, 4, 1))), "input of length 1 is too short: -1 and 9 samples are cut"),
    "mode": (lambda: ours(SIZES[0], mode="reflect"), "padding_mode of a transposed convolution must be one of zeros, circular, got 'reflect'"),
    "groups": (lambda: ours(Sizes(3, 1, 1, 3)), "in_channels must be divisible by groups"),
    "name": (lambda: ours(SIZES[0], "full"), "unknown crop rule 'full'"),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_refusals(fault):
    """Each is a ConvPolicyError and says what came."""
    call, says = REFUSED[fault]
    with pytest.raises(cp.ConvPolicyError, match=says):
        call()


@each_cut
def test_state_dicts_copies_pickles_and_an_empty_batch(label):
    """A native state dict loads; a deep copy and a pickle compute the same; weights are trainable; no items give no outputs."""
    padding, mode, _cut, is_native = CUTS[label]
    layer, own, data = ours(SIZES[0], padding, mode), native(SIZES[0]), paddle.to_tensor(random(0, 2, IN, 9))
    assert list(layer.state_dict()) == list(own.state_dict())
    layer.set_state_dict(own.state_dict())
    same_bits(layer.weight.numpy(), own.weight.numpy(), label)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        same_bits(other(data).numpy(), layer(data).numpy(), label)
    assert [p.stop_gradient for p in layer.parameters()] == [False, False]
    assert ("policy='paddle'" in repr(layer)) == (not is_native)
    assert layer(paddle.zeros([0, IN, 9])).shape == [0, *layer(data).shape[1:]]
    assert str(ours(SIZES[0], padding, mode, device="cpu", seed=0).weight.place) == "Place(cpu)"


@pytest.mark.grid(every=2)
@pytest.mark.filterwarnings("ignore:Tensor do not have 'place' interface:UserWarning")  # paddle's own, while it traces
@pytest.mark.parametrize("label", [*CUTS, "SAME"])
def test_to_static(label):
    """As paddle.jit.to_static does it by default, for every length that comes, and as one graph for one length."""
    padding, mode = CUTS[label][:2] if label in CUTS else ("SAME", "zeros")
    layer = ours(SIZES[0], padding, mode)
    static = paddle.jit.to_static(copy.deepcopy(layer))
    for length in (9, 14, 20):
        data = paddle.to_tensor(random(length, 2, IN, length))
        same_bits(static(data).numpy(), layer(data).numpy(), length)
    spec = [paddle.static.InputSpec([None, IN, 9], "float32")]
    whole = paddle.jit.to_static(copy.deepcopy(layer), input_spec=spec, full_graph=True)
    data = paddle.to_tensor(random(0, 2, IN, 9))
    same_bits(whole(data).numpy(), layer(data).numpy(), label)

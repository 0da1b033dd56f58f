"""States of Mamba, causal-conv1d, `transformers` and NeMo become states of a stream and back; the stream goes on as the other library does."""

from __future__ import annotations

import numpy as np
import pytest

import convpolicy as cp


def test_too_few_columns_and_other_states():
    """They are refused with the numbers."""
    causal = cp.streaming(cp.Conv1d(2, 2, 5, padding="causal"))
    with pytest.raises(cp.InvalidValueError, match=r"columns must be at least the last 4 samples .* got 3"):
        causal.state_from(np.zeros((1, 2, 3), "f4"))
    with pytest.raises(cp.InvalidValueError, match=r"columns must have shape \(batch, 2, length\)"):
        causal.state_from(np.zeros((1, 3, 4), "f4"))
    with pytest.raises(cp.InvalidValueError, match="count must be at least 4, got 2"):
        causal.columns(causal.initial_state(), count=2)
    mirrored = cp.streaming(cp.Conv1d(2, 2, 5, 4, padding=2, padding_mode="reflect"))
    with pytest.raises(cp.InvalidTypeError, match="the state 'pending', 'start', 'tail', 'seen'"):
        mirrored.state_from(np.zeros((1, 2, 4), "f4"))


def test_other_conventions_are_refused():
    """An unknown one, one of other layers, columns of another one, a state between two hops, and a layer that must know the length."""
    causal, strided = (cp.streaming(cp.Conv1d(2, 2, 5, stride, padding="semicausal")) for stride in (1, 2))
    with pytest.raises(
        cp.InvalidValueError, match="convention must be one of mamba, causal-conv1d, transformers, nemo, got 'vllm'"
    ):
        causal.columns(causal.initial_state(), convention="vllm")
    with pytest.raises(
        cp.InvalidValueError, match=r"start with as many added samples as the layer, 3, got 'nemo', whose layers add 4"
    ):
        strided.columns(strided.initial_state(), convention="nemo")
    with pytest.raises(cp.InvalidValueError, match=r"columns must be 5 samples for convention 'mamba' .* got 4"):
        causal.state_from(np.zeros((1, 2, 4), "f4"), "mamba")
    with pytest.raises(cp.InvalidValueError, match="count must be left out for a convention, got 5"):
        causal.columns(causal.initial_state(), 5, convention="mamba")
    _outputs, state = strided.step(np.zeros((1, 2, 3), "f4"), strided.initial_state())
    with pytest.raises(
        cp.InvalidValueError, match=r"multiple of the stride 2 for convention 'transformers', .* one that keeps 4"
    ):
        strided.columns(state, convention="transformers")
    mimi = cp.streaming(cp.Conv1d(2, 2, 5, 2, padding="mimi", padding_mode="replicate"))
    with pytest.raises(cp.InvalidValueError, match="samples must be the number of samples so far"):
        mimi.state_from(np.zeros((1, 2, 3), "f4"))
    with pytest.raises(cp.InvalidValueError, match="state must be one after the first 1 samples, got one after 0"):
        mimi.columns(mimi.initial_state())


def convolved(weight, padded, stride, groups):
    """The outputs of a convolution of padded data."""
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[-1], axis=-1)[..., ::stride, :]
    parts = zip(np.split(windows, groups, axis=1), np.split(weight, groups))
    return np.concatenate([np.einsum("bcnk,ock->bon", *part) for part in parts], axis=1)


def whole_numbers(*shape, seed=0):
    """Random whole numbers, whose sums have no rounding."""
    return np.random.default_rng(seed).integers(-9, 9, shape).astype(np.float64)


def causal_conv1d(weight, x, initial_states, groups):
    """The published rule: the states stand before the input, and the last ``kernel_size - 1`` samples are the final states."""
    joined = np.concatenate([initial_states, x], axis=-1)
    return convolved(weight, joined, 1, groups), joined[..., -initial_states.shape[-1] :]


def nemo_step(weight, x, cache, stride=1, groups=1):
    """The published rule of a cached call: zeros on the right only, of which none stays in the cache; the last output is dropped."""
    right = stride - 1
    joined = np.concatenate([cache, x, np.zeros((*x.shape[:2], right))], axis=-1)
    outputs = convolved(weight, joined, stride, groups)
    return (outputs[..., :-1] if right else outputs), joined[..., : joined.shape[-1] - right][..., -cache.shape[-1] :]


RULES = {  # convention -> its rule, the layers, and how these pad
    "causal-conv1d": (causal_conv1d, {"groups": 4}, (3, 0)),
    "nemo": (nemo_step, {"groups": 4}, (3, 0)),
    "nemo, strided": (nemo_step, {"stride": 2}, (3, 1)),
}


@pytest.mark.parametrize("name", RULES)
def test_a_stream_goes_on_where_the_other_library_stopped(name):
    """Two chunks there, two here, and the other way round: the outputs of the whole, without rounding."""
    rule, sizes, padding = RULES[name]
    convention = name.partition(",")[0]
    layer = cp.Conv1d(4, 4, 4, **sizes, padding=padding, bias=False, dtype="float64", seed=0)
    layer.weight[:] = whole_numbers(*layer.weight.shape, seed=1)
    streaming, x = cp.streaming(layer), whole_numbers(2, 4, 24)
    chunks = np.split(x, [6, 12, 20], axis=-1)
    cache, state, outputs, back = np.zeros((2, 4, 3)), streaming.initial_state(2), [], []
    assert np.array_equal(streaming.columns(state, convention=convention), cache)
    for chunk in chunks[:2]:
        output, cache = rule(layer.weight, chunk, cache, **sizes)
        outputs.append(output)
        output, state = streaming.step(chunk, state)
        back.append(output)
    assert np.array_equal(streaming.columns(state, convention=convention), cache)
    theirs, state = streaming.columns(state, convention=convention), streaming.state_from(cache, convention, samples=12)
    for chunk in chunks[2:]:
        output, state = streaming.step(chunk, state)
        outputs.append(output)
        output, theirs = rule(layer.weight, chunk, theirs, **sizes)
        back.append(output)
    whole = layer(x)
    assert np.array_equal(np.concatenate([*outputs, streaming.flush(state)] if padding[1] else outputs, axis=-1), whole)
    assert np.array_equal(np.concatenate(back, axis=-1), whole[..., : sum(output.shape[-1] for output in back)])
    wrong = streaming.state_from(cache[..., ::-1], convention, samples=12)  # columns in the wrong order are noticed
    assert not np.array_equal(streaming.step(chunks[2], wrong)[0], outputs[2])


@pytest.mark.needs("torch", "transformers")
def test_mamba_of_transformers():
    """The convolution of a Mamba block: its state after six tokens becomes that of the stream, and the other way round."""
    import torch
    from transformers.models.mamba.modeling_mamba import MambaConfig, MambaModel

    torch.manual_seed(0)
    model = MambaModel(MambaConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, state_size=4)).eval()
    mixer = model.layers[0].mixer
    causal = cp.Conv1d(16, 16, 4, groups=16, padding="causal", backend="torch")
    causal.load_state_dict(mixer.conv1d.state_dict())
    streaming = cp.streaming(causal)
    seen = []  # the input of the convolution: the first half of the projected channels
    hook = mixer.in_proj.register_forward_hook(lambda _module, _data, output: seen.append(output.transpose(1, 2)[:, :16]))
    with torch.no_grad():
        result = model(torch.tensor([[1, 2, 3, 4, 5, 6]]), use_cache=True)
        hook.remove()
        theirs = result.cache_params.layers[0].conv_states[0]  # (batch, channels, kernel_size)
        _outputs, state = streaming.step(seen[0], streaming.initial_state())
        assert torch.equal(streaming.state_from(theirs, "mamba")["pending"], state["pending"])
        assert torch.equal(streaming.columns(state, convention="mamba")[..., 1:], theirs[..., 1:])


def padding_cache(layers):
    """A cache of these layers of Mimi."""
    from transformers.models.mimi.modeling_mimi import MimiConv1dPaddingCache

    return MimiConv1dPaddingCache(
        num_layers=len(layers),
        per_layer_padding=[layer.padding_total for layer in layers],
        per_layer_padding_mode=[layer.pad_mode for layer in layers],
        per_layer_in_channels=[layer.in_channels for layer in layers],
    )


def small_mimi():
    """The configuration of a Mimi with few channels."""
    from transformers.models.mimi.modeling_mimi import MimiConfig

    return MimiConfig(num_filters=2, hidden_size=8, upsampling_ratios=[4, 3, 2])


@pytest.mark.needs("torch", "transformers")
@pytest.mark.parametrize("mode", ["constant", "replicate"])
def test_padding_cache_of_mimi(mode):
    """A strided convolution of Mimi: three chunks there, the rest here, to an end that is no multiple of the stride; and back."""
    import torch
    from transformers.models.mimi.modeling_mimi import MimiConv1d

    torch.manual_seed(0)
    layer = MimiConv1d(small_mimi(), 2, 4, 8, stride=4, layer_idx=0, pad_mode=mode)
    cache, x, streaming = padding_cache([layer]), torch.randn(1, 2, 26), cp.streaming(layer)
    with torch.no_grad():
        outputs = [layer(chunk, padding_cache=cache) for chunk in x[..., :12].split(4, -1)]
        state = streaming.state_from(cache.padding_cache[0], "transformers", samples=12)
        rest, state = streaming.step(x[..., 12:24], state)
        assert torch.equal(streaming.columns(state, convention="transformers"), x[..., 20:24])
        last, state = streaming.step(x[..., 24:], state)
        torch.testing.assert_close(torch.cat([*outputs, rest, last, streaming.flush(state)], -1), layer(x), rtol=0, atol=1e-5)


@pytest.mark.needs("torch", "transformers")
def test_padding_cache_of_a_whole_encoder():
    """Mimi's encoder: the names in the state are the paths of its layers, in the order of its cache."""
    import torch
    from transformers.models.mimi.modeling_mimi import MimiEncoder

    torch.manual_seed(0)
    encoder = MimiEncoder(small_mimi()).eval()
    names = encoder._conv1d_layer_names
    cache, x, streaming = (
        padding_cache([encoder.get_submodule(name) for name in names]),
        torch.randn(1, 1, 103),
        cp.streaming(encoder),
    )
    with torch.no_grad():
        outputs = [encoder(chunk, padding_cache=cache) for chunk in x[..., :72].split(24, -1)]
        state = streaming.initial_state()
        for name, columns in zip(names, cache.padding_cache):
            state[f"{name}.pending"] = columns
            if f"{name}.seen" in state:
                state[f"{name}.seen"] += 72  # only the rest of a stride counts
        rest, state = streaming.step(x[..., 72:], state)
        torch.testing.assert_close(torch.cat([*outputs, rest, streaming.flush(state)], -1), encoder(x), rtol=0, atol=1e-5)

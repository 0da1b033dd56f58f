"""States of Mamba and of `transformers` become states of a stream and back; the stream goes on as the other library does."""

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
    mirrored = cp.streaming(cp.Conv1d(2, 2, 5, padding=(4, 0), padding_mode="reflect"))
    with pytest.raises(cp.InvalidTypeError, match="the state 'pending', 'start'"):
        mirrored.state_from(np.zeros((1, 2, 4), "f4"))


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
        assert torch.equal(streaming.state_from(theirs)["pending"], state["pending"])
        assert torch.equal(streaming.columns(state, count=4)[..., 1:], theirs[..., 1:])


@pytest.mark.needs("torch", "transformers")
def test_padding_cache_of_mimi():
    """A strided convolution of Mimi: three chunks there, the rest here."""
    import torch
    from transformers.models.mimi import modeling_mimi as mimi

    torch.manual_seed(0)
    config = mimi.MimiConfig(num_filters=4, hidden_size=8)
    layer = mimi.MimiConv1d(config, 2, 4, 8, stride=4, layer_idx=0)
    cache = mimi.MimiConv1dPaddingCache(
        num_layers=1, per_layer_padding=[layer.padding_total], per_layer_padding_mode=[layer.pad_mode], per_layer_in_channels=[2]
    )
    x = torch.randn(1, 2, 24)
    causal = cp.Conv1d(2, 4, 8, 4, padding="semicausal", backend="torch")
    causal.load_state_dict(layer.conv.state_dict())
    streaming = cp.streaming(causal)
    with torch.no_grad():
        outputs = [layer(chunk, padding_cache=cache) for chunk in x[..., :12].split(4, -1)]
        state = streaming.state_from(cache.padding_cache[0])
        rest, state = streaming.step(x[..., 12:], state)
        torch.testing.assert_close(torch.cat([*outputs, rest], -1), layer(x), rtol=0, atol=1e-5)
        assert torch.equal(streaming.columns(state), x[..., -4:])

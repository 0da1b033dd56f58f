# %% [markdown]
# # How do I use padding that does not exist yet?
#
# A padding rule, a padding mode and an initializer of your own, without installing anything. They work on every backend.
# An installed plugin needs no call of `register`; see [convpolicy-tide](convpolicy-tide/README.md).

# %%
import numpy as np
from measured import difference

import convpolicy as cp


class LookaheadPlugin:
    @cp.hookimpl
    def convpolicy_padding_rules(self):
        # how many samples: (left, right). length is None unless the rule has needs_length=True
        return [cp.PaddingRule("lookahead", pads=lambda kernel, stride, dilation, length: (0, (kernel - 1) * dilation))]

    @cp.hookimpl
    def convpolicy_padding_modes(self):
        # which samples: positions are below 0 or from length on. Returns the input position that each one repeats
        return [cp.PaddingMode("first-sample", source=lambda positions, length: np.zeros_like(positions))]

    @cp.hookimpl
    def convpolicy_initializers(self):
        # initial values: an array of target.shape. draws gives random numbers
        return [cp.Initializer("binomial", draw=lambda draws, target: np.broadcast_to([0.25, 0.5, 0.25], target.shape))]


cp.register(LookaheadPlugin(), "lookahead")

# %% [markdown]
# A policy names the three parts.

# %%
policy = cp.policy("torch").evolve(
    name="mine", padding="lookahead", padding_mode="first-sample", weight_init="binomial", bias=False
)
print(policy)
print(policy.plan(3, length=4))

# %% [markdown]
# The layer against the same computation by hand, and on the other backends where PyTorch or MindSpore are installed.

# %%
signal = np.array([[[1.0, 2.0, 3.0, 4.0]]], dtype=np.float32)
layer = cp.Conv1d(1, 1, 3, policy=policy)
padded = [1.0, 2.0, 3.0, 4.0, 1.0, 1.0]
by_hand = np.convolve(padded, [0.25, 0.5, 0.25], mode="valid")[None, None]
print("output:", layer(signal)[0, 0].tolist())
print("largest difference from the computation by hand:", difference(layer(signal), by_hand))

backends = [cp.backends()[name] for name in ("numpy", "torch", "mindspore")]
layers = {backend: cp.Conv1d(1, 1, 3, policy=policy, backend=backend.name) for backend in backends if backend.is_installed()}
largest = max(difference(backend.run(layer, signal), by_hand) for backend, layer in layers.items())
print("largest difference on the installed backends:", largest)

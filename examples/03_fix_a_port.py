# %% [markdown]
# # My port is off by 1e-3. Why?
#
# A Keras layer was ported. Its real output is an array in `data/`; the port runs here, in NumPy.
# `why` searches for the smallest change of the port that reproduces the array.

# %%
from measured import difference, measured

import convpolicy as cp

keras = measured("keras")
x, weight = keras["x"], keras["weight5"]

# %% [markdown]
# ## Off by 1e-3
# The padding is right. The output is still a little off, at every position.

# %%
port = cp.Conv1d(4, 6, 5, stride=3, policy="keras", padding="same", bias=False, weight_init=weight)
print(f"largest difference: {difference(port(x), keras['same_half']):.1e}")

diagnosis = cp.why(port, keras["same_half"], x)
print(f"{diagnosis.verdict}, {diagnosis.change}")

# %% [markdown]
# Keras had loaded its weights from a checkpoint in half precision. The changed port reproduces its output.

# %%
changed = diagnosis.changed.build("numpy")
print("largest difference after the change:", difference(changed(x), keras["same_half"]))

# %% [markdown]
# ## The right shape, and wrong numbers
# Here someone wrote `padding=kernel_size // 2` for `padding="same"`. The shapes agree.

# %%
port = cp.Conv1d(4, 6, 5, stride=3, policy="torch", padding=2, bias=False, weight_init=weight)
for length in (20, 21, 22):
    signal, output = x[..., :length], keras[f"same.{length}"]
    diagnosis = cp.why(port, output, signal)
    print(f"length {length}: off by {difference(port(signal), output):.1f}; {diagnosis.change or diagnosis.verdict}")

# %% [markdown]
# Each length needs another padding: the rule depends on the length, as TensorFlow's SAME does.

# %%
port = cp.Conv1d(4, 6, 5, stride=3, policy="torch", padding="same_upper", bias=False, weight_init=weight)
largest = max(difference(port(x[..., :length]), keras[f"same.{length}"]) for length in (20, 21, 22))
print("largest difference with padding='same_upper', all lengths:", largest)

# %% [markdown]
# # Which padding is "same"?
#
# Several rules are called "same". They differ in which side gets the extra sample, and in what a stride does.
# Here each rule is tried on the outputs of real frameworks, stored in `data/`. NumPy only.

# %%
from measured import difference, measured

import convpolicy as cp

LENGTHS = (20, 21, 22)
RULES = ("same_upper", "same_lower", "same_static", "half")
CALLS = [  # framework, what its code says, name of the stored outputs, weight, stride
    ("keras", 'padding="same"', "same", "weight5", 3),
    ("mindspore", 'pad_mode="same"', "same", "weight5", 3),
    ("flax", 'padding="SAME_LOWER"', "same_lower", "weight5", 3),
    ("torch", "padding=kernel_size // 2", "padding2", "weight5", 3),
    ("torch", 'padding="same"', "same", "weight4", 1),
]

# %% [markdown]
# The rules for kernel size 5 and stride 3. At length 22 all of them add two samples on each side.

# %%
print("length" + "".join(f"{rule:>14}" for rule in RULES))
for length in LENGTHS:
    plans = [cp.policy("torch").evolve(padding=rule).plan(5, stride=3, length=length) for rule in RULES]
    print(f"{length:6}" + "".join(f"{f'({plan.left}, {plan.right})':>14}" for plan in plans))

# %% [markdown]
# One length does not tell the rules apart. Every rule reproduces Keras at length 22.

# %%


def largest(rule, framework, name, weight, stride, lengths):
    """The largest difference between a rule and a framework at several lengths; inf: an output has another length."""
    arrays = measured(framework)
    out_channels, in_channels, kernel_size = arrays[weight].shape
    options = {"padding": rule, "bias": False, "weight_init": arrays[weight]}
    layer = cp.Conv1d(in_channels, out_channels, kernel_size, stride, **options)
    return max(difference(layer(arrays["x"][..., :length]), arrays[f"{name}.{length}"]) for length in lengths)


print("Keras at length 22:", {rule: largest(rule, "keras", "same", "weight5", 3, [22]) for rule in RULES})

# %% [markdown]
# Three lengths do. 0.0 means: this rule is what the framework does.
# Two rules fit PyTorch's code, because they are equal for an odd kernel size (`padding=kernel_size // 2`)
# or for stride 1 (`padding="same"`, which refuses other strides).

# %%
print(f"{'largest difference at lengths 20, 21, 22':42}" + "".join(f"{rule:>13}" for rule in RULES))
for framework, code, *stored in CALLS:
    numbers = [largest(rule, framework, *stored, LENGTHS) for rule in RULES]
    print(f"{f'{framework} {code}':42}" + "".join(f"{number:13.1f}" for number in numbers))

same_upper = max(largest("same_upper", framework, "same", "weight5", 3, LENGTHS) for framework in ("keras", "mindspore"))
print("Keras and MindSpore are same_upper, largest difference:", same_upper)

# %% [markdown]
# # Which weights does a framework start from?
#
# Every framework draws other initial weights, also from the same seed.
# Here they are drawn with NumPy alone, and compared with weights that the real frameworks drew after seed 0.

# %%
import numpy as np
from measured import measured

import convpolicy as cp

FRAMEWORKS = ("torch", "keras", "mindspore")
for name in FRAMEWORKS:
    weight = cp.policy(name).initial(4, 6, 4, seed=0)["weight"]
    print(f"{name:10} first weights {weight.ravel()[:3].round(3)}, standard deviation {weight.std():.3f}")

# %% [markdown]
# Two layers in a row come from one random stream, in the order in which the framework builds them.
# `pack` gives them the framework's own names and axes.


# %%
def two_layers(name):
    """Initial weights of Conv1d(4, 6, 4) and Conv1d(6, 2, 3) after seed 0, by the framework's own names."""
    policy, stream = cp.policy(name), cp.random_stream(name, seed=0)
    layout = cp.layouts()[policy.layout.name]
    layers = [layout.pack(policy.initial(*sizes, stream=stream)) for sizes in ((4, 6, 4), (6, 2, 3))]
    return {f"{number}.{key}": array for number, layer in enumerate(layers) for key, array in layer.items()}


for name in FRAMEWORKS:
    stored = {key.removeprefix("initial."): array for key, array in measured(name).items() if key.startswith("initial.")}
    drawn = two_layers(name)
    equal = sum(int((array.view(np.uint32) == drawn[key].view(np.uint32)).sum()) for key, array in stored.items())
    print(f"{name:10} {', '.join(drawn)}: {equal} of {sum(array.size for array in drawn.values())} numbers have the same bits")

# %% [markdown]
# # What happens at the ends of my signal?
#
# An electrocardiogram lies far from zero, so zeros at its ends pull the first and the last outputs up.
# Here one smoothing kernel runs over it with every padding mode. NumPy only: the signal is synthetic, five waves per beat
# on a baseline that breathing moves.

# %%
import numpy as np
from measured import difference

import convpolicy as cp

WAVES = {  # seconds from the R wave, height, width in seconds
    "P": (-0.20, 18, 0.025),
    "Q": (-0.05, -12, 0.010),
    "R": (0.00, 160, 0.011),
    "S": (0.05, -25, 0.010),
    "T": (0.28, 40, 0.040),
}
time = np.arange(1024) / 256  # four seconds
ecg = 12 * np.sin(2 * time) - 90
for beat in (0.3, 1.2, 2.1, 3.0, 3.9):
    for at, height, width in WAVES.values():
        ecg += height * np.exp(-(((time - beat - at) / width) ** 2) / 2)
ecg = np.round(ecg).astype(np.float32)[None, None]  # (batch, channels, length), whole numbers

kernel = np.minimum(np.arange(1, 33), np.arange(32, 0, -1)).astype(np.float32)  # 32 samples: a triangle, whole numbers too


def smooth(**options):
    """Pad and convolve; the kernel is divided out afterwards, so that the sums are exact."""
    return cp.Conv1d(1, 1, 32, policy="mindspore", weight_init=kernel[None, None], **options)(ecg)


# %% [markdown]
# The mode decides what the first output is. The signal itself starts near -90.

# %%
MODES = {"zeros": "constant", "replicate": "edge", "reflect": "reflect", "symmetric": "symmetric", "circular": "wrap"}
for mode in MODES:
    print(f"{mode:10} first output {smooth(padding_mode=mode)[0, 0, 0] / kernel.sum():7.2f}")

# %% [markdown]
# The extra sample of an even kernel moves the whole signal by one sample, left or right.

# %%
left, right = smooth(padding="same_lower"), smooth(padding="same_upper")
print(f"extra sample left or right, largest difference: {difference(left, right) / kernel.sum():.1f}")
print("largest difference after a shift by one sample:", difference(left[..., 1:], right[..., :-1]))

# %% [markdown]
# Every mode against NumPy's own `pad` and `convolve`.


# %%
def by_numpy(name):
    """Pad 15 samples on the left and 16 on the right, and convolve."""
    return np.convolve(np.pad(ecg[0, 0], (15, 16), mode=name), kernel, mode="valid")[None, None]


largest = max(difference(smooth(padding_mode=mode), by_numpy(name)) for mode, name in MODES.items())
print("largest difference from numpy.pad and numpy.convolve, all modes:", largest)

"""A real signal, the electrocardiogram in PyWavelets: one smoothing kernel, and what every policy does to its ends."""

import mindspore
import numpy as np
import pywt
import torch
from side_by_side import compare

import convpolicy as cp

signal = pywt.data.ecg().astype(np.float32)[None, None]  # (1, 1, 1024)
kernel = np.hanning(34)[1:-1].astype(np.float32)  # 32 samples, an even number: its 'same' needs 31, an odd total
kernel = (kernel / kernel.sum())[None, None]


def smooth(data, backend="numpy", **options):
    layer = cp.Conv1d(1, 1, 32, bias=False, weight_init=kernel, backend=backend, **options)
    if backend == "torch":
        return layer(torch.from_numpy(data)).detach().numpy()
    return layer(mindspore.Tensor(data)).asnumpy() if backend == "mindspore" else layer(data)


print("policy          length out   first three samples")
for name in (name for name in cp.policies() if cp.policy(name).framework):
    print(f"{name:15} {smooth(signal, policy=name).shape[2]:>10}   {smooth(signal, policy=name)[0, 0, :3].round(2)}")

print("\nThe electrode sits near", int(signal[0, 0, :10].mean()), "units, so zeros pull the first outputs up. The mode decides:")
for mode in ("zeros", "replicate", "reflect", "symmetric", "circular"):
    first = smooth(signal, policy="mindspore", padding_mode=mode)[0, 0, 0]
    print(f"{mode:10} first output {first:8.2f}")

print("\nThe odd element, left or right, moves the whole signal by one sample:")
left, right = smooth(signal, padding="torch-left"), smooth(signal, padding="mindspore-right")
print("as they are:", np.array_equal(left, right), " shifted by one:", np.array_equal(left[..., 1:], right[..., :-1]))

print()
for backend in ("torch", "mindspore"):
    options = {"policy": "mindspore", "padding_mode": "reflect"}
    compare(f"numpy and {backend}", smooth(signal, **options), smooth(signal, backend, **options), signal, kernel)

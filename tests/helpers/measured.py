"""Pads that were measured on the frameworks, and what they refuse."""

from __future__ import annotations

# measured (left, right) -> length_out for (kernel, stride, dilation, length); None: the framework refuses
COLUMNS = [(4, 1, 1, 10), (3, 2, 1, 10), (3, 2, 1, 11), (5, 3, 1, 10), (4, 1, 3, 10), (3, 1, 2, 10), (3, 2, 2, 10)]
SAME_UPPER = [(1, 2, 10), (0, 1, 5), (1, 1, 6), (2, 2, 4), (4, 5, 10), (2, 2, 10), (1, 2, 5)]
SAME_LOWER = [(2, 1, 10), (1, 0, 5), (1, 1, 6), (2, 2, 4), (5, 4, 10), (2, 2, 10), (2, 1, 5)]
CAUSAL = [(3, 0, 10), (2, 0, 5), (2, 0, 6), (4, 0, 4), (9, 0, 10), (4, 0, 10), (4, 0, 5)]
TORCH_SAME = [(1, 2, 10), None, None, None, (4, 5, 10), (2, 2, 10), None]
NOT_BOTH = ("keras", "keras-torch", "keras-jax", "tensorflow")  # refuse a stride and a dilation above 1 in one layer

"""The real frameworks behind one small interface, for `convpolicy verify` and nothing else.

Every module has the same functions; arrays are NumPy's, in the framework's own axes and under its own names:

- ``version() -> str``
- ``seed(number)``: the framework's own seeding function
- ``build(spec, words) -> layer``: its own Conv1d with weights, from sizes and the arguments a user would write in ``words``:
  ``padding``, ``padding_mode``, ``bias``
- ``parameters(layer) -> {name: array}``
- ``give(layer, parameters)``: write them
- ``run(layer, data) -> array``
"""

from __future__ import annotations

import importlib
from types import ModuleType

MARK = "convpolicy-row "  # before every row that `natives.claims` prints; frameworks print much else
# policy -> its module here, and the environment its process needs
NATIVES: dict[str, tuple[str, dict[str, str]]] = {
    "torch": ("torch", {}),
    "mindspore": ("mindspore", {}),
    "mindspore@2.0": ("mindspore", {}),
    "tensorflow": ("keras", {"KERAS_BACKEND": "tensorflow"}),
    "keras": ("keras", {"KERAS_BACKEND": "tensorflow"}),
    "keras-torch": ("keras", {"KERAS_BACKEND": "torch"}),
    "keras-jax": ("keras", {"KERAS_BACKEND": "jax"}),
    "flax": ("flax_nnx", {}),
    "flax-linen": ("flax_linen", {}),
    "paddle": ("paddle", {}),
}


def native(policy: str) -> ModuleType:
    """Import the module of a policy's framework.

    Raises:
        ImportError: the framework is not installed.
    """
    return importlib.import_module(f"convpolicy.natives.{NATIVES[policy][0]}")

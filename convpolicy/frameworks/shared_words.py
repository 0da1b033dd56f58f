"""Names that several frameworks have in common."""

from __future__ import annotations

from typing import Any

from convpolicy.layers.backend import Backend
from convpolicy.registry.deferred import lazy

SAME_OR_VALID = (("same", "same_upper"), ("valid", "valid"))


def backend(name: str, module: str, **fields: Any) -> Backend:
    """Return a backend whose functions are imported when they are first called.

    Args:
        name: of the backend, and of its framework unless ``framework=`` says otherwise.
        module: import path of the module with ``build``, ``run``, ``parameters``, ``assign`` and ``gradients``.
        **fields: of `Backend`, which win over these.
    """
    functions = {function: lazy(module, function) for function in ("build", "run", "parameters", "assign", "gradients")}
    return Backend(name, **{**functions, "framework": name, "install": f"convpolicy[{name}]", **fields})

"""Names that several frameworks share, and the backend that most of them register."""

from __future__ import annotations

from typing import Any

from convpolicy.layers.backend import Backend
from convpolicy.registry.deferred import lazy

SAME_OR_VALID = (("same", "same_upper"), ("valid", "valid"))


def backend(name: str, module: str, **fields: Any) -> Backend:
    """Return a backend that imports its functions when they are first called.

    Args:
        name: name of the backend, and of its framework unless ``framework=`` is passed.
        module: import path of the module with ``build``, ``run``, ``parameters``, ``assign`` and ``gradients``.
        **fields: fields of `Backend`; they replace the defaults set here.
    """
    functions = {function: lazy(module, function) for function in ("build", "run", "parameters", "assign", "gradients")}
    return Backend(name, **{**functions, "framework": name, "install": f"convpolicy[{name}]", **fields})

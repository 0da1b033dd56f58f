"""One call, translated."""

from __future__ import annotations

import ast


def line(code: str) -> str:
    """The statement that binds the layer, on one line."""
    statement = next(node for node in ast.parse(code).body if isinstance(node, ast.Assign))
    return ast.unparse(statement)

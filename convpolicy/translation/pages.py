"""Every Conv1d call of a file, found by what its names were imported as; nothing of it is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from convpolicy.translation.sources import SOURCES
from convpolicy.translation.values import dotted

PATHS = {path: name for name, source in SOURCES.items() for path in source.paths}
# what a fragment without imports means by its names
CUSTOMARY = {
    "torch": {"torch": "torch", "nn": "torch.nn"},
    "mindspore": {"mindspore": "mindspore", "ms": "mindspore", "nn": "mindspore.nn", "mint": "mindspore.mint"},
    "keras": {"keras": "keras", "layers": "keras.layers", "tf": "tensorflow", "tensorflow": "tensorflow"},
    "flax": {"flax": "flax", "nnx": "flax.nnx"},
    "paddle": {"paddle": "paddle", "nn": "paddle.nn"},
}


class Mention(NamedTuple):
    """One place where a Conv1d class stands in a file: the dialect it is of, the node, and whether it is called."""

    dialect: str
    node: ast.expr
    called: bool


class Names:
    """What the names of a file stand for: imports, plain aliases, and for a fragment without them what is customary."""

    def __init__(self, tree: ast.Module, framework: str) -> None:
        self._paths: dict[str, str] = {}
        self._stars: list[str] = []
        own = {node.name for node in ast.walk(tree) if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))}
        for node in ast.walk(tree):
            self._import(node)
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                target, path = node.targets[0].id, self.resolve(node.value)
                if path is not None and target not in self._paths and any(f"{known}.".startswith(f"{path}.") for known in PATHS):
                    self._paths[target] = path
        customary = CUSTOMARY[framework] | {path.rpartition(".")[2]: path for path in SOURCES[framework].paths}
        for name, path in customary.items():
            if name not in own and not self._stars and name not in self._paths:
                self._paths[name] = path

    def _import(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self._paths[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            for alias in node.names:
                if alias.name == "*":
                    self._stars.append(node.module)
                else:
                    self._paths[alias.asname or alias.name] = f"{node.module}.{alias.name}"

    def resolve(self, node: ast.AST) -> str | None:
        """Return the full dotted name that a name or attribute stands for, or None when it is no plain name."""
        name = dotted(node)
        if name is None:
            return None
        head, dot, rest = name.partition(".")
        if head in self._paths:
            return f"{self._paths[head]}{dot}{rest}"
        return next((f"{star}.{name}" for star in self._stars if f"{star}.{name}" in PATHS), name)


def mentions(tree: ast.Module, names: Names) -> Iterator[Mention]:
    """Yield every Conv1d class of any framework that is named in a file, in the order of the text."""
    called = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Name, ast.Attribute)) or not isinstance(node.ctx, ast.Load):
            continue
        dialect = PATHS.get(names.resolve(node) or "")
        if dialect is not None:
            found.append(Mention(dialect, called.get(id(node), node), id(node) in called))
    yield from sorted(found, key=lambda mention: (mention.node.lineno, mention.node.col_offset))


def targets_of(tree: ast.Module) -> Mapping[int, str]:
    """Return ``id(call) -> name`` for calls that are all of the right side of an assignment."""
    bound = {}
    for node in ast.walk(tree):
        single: Any = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        name = dotted(single[0]) if len(single) == 1 else None
        if name is not None and isinstance(node.value, ast.Call):  # type: ignore[attr-defined]
            bound[id(node.value)] = name  # type: ignore[attr-defined]
    return bound

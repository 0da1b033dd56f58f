"""Names and imports that a translation adds to a file: names that the file does not use, and the place after its imports."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping

from convpolicy.translation.bindings import Page
from convpolicy.translation.file_text import Edit, FileText

Imported = tuple[str, str]  # name that an import binds, and the path that it refers to


def imported(statement: str) -> Imported:
    """Return the name that an import statement binds, and its path."""
    node = ast.parse(statement).body[0]
    assert isinstance(node, (ast.Import, ast.ImportFrom))
    alias = node.names[0]
    prefix = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
    return alias.asname or alias.name, f"{prefix}{alias.name}"


def import_as(statement: str, name: str) -> str:
    """Return an import statement that binds another name."""
    return statement if imported(statement)[0] == name else f"{statement.partition(' as ')[0]} as {name}"


def renamed(code: str, names: Mapping[str, str]) -> str:
    """Return generated code with other names."""
    file = FileText(code)
    edits = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name) and node.id in names:
            edits.append(Edit(*file.range(node), names[node.id]))
        elif isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name in names:
            start = file.text.index(node.name, file.range(node)[0] + len("def "))
            edits.append(Edit(start, start + len(node.name), names[node.name]))
    return file.applied(0, len(code), edits)


class FreeNames:
    """The names of a file, and new ones that it does not use.

    Args:
        page: the file.
        first: line of the first layer that is translated.
    """

    def __init__(self, page: Page, first: int) -> None:
        self._page, self._first = page, first
        self._bound: Counter[str] = Counter()
        self._used: set[str] = set()
        for node in ast.walk(page.tree):
            name = (
                node.id if isinstance(node, ast.Name) else node.arg if isinstance(node, ast.arg) else getattr(node, "name", None)
            )
            if isinstance(node, ast.alias):
                name = node.asname or node.name.partition(".")[0]
            if isinstance(node, (ast.Global, ast.Nonlocal)):
                self._used |= {*node.names}
                self._bound.update(node.names)
            if isinstance(node, ast.MatchMapping):
                name = node.rest
            if isinstance(name, str):
                self._used.add(name)
                self._bound[name] += not (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load))

    def fresh(self, *names: str) -> str:
        """Return the first of these names that the file does not use, or the last one with a number, and reserve it."""
        free = next((name for name in names if name not in self._used), None)
        number = 2
        while free is None:
            free = f"{names[-1]}_{number}" if f"{names[-1]}_{number}" not in self._used else None
            number += 1
        self._used.add(free)
        return free

    def is_used(self, name: str) -> bool:
        """Return True if the file or the translation uses a name."""
        return name in self._used

    def imports(self, statement: str) -> bool:
        """Return True if the file has this import, before the first layer, and binds its name nowhere else."""
        name, path = imported(statement)
        nodes = [
            node for node in self._page.tree.body if isinstance(node, (ast.Import, ast.ImportFrom)) and node.lineno < self._first
        ]
        binding = [alias for node in nodes for alias in node.names if (alias.asname or alias.name.partition(".")[0]) == name]
        bindings = self._page.module.bindings.get(name, [])
        return len(binding) == self._bound[name] > 0 and all(binding.path == path for binding in bindings)

    def alias(self, statement: str) -> str:
        """Return the name for a new import, which is that of the statement if the file does not use it."""
        name, path = imported(statement)
        package = path.partition(".")[0]
        return self.fresh(name, f"{package}_{name}" if package != name else f"{name}_package")


def insertion(file: FileText, tree: ast.Module, lines: set[int], imports: list[str], block: list[str]) -> Edit:
    """Return the edit that adds imports and a block of code after the imports at the top of a file.

    Args:
        file: text of the file.
        tree: its syntax tree.
        lines: lines of the layers; a statement that has one is not at the top.
        imports: import statements.
        block: lines that follow the imports after an empty line.
    """
    last, following = _last_import(tree, lines)
    inner = [*imports, *(["", *block] if block else [])]
    end = file.newline
    if last is None:
        assert following is not None
        start = file.starts[file.row(file.range(following)[0])]
        return Edit(start, start, end.join([*inner, "", "", ""] if block else [*inner, "", ""]))
    head = [""] if isinstance(last, ast.Expr) else []  # after a docstring
    shared = _on_line(tree, last)
    row = (shared[-1].end_lineno or 1) - 1
    if any(number in range(node.lineno, row + 2) for node in shared for number in lines):  # `import a; layer = …`
        first = shared[0]
        if isinstance(first, (ast.Import, ast.ImportFrom)) and getattr(first, "module", "") != "__future__":
            start = file.starts[first.lineno - 1]
            return Edit(start, start, end.join([*inner, *([""] * 2 if block else []), ""]))
        behind = next(node for node in tree.body if node.lineno == last.end_lineno and node.col_offset > last.col_offset)
        return Edit(file.range(last)[1], file.range(behind)[0], end.join(["", *inner, *([""] * 2 if block else []), ""]))
    is_tight = row + 1 < len(file.starts) and bool(file.line(row + 1).strip())
    return Edit(file.stop(row), file.stop(row), end.join(["", *head, *inner, *([""] * 2 if block and is_tight else [])]))


def _on_line(tree: ast.Module, last: ast.stmt) -> list[ast.stmt]:
    """Return the statements of the line on which a statement ends, and of the lines on which these end."""
    shared = [node for node in tree.body if node.lineno <= last.lineno <= (node.end_lineno or 0)]
    for node in tree.body:
        if node.lineno == shared[-1].end_lineno and node not in shared:
            shared.append(node)
    return shared


def _last_import(tree: ast.Module, lines: set[int]) -> tuple[ast.stmt | None, ast.stmt | None]:
    """Return the last import of the block at the top, or the docstring, and the statement after it."""
    last = None
    for number, node in enumerate(tree.body):
        is_docstring = number == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        inside = {*range(node.lineno, (node.end_lineno or node.lineno) + 1)}
        is_guarded = isinstance(node, (ast.If, ast.Try, ast.With)) and not (inside & lines)
        is_import = isinstance(node, (ast.Import, ast.ImportFrom))
        if (
            is_docstring
            or is_import
            or (is_guarded and any(isinstance(part, (ast.Import, ast.ImportFrom)) for part in ast.walk(node)))
        ):
            last = number
        elif not _is_setting(node) or inside & lines:
            break
    following = 0 if last is None else last + 1
    return None if last is None else tree.body[last], tree.body[following] if following < len(tree.body) else None


def _is_setting(node: ast.stmt) -> bool:
    """Return True for a statement that often stands among imports: ``__all__ = …``, ``sys.path.insert(…)``, ``pass``."""
    if isinstance(node, ast.Assign):
        return all(isinstance(target, ast.Name) and target.id.startswith("__") for target in node.targets)
    return isinstance(node, (ast.Pass, ast.Expr))

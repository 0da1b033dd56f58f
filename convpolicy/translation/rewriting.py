"""Write the translation of a file as a file: its convolutions are replaced in place, and every other character stays as it is."""

from __future__ import annotations

import ast
import textwrap
from bisect import bisect_left, insort
from typing import NamedTuple

import attrs

from convpolicy.errors import ConvPolicyError, InvalidValueError, PluginError
from convpolicy.translation.calls import CHANNELS_NOTE
from convpolicy.translation.file_comments import comment, common_notes, containers, notes_of, reason_of
from convpolicy.translation.file_text import Edit, FileText, Remark
from convpolicy.translation.functions import with_code
from convpolicy.translation.import_block import FreeNames, import_as, imported, insertion, renamed
from convpolicy.translation.reading import Request
from convpolicy.translation.snippets import Snippet
from convpolicy.translation.source_file import Row, SourceFile
from convpolicy.translation.values import Expression, in_parentheses, text_of
from convpolicy.translation.writing import WIDEST

UNKNOWN = Expression("__in_channels__")  # stands for the unknown number of input channels
FILL = '''\
def {name}(layer, *fills):
    """Call functions that change a layer, such as its initialization, and return the layer."""
    for fill in fills:
        fill(layer)
    return layer
'''


class _Code(NamedTuple):
    """A translated layer: the statement or expression that it replaces, and the snippet with the names of this file."""

    row: Row
    node: ast.expr | ast.stmt
    snippet: Snippet
    statement: ast.stmt | None  # the assignment that the snippet's statements follow


@attrs.define(eq=False)
class _File:
    """A file while it is rewritten."""

    source: SourceFile
    text: FileText
    free: FreeNames
    names: dict[str, str] = attrs.field(factory=dict)  # name in generated code -> name in this file
    imports: dict[str, None] = attrs.field(factory=dict)
    classes: dict[str, None] = attrs.field(factory=dict)
    edits: list[Edit] = attrs.field(factory=list)
    remarks: list[Remark] = attrs.field(factory=list)
    fill: str | None = None
    layer: str = "layer"  # name of a layer in code that this module writes

    def inside(self, start: int, end: int) -> list[Edit]:
        """Return the edits of a part of the file."""
        first = bisect_left(self.edits, (start,))
        return [edit for edit in self.edits[first : bisect_left(self.edits, (end + 1,))] if edit.end <= end]


def rewritten(source: SourceFile, rows: list[Row]) -> str:
    """Return the text of a file with its layers replaced, imports added, and a comment at every layer that is left.

    Args:
        source: the file.
        rows: its layers.

    Raises:
        PluginError: the result is not Python, because the dialect of the target wrote wrong code.
    """
    text = FileText(source.source.text)
    first = min((row.mention.node.lineno for row in rows if row.snippet), default=0)
    file = _File(source, text, FreeNames(source.page, first))
    file.layer = file.free.fresh("layer")
    codes, left = _codes(file, rows)
    done = [code for code in sorted(codes, key=lambda code: _size(file, code)) if _replace(file, code, left)]
    for row, reason in left:
        file.remarks.append(Remark(text.range(row.mention.node)[0], comment(reason)))
    common = common_notes([code.snippet.notes for code in done])
    for code in done:
        start = text.range(code.node)[0]
        notes = [note for note in code.snippet.notes if note not in common]
        file.remarks += [Remark(start, comment(note)) for note in notes_of(code.row, notes)]
        file.remarks += [Remark(text.range(node)[0], comment(note)) for node, note in containers(source, code.row)]
    if done:
        insort(file.edits, _additions(file, rows, len(done), common))
    result = text.edited(file.edits, sorted(file.remarks, key=lambda remark: remark.offset))
    try:
        ast.parse(result)
    except SyntaxError as error:
        raise PluginError(f"dialect {source.pair.target.name!r} wrote code that is not Python: {error}; report this.") from error
    return result


def _codes(file: _File, rows: list[Row]) -> tuple[list[_Code], list[tuple[Row, str]]]:
    """Return the layers to replace, and those that are left with the reason."""
    codes, left = [], []
    for row in rows:
        try:
            if row.snippet is None:
                left.append((row, reason_of(row, file.source.pair.target.name)))
            else:
                codes.append(_code(file, row))
        except ConvPolicyError as error:
            left.append((row, f"not translated: {error}"))
    return codes, left


def _code(file: _File, row: Row) -> _Code:
    """Return the code of a layer for its place in the file.

    Raises:
        ConvPolicyError: the layer cannot be replaced in place.
    """
    assert row.request is not None
    node: ast.expr | ast.stmt = row.mention.node if row.subclass is None else row.subclass.node
    if row.subclass is None and isinstance(row.changes.top, ast.expr):
        node = row.changes.top
    trail = row.mention.use.trail
    if trail is not None and any(isinstance(part, ast.JoinedStr) for part in trail):
        raise InvalidValueError("it is inside an f-string; assign the layer to a name.")
    statement = _assignment(file, row, node)
    name = row.name if statement is not None else file.layer
    if CHANNELS_NOTE in row.request.notes:
        notes = tuple(note for note in row.request.notes if note != CHANNELS_NOTE)
        request = attrs.evolve(row.request, values={**row.request.values, "in_channels": UNKNOWN}, notes=notes)
        row = attrs.evolve(row, request=request)
    snippet = file.source.snippet(row, name, with_stand_ins=True)
    if UNKNOWN.text in "".join([snippet.layer, *snippet.statements]):
        raise InvalidValueError("its input channels are not known; pass in_channels=... (--in-channels).")
    assert row.request is not None
    _bind(file, snippet, row.request)
    return _Code(row, node, snippet, statement)


def _assignment(file: _File, row: Row, node: ast.AST) -> ast.stmt | None:
    """Return the assignment of a layer to a name if it has its lines for itself."""
    name, statement = file.source.page.assigned.get(id(node), (None, None))
    if name is None or statement is None or row.mention.is_function:
        return None
    start, end = file.text.range(statement)
    before = file.text.text[file.text.starts[file.text.row(start)] : start]
    after = file.text.text[end : file.text.stop(file.text.row(end))].strip()
    return statement if not before.strip() and (not after or after.startswith("#")) else None


def _bind(file: _File, snippet: Snippet, request: Request) -> None:
    """Choose the names of imports and classes that a snippet needs.

    Raises:
        InvalidValueError: an argument that is copied uses one of these names for something else.
    """
    names = {}
    for statement in snippet.imports:
        name = imported(statement)[0]
        if name not in file.names:
            known = file.free.imports(statement)
            file.names[name] = name if known else file.free.alias(statement)
        names[name] = file.names[name]
    for text in snippet.classes:
        name = text.split()[1].partition("(")[0]
        if name not in file.names:
            file.names[name] = file.free.fresh(name)
        names[name] = file.names[name]
    for value in (*request.values.values(), request.padding, request.output_padding, request.bias):
        used = {part.id for part in ast.walk(ast.parse(value.text)) if isinstance(part, ast.Name)} if _is_code(value) else set()
        if clash := sorted(used & {name for name, new in names.items() if name != new}):
            raise InvalidValueError(f"its argument {value} uses the name {clash[0]}; assign it to another name.")


def _is_code(value: object) -> bool:
    return isinstance(value, Expression)


def _size(file: _File, code: _Code) -> int:
    start, end = file.text.range(code.node)
    return end - start


def _replace(file: _File, code: _Code, left: list[tuple[Row, str]]) -> bool:
    """Add the edit of a layer; return False, and add it to ``left``, if the layer contains another one."""
    row, text = code.row, file.text
    start, end = text.range(code.node)
    nodes = {name: (node, text.range(node)) for name, node in row.stand_ins.items()}
    inside = file.inside(start, end)
    if any(not any(low <= edit.start and edit.end <= high for _node, (low, high) in nodes.values()) for edit in inside):
        left.append((row, "not translated: it contains another layer; assign that one to a name."))
        return False
    lines = _final(file, code, text.indentation(text.row(start)))
    parts = {role: in_parentheses(text.applied(*place, inside), node) for role, (node, place) in nodes.items()}
    for edit in inside:
        file.edits.remove(edit)
    insort(file.edits, Edit(start, end, with_code(lines, parts) if parts else lines))
    kept = [place for _node, place in nodes.values()]
    file.remarks += [
        Remark(start, kept_comment)
        for offset, kept_comment in text.comments(start, end)
        if not any(a <= offset < b for a, b in kept)
    ]
    for statement in code.snippet.imports:
        if file.names[imported(statement)[0]] != imported(statement)[0] or not file.free.imports(statement):
            file.imports[import_as(statement, file.names[imported(statement)[0]])] = None
    file.classes |= dict.fromkeys(renamed(text_, file.names) for text_ in code.snippet.classes)
    return True


def _final(file: _File, code: _Code, outer: str) -> str:
    """Return the code that replaces a layer, and add the edit for the statements after it."""
    snippet, newline = code.snippet, file.text.newline
    layer = renamed(snippet.layer, file.names)
    statements = [renamed(statement, file.names) for statement in snippet.statements]
    if snippet.parameters is not None:
        snippet = attrs.evolve(snippet, layer=layer, statements=tuple(statements))
        lines = snippet.function(_body_indentation(file, code), file.layer).splitlines()
        return newline.join([lines[0], *_docstring(file, code), *lines[1:]]).replace(newline, newline + outer)
    if statements and code.statement is not None:
        stop = file.text.stop(file.text.row(file.text.range(code.statement)[1]))
        lines = [f"{outer}{line}" for statement in statements for line in statement.splitlines()]
        insort(file.edits, Edit(stop, stop, newline + newline.join(lines)))
    elif statements:
        file.fill = file.fill or file.free.fresh("with_changes")
        arguments = [layer, *(f"lambda {file.layer}: {_as_expression(statement)}" for statement in statements)]
        line = f"{file.fill}({', '.join(arguments)})"
        if len(outer) + len(line) > WIDEST or "\n" in layer:
            line = "\n".join([f"{file.fill}(", *(textwrap.indent(f"{argument},", "    ") for argument in arguments), ")"])
        layer = line
    return f"{newline}{outer}".join(layer.splitlines())


def _body_indentation(file: _File, code: _Code) -> str:
    """Return the indentation of the body of a class, relative to that of the class."""
    assert code.row.subclass is not None
    node = code.row.subclass.node
    outer = file.text.indentation(node.lineno - 1)
    inner = file.text.indentation(node.body[0].lineno - 1)
    return inner[len(outer) :] if inner.startswith(outer) and len(inner) > len(outer) else "    "


def _docstring(file: _File, code: _Code) -> list[str]:
    """Return the docstring of a class as it is, which later gets the indentation of the class on each line."""
    assert code.row.subclass is not None
    node = code.row.subclass.docstring
    if node is None:
        return []
    start, end = file.text.range(node)
    space, outer = _body_indentation(file, code), file.text.indentation(code.row.subclass.node.lineno - 1)
    lines = [file.text.line(row) for row in range(file.text.row(start), file.text.row(end) + 1)]
    lines[0] = outer + space + lines[0].lstrip()
    return [line.removeprefix(outer) for line in lines]


def _as_expression(statement: str) -> str:
    """Return a statement as an expression: a call, or ``call if condition else None``.

    Raises:
        PluginError: the dialect wrote another kind of statement.
    """
    node = ast.parse(statement).body[0]
    if isinstance(node, ast.Expr):
        return statement
    if isinstance(node, ast.If) and len(node.body) == 1 and isinstance(node.body[0], ast.Expr):
        return f"{text_of(node.body[0])} if {text_of(node.test)} else None"
    raise InvalidValueError(f"it is initialized by a statement, {statement}; assign the layer to a name.")


def _additions(file: _File, rows: list[Row], count: int, common: list[str]) -> Edit:
    """Return the edit that adds imports, comments for all layers, and classes."""
    pair = file.source.pair
    imports = sorted(file.imports, key=lambda line: (line.startswith("from"), line))
    total = sum(row.mention.use.call is not None or row.subclass is not None for row in rows)
    summary = f"translated from {pair.source.framework} to {pair.target.name}: {count} of {total} layers"
    block = [comment(line) for line in (summary, *common)]
    classes = [*file.classes, *([FILL.format(name=file.fill)] if file.fill else [])]
    for text in classes:
        block += ["", "", *text.rstrip().splitlines()]
    lines = {row.mention.node.lineno for row in rows}
    return insertion(file.text, file.source.page.tree, lines, imports, block)

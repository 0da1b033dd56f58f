"""The text of a file that is edited: positions of nodes, lines above which a comment may stand, and edits that keep every other byte."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import NamedTuple

from convpolicy.errors import InvalidValueError
from convpolicy.translation.values import LINE_ENDS

MENTIONED = re.compile(r"\bline (\d+(?:, \d+)*)")  # line numbers in comments


class Edit(NamedTuple):
    """A new text for the characters from ``start`` to ``end``."""

    start: int
    end: int
    text: str

    def contains(self, start: int, end: int) -> bool:
        """Return True if the edit replaces these characters."""
        return self.start <= start and end <= self.end


class Remark(NamedTuple):
    """A comment that belongs above the line of a character."""

    offset: int
    text: str


class FileText:
    """The text of a file.

    Args:
        text: the text, without a byte order mark.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        ends = [*LINE_ENDS.finditer(text)]
        self.starts = [0, *(end.end() for end in ends)]
        self._stops = [*(end.start() for end in ends), len(text)]
        self.newline = ends[0].group() if ends else "\n"

    def line(self, row: int) -> str:
        """Return a line without its end; rows count from 0."""
        return self.text[self.starts[row] : self._stops[row]]

    def stop(self, row: int) -> int:
        """Return the offset behind the last character of a line."""
        return self._stops[row]

    def row(self, offset: int) -> int:
        """Return the row of a character."""
        low, high = 0, len(self.starts)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.starts[middle] <= offset else (low, middle)
        return low

    def indentation(self, row: int) -> str:
        """Return the white space at the start of a line."""
        line = self.line(row)
        return line[: len(line) - len(line.lstrip(" \t\f"))]

    def offset(self, lineno: int, column: int) -> int:
        """Return the offset of a position of `ast`, whose columns count bytes."""
        line = self.line(lineno - 1)
        return self.starts[lineno - 1] + (column if line.isascii() else len(line.encode()[:column].decode()))

    def range(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Return the first character of a node, and the one behind it."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        first = min([node, *getattr(node, "decorator_list", [])], key=lambda part: (part.lineno, part.col_offset))
        start = self.offset(node.lineno, node.col_offset) if first is node else self.starts[first.lineno - 1]
        return start, self.offset(node.end_lineno, node.end_col_offset)

    @cached_property
    def _tokens(self) -> tuple[set[int], list[tuple[int, str]]]:
        """The rows that begin inside a string or after a backslash, and every comment with its offset."""
        lines = [self.line(row) for row in range(len(self.starts))]
        closed, comments, depth, opened = set[int](), list[tuple[int, str]](), 0, 0
        try:
            for token in tokenize.generate_tokens(io.StringIO("\n".join(lines), newline="\n").readline):
                name = tokenize.tok_name[token.type]
                if name in ("FSTRING_START", "TSTRING_START"):
                    depth, opened = depth + 1, opened if depth else token.start[0]
                elif name in ("FSTRING_END", "TSTRING_END"):
                    depth -= 1
                    closed |= set() if depth else {*range(opened, token.end[0])}
                elif token.type == tokenize.STRING:
                    closed |= {*range(token.start[0], token.end[0])}
                elif token.type == tokenize.COMMENT:
                    comments.append((self.starts[token.start[0] - 1] + token.start[1], token.string))
        except (tokenize.TokenError, SyntaxError) as error:
            raise InvalidValueError(f"code must be Python, and cannot be read: {error}; pass a complete file.") from error
        last = {self.row(offset): text for offset, text in comments}
        closed |= {row + 1 for row, line in enumerate(lines) if line.endswith("\\") and row not in last}
        return closed, comments

    def comments(self, start: int, end: int) -> list[tuple[int, str]]:
        """Return the comments between two characters, with their offsets."""
        return [(offset, text) for offset, text in self._tokens[1] if start <= offset < end]

    def _closed_rows(self, edits: Iterable[Edit]) -> set[int]:
        """Return the rows above which no comment may stand."""
        return self._tokens[0].union(*(range(self.row(edit.start) + 1, self.row(edit.end) + 1) for edit in edits))

    def edited(self, edits: Iterable[Edit], remarks: Iterable[Remark]) -> str:
        """Return the text with edits that do not overlap, and with comments above lines.

        A line number in a comment is that of the old text; it becomes that of the new text.

        Args:
            edits: the edits.
            remarks: the comments, with the ``#``.
        """
        edits = sorted(edits, key=lambda edit: (edit.start, edit.end))
        closed = self._closed_rows(edit for edit in edits if edit.start < edit.end)
        above: dict[int, list[str]] = {}
        for remark in remarks:
            row = self.row(remark.offset)
            while row in closed:
                row -= 1
            lines = above.setdefault(row, [])
            if remark.text not in lines and not self._stands_above(row, remark.text):
                lines.append(remark.text)
        comments = {
            self.starts[row]: "".join(f"{self.indentation(row)}{line}{self.newline}" for line in lines)
            for row, lines in above.items()
        }
        pieces = [*self._pieces(edits, comments)]
        rows = _Rows(pieces)

        def renumbered(text: str) -> str:
            return MENTIONED.sub(
                lambda match: "line " + ", ".join(str(rows.new(self, int(number))) for number in match[1].split(", ")), text
            )

        new = {id(comment): renumbered(comment) for comment in comments.values()}
        return "".join(new.get(id(text), text) for _old, text in pieces)

    def _stands_above(self, row: int, comment: str) -> bool:
        """Return True if one of the comments directly above a line is this one, apart from its line numbers."""
        above = row - 1
        while above >= 0 and (line := self.line(above).strip()).startswith("#"):
            if MENTIONED.sub("line", line) == MENTIONED.sub("line", comment):
                return True
            above -= 1
        return False

    def _pieces(self, edits: list[Edit], comments: dict[int, str]) -> Iterator[tuple[int | None, str]]:
        """Yield the pieces of the new text: the offset of a piece of the old text and the piece, or None and a new text."""
        events = sorted(
            [(offset, offset, text, 0) for offset, text in comments.items()] + [(*edit, 1) for edit in edits], key=_order
        )
        place = 0
        for start, end, text, _kind in events:
            yield place, self.text[place:start]
            yield None, text
            place = end
        yield place, self.text[place:]

    def applied(self, start: int, end: int, edits: Iterable[Edit]) -> str:
        """Return a part of the text with edits that do not overlap."""
        inside = sorted(edit for edit in edits if start <= edit.start and edit.end <= end)
        parts, place = [], start
        for edit in inside:
            parts += [self.text[place : edit.start], edit.text]
            place = edit.end
        return "".join([*parts, self.text[place:end]])


def _order(event: tuple[int, int, str, int]) -> tuple[int, int, int]:
    """Sort by start; a comment above a line comes before an edit at its first character."""
    start, end, _text, kind = event
    return start, kind, end


class _Rows:
    """Where the lines of the old text are in the new one."""

    def __init__(self, pieces: list[tuple[int | None, str]]) -> None:
        self._pieces: list[tuple[int, int]] = []  # offset in the old text, number of line ends before it in the new text
        count = 0
        for offset, text in pieces:
            if offset is not None:
                self._pieces.append((offset, count))
            count += len(LINE_ENDS.findall(text))

    def new(self, file: FileText, lineno: int) -> int:
        """Return the new number of a line."""
        if not 1 <= lineno <= len(file.starts):
            return lineno
        start = file.starts[lineno - 1] + len(file.indentation(lineno - 1))
        offset, count = max((piece for piece in self._pieces if piece[0] <= start), default=(0, 0))
        return count + len(LINE_ENDS.findall(file.text[offset:start])) + 1

"""Files of known pieces around calls, and a judge that finds each piece in the translation, in order and with nothing unknown between."""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

END = r"(?:\r\n|\n|\r)"
LINE = re.compile(
    rf"""(?:\"\"\"[\s\S]*?\"\"\"|\'\'\'[\s\S]*?\'\'\'|\\{END}|[^\r\n])*(?:{END}|\Z)"""
)  # up to where a comment may follow
OWN_COMMENT = re.compile(rf"[ \t\f]*# convpolicy: [^\r\n]*{END}")
FILL = re.compile(rf"{END}?[ \t]*(?:\w+_)?nn\.init\.[^\r\n]*(?:{END})?")


class Hole(NamedTuple):
    """A call that is translated; the piece behind it begins with text that occurs nowhere else."""

    call: str


def assemble(pieces):
    """The text of a file."""
    return "".join(piece.call if isinstance(piece, Hole) else piece for piece in pieces)


def lines_of(pieces):
    """The pieces, cut where lines begin: there a comment may be added."""
    for piece in pieces:
        if isinstance(piece, Hole):
            yield piece
        else:
            yield from filter(None, (match.group() for match in LINE.finditer(piece)))


class Judge:
    """Compares the pieces of a file with its translation."""

    def __init__(self, text: str):
        self.text, self.place, self.block, self.comments = text, 0, "", set()
        self.replaced: list[str] = []

    def read(self, pieces) -> None:
        """Go through the translation; an AssertionError says where a piece is not what it was."""
        hole = None
        for piece in lines_of(pieces):
            if isinstance(piece, Hole):
                hole = piece
                continue
            if hole is not None:
                end = self.text.find(piece, self.place)
                assert end >= 0, f"{piece!r} is lost behind {hole.call!r}"
                self.replaced.append(self.text[self.place : end])
                self.place, hole = end, None
            else:
                self.skip(piece)
            assert self.text.startswith(piece, self.place), (piece, self.text[self.place : self.place + 80])
            self.place += len(piece)
        self.skip(None)
        assert self.place == len(self.text), self.text[self.place :]

    def skip(self, piece) -> None:
        """Skip what may be added at the start of a line: comments, initial values, and once the block of imports."""
        while True:
            match = OWN_COMMENT.match(self.text, self.place) or FILL.match(self.text, self.place)
            match = match or next((m for c in self.comments if (m := c.match(self.text, self.place))), None)
            if match is None or (piece is not None and self.text.startswith(piece, self.place) and OWN_COMMENT.match(piece)):
                break
            self.place = match.end()
        if piece is not None and not self.text.startswith(piece, self.place) and not self.block:
            end = self.text.find(piece, self.place)
            assert end >= 0, f"{piece!r} is lost"
            self.block = self.text[self.place : end]
            kinds = {type(node) for node in ast.parse(self.block).body}
            assert kinds <= {ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef}, self.block
            self.place = end
            self.skip(piece)


def judged(pieces, text: str) -> Judge:
    """The judge, once it has read a translation."""
    judge = Judge(text)
    for piece in pieces:
        if isinstance(piece, Hole):
            judge.comments |= {re.compile(rf"[ \t\f]*{re.escape(note)}{END}") for note in re.findall("#[^\r\n]*", piece.call)}
    judge.read(pieces)
    ast.parse(text.removeprefix("\ufeff"))
    return judge

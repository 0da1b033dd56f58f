"""`TranslatedPage`: the layers of a file with their translations, and the file with its layers replaced."""

from __future__ import annotations

import difflib
from functools import cached_property

from convpolicy.errors import InvalidValueError
from convpolicy.translation.rewriting import rewritten
from convpolicy.translation.source_file import Row, SourceFile, TranslatedCall

MARK = "\ufeff"  # byte order mark


class TranslatedPage(list[TranslatedCall]):
    """The layers of a file, in order, each with its translation or the reason why there is none.

    Args:
        code: text of the file.
        file: the file.
        rows: its layers.
    """

    def __init__(self, code: str, file: SourceFile, rows: list[Row]) -> None:
        super().__init__(row.call(file.source) for row in rows)
        self._code, self._file, self._rows = code, file, rows

    @cached_property
    def text(self) -> str:
        """The file with its translated layers in place, the imports that they need, and a comment at every layer that is left.

        Every other character is unchanged. A file without a translated layer only gets comments.

        Raises:
            InvalidValueError: the code is indented as a whole, so that it is no file.
        """
        head = MARK if self._code.startswith(MARK) else ""
        if head + self._file.source.text != self._code:
            raise InvalidValueError(
                "code must be the text of a file, got code that is indented as a whole; pass it without the indentation."
            )
        return head + rewritten(self._file, self._rows)

    def diff(self, name: str = "code.py") -> str:
        """Return the changes of the file as a unified diff, which ``git apply`` and ``patch -p1`` can read.

        Args:
            name: name of the file in the diff.
        """
        old, new = _lines(self._code), _lines(self.text)
        changes = difflib.unified_diff(old, new, f"a/{name}", f"b/{name}")
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in changes)


def _lines(text: str) -> list[str]:
    """Return the lines of a text with their ends, as ``patch`` reads them: only a line feed ends a line."""
    *lines, last = text.split("\n")
    return [*(f"{line}\n" for line in lines), *filter(None, [last])]

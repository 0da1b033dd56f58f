"""Parts of pages that a script writes, between ``<!-- made by docs/SCRIPT -->`` and ``<!-- to here -->``, and tables of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

END = "<!-- to here -->\n"
NO_BREAK = "\N{NO-BREAK SPACE}"


def filled(text: str, script: str, content: Callable[[str], str]) -> str:
    """Return the text of a page with every part of a script written anew.

    Args:
        text: the page.
        script: file name of the script, as in the marks.
        content: what follows the script's name in the mark -> lines between the marks.
    """
    part = re.compile(rf"(<!-- made by docs/{re.escape(script)}(?:: ([^\n]*))? -->\n).*?(?={re.escape(END)})", re.DOTALL)
    return part.sub(lambda part: part[1] + content(part[2] or ""), text)


def unbroken(text: str) -> str:
    """Return text that stays on one line of a table."""
    return text.replace(" ", NO_BREAK)


def sizes_heads(sizes: Iterable[Iterable[int]]) -> list[str]:
    """Return titles of columns: ``k 4, s 1, d 1, L 10`` for kernel, stride, dilation and length."""
    return [", ".join(f"{name}{NO_BREAK}{number}" for name, number in zip("ksdL", numbers)) for numbers in sizes]


def table(head: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """Return a table in Markdown."""
    titles = list(head)
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in (titles, ["---"] * len(titles), *rows))

"""Parts of pages that a script writes: between ``<!-- made by docs/SCRIPT -->`` and ``<!-- to here -->``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

END = "<!-- to here -->\n"


def filled(text: str, script: str, content: Callable[[str], str]) -> str:
    """Return the text of a page with every part of a script written anew.

    Args:
        text: the page.
        script: file name of the script, as in the marks.
        content: what follows the script's name in the mark -> lines between the marks.
    """
    part = re.compile(rf"(<!-- made by docs/{re.escape(script)}:? ?(.*?) -->\n).*?(?={re.escape(END)})", re.DOTALL)
    return part.sub(lambda found: found[1] + content(found[2]), text)


def table(head: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """Return a table in Markdown."""
    titles = list(head)
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in (titles, ["---"] * len(titles), *rows))

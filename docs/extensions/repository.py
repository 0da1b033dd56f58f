"""Links that lead out of ``docs/`` into the repository: on a page of the site they become the path, since the site has no such file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

LINK = re.compile(r"\[([^\]]+)\]\((\.\./[^)#\s]+)(?:#[^)\s]*)?\)")


def read(app: Sphinx, name: str, source: list[str]) -> None:
    """Replace the links of one page before it is read."""
    docs = Path(app.srcdir)
    folder = docs.joinpath(name).parent

    def shown(link: re.Match[str]) -> str:
        path = Path(os.path.normpath(folder / link[2]))
        if path.is_relative_to(docs) or not path.exists():
            return link[0]
        return f"{link[1]} (`{path.relative_to(docs.parent).as_posix()}`)"

    source[0] = LINK.sub(shown, source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Read every page through `read`."""
    app.connect("source-read", read)
    return {"parallel_read_safe": True}

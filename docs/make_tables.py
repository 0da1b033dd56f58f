"""Write every table that follows from policies into the pages, between the marks that name it.

    python docs/make_tables.py          # writes the pages
    python docs/make_tables.py --check  # prints the pages that would change, and fails if there are any

A mark is ``<!-- made by docs/make_tables.py: NAME -->``; ``docs/tables`` contains one function for each name.
"""

from __future__ import annotations

import sys
from pathlib import Path

from marks import filled
from tables import frameworks, policy_files, rules

DOCS = Path(__file__).parent
TABLES = {**frameworks.TABLES, **rules.TABLES, **policy_files.TABLES}


def changed() -> dict[Path, str]:
    """Return the pages whose text would change, and their new text."""
    texts = {page: page.read_text(encoding="utf-8") for page in sorted(DOCS.rglob("*.md"))}
    made = {page: filled(text, Path(__file__).name, lambda name: TABLES[name]()) for page, text in texts.items()}
    return {page: text for page, text in made.items() if text != texts[page]}


def main() -> None:
    """Write the pages, or only compare them."""
    pages = changed()
    if "--check" in sys.argv[1:]:
        sys.exit("\n".join(str(page.relative_to(DOCS)) for page in pages) or 0)
    for page, text in pages.items():
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

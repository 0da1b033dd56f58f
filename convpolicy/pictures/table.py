"""Writes tables and text as HTML for notebooks, in the colours of the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

CELL = "text-align:left;padding:2px 10px 2px 0;vertical-align:top"


def table(head: Sequence[object], rows: Iterable[Sequence[object]], caption: str = "") -> str:
    """Return an HTML table.

    Args:
        head: titles of the columns, or empty.
        rows: rows of cells.
        caption: one line above the table, or empty.
    """
    above = f'<caption style="text-align:left">{escape(caption)}</caption>' if caption else ""
    titles = "".join(f'<th scope="col" style="{CELL}">{escape(str(title))}</th>' for title in head)
    body = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in rows)
    return f"<table>{above}{f'<thead><tr>{titles}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>"


def _cell(cell: object) -> str:
    return f'<td style="{CELL}">{escape(str(cell))}</td>'


def text(lines: object) -> str:
    """Return preformatted text, in which spaces and line breaks are kept."""
    return f"<pre>{escape(str(lines))}</pre>"

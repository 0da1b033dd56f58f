"""SVG as text: elements, attributes and styles, without a library, a script or a font."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

# Okabe & Ito, Color Universal Design (2008): everyone can distinguish them. Fills are translucent, so that they suit light and dark pages.
COLOURS = {
    "sample": "#56B4E9",
    "copy": "#E69F00",
    "constant": "#999999",
    "sum": "#CC79A7",
    "window": "#009E73",
    "differs": "#D55E00",
}


def element(tag: str, text: str = "", **attributes: object) -> str:
    """Return one element; ``text`` is content that is escaped already, and ``class_`` and ``stroke_width`` are written with a dash."""
    words = "".join(f' {name.rstrip("_").replace("_", "-")}="{escape(_number(value))}"' for name, value in attributes.items())
    return f"<{tag}{words}>{text}</{tag}>" if text else f"<{tag}{words}/>"


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def label(text: str, x: float, y: float, anchor: str = "middle", **attributes: Any) -> str:
    """Return text whose middle, start or end is at (x, y)."""
    return element("text", escape(text), x=float(x), y=float(y), text_anchor=anchor, **attributes)


def line(x1: float, y1: float, x2: float, y2: float, **attributes: Any) -> str:
    """Return a straight line."""
    return element("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), **attributes)


def document(content: Iterable[str], width: float, height: float, title: str, description: str) -> str:
    """Return a picture that shrinks with the page, with its text alternative.

    Args:
        content: elements.
        width, height: in pixels.
        title: what it shows, one line; read out and shown when the mouse rests on it.
        description: the same in words.
    """
    head = element("title", escape(title)) + element("desc", escape(description))
    body = "".join(content)
    return element(
        "svg",
        f"{head}{body}",
        xmlns="http://www.w3.org/2000/svg",
        role="img",
        aria_label=title,
        viewBox=f"0 0 {_number(float(width))} {_number(float(height))}",
        width=float(width),
        height=float(height),
        style="max-width:100%;height:auto",
        fill="currentColor",
        font_family="system-ui,sans-serif",
        font_size=12,
    )

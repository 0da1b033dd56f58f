"""Writes SVG as text, without a library, a script or a font."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

# Colours that colour-blind people can distinguish (Okabe & Ito, 2008). Fills are translucent, for light and dark pages.
COLOURS = {
    "sample": "#56B4E9",
    "copy": "#E69F00",
    "constant": "#999999",
    "sum": "#CC79A7",
    "window": "#009E73",
    "differs": "#D55E00",
}


def element(tag: str, text: str = "", **attributes: object) -> str:
    """Return one element.

    Args:
        tag: name of the element.
        text: content, already escaped.
        **attributes: attributes of the element; ``stroke_width`` is written as ``stroke-width`` and ``class_`` as ``class``.
    """
    settings = "".join(f' {name.rstrip("_").replace("_", "-")}="{escape(_number(value))}"' for name, value in attributes.items())
    return f"<{tag}{settings}>{text}</{tag}>" if text else f"<{tag}{settings}/>"


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def label(text: str, x: float, y: float, anchor: str = "middle", **attributes: Any) -> str:
    """Return a text element at (x, y); ``anchor`` is ``"start"``, ``"middle"`` or ``"end"``."""
    return element("text", escape(text), x=float(x), y=float(y), text_anchor=anchor, **attributes)


def line(x1: float, y1: float, x2: float, y2: float, **attributes: Any) -> str:
    """Return a line element."""
    return element("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), **attributes)


def document(content: Iterable[str], width: float, height: float, title: str, description: str) -> str:
    """Return an SVG document that shrinks with the page, with a text alternative.

    Args:
        content: elements, as text.
        width, height: in pixels.
        title: one line; browsers show it as a tooltip and screen readers read it.
        description: the picture as text, for screen readers.
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

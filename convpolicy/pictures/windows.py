"""Draws plans as SVG: cells, arcs from added elements to their samples, and a bar for every output or input sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from convpolicy.pictures.columns import GAP, Column, kept
from convpolicy.pictures.svg import COLOURS, document, element, label, line

CELL, ROW, MARGIN, TOP = 30, 20, 78, 8  # pixels: width of a cell, height of a row, left margin for titles, top margin
HEIGHT = 26  # height of a cell in pixels
HATCH = 6  # pixels between two stripes of a constant
ARCS = 44  # height above the cells for arcs, in pixels
MOST_COLUMNS, MOST_OUTPUTS = 30, 8


class Ruler(NamedTuple):
    """The horizontal scale of a picture, which all its plans share."""

    shown: list[int | None]

    def x(self, position: int) -> float:
        """Return the middle of a position's cell, or of the gap if the position is not shown."""
        return MARGIN + (self.shown.index(position) + 0.5) * CELL if position in self.shown else self.x_of_gap

    @property
    def x_of_gap(self) -> float:
        """The middle of the gap."""
        return MARGIN + (self.shown.index(None) + 0.5) * CELL

    @property
    def width(self) -> float:
        """The width of all cells and the margin."""
        return MARGIN + len(self.shown) * CELL + TOP


def picture(plans: Mapping[str, Any], *, most_columns: int = MOST_COLUMNS, most_outputs: int = MOST_OUTPUTS) -> str:
    """Return an SVG of one plan, or of several plans on the same scale, one below the other.

    The list describes a `Plan`. A `TransposedPlan` has the full result as cells, and a bar for each input sample.

    - A cell contains the number of an input sample, from 1. An added element has the number of the sample that it copies.
    - A constant contains its value and is hatched.
    - A sum contains Σ and is written out below.
    - A bar is the window of one output, with a dot at every tap.
    - Cells that differ from the first plan are outlined; in the first plan, those that differ from any other plan.

    Args:
        plans: title -> `Plan` or `TransposedPlan`; the title may be empty.
        most_columns: number of cells to show; a longer input has a gap in the middle.
        most_outputs: number of bars to show for each plan, the first and the last ones.
    """
    views = {title: plan.view() for title, plan in plans.items()}
    extents = [view.extent() for view in views.values()]
    ruler = Ruler(kept(range(min(e.start for e in extents), max(e.stop for e in extents)), most_columns))
    cells = {title: view.cells([p for p in ruler.shown if p is not None and p in view.extent()]) for title, view in views.items()}
    first = next(iter(plans))
    content, y, descriptions = [], float(TOP), []
    for title, view in views.items():
        others = plans if title == first else [title]
        differs = set[int]().union(*(_differences(cells[first], cells[other]) for other in others))
        rows, y = _plan_rows(title, view, cells[title], ruler, differs, y, most_outputs)
        content += rows
        descriptions += [f"{title}: {view.plan}." if title else f"{view.plan}.", *view.described()]
    legend, y, width = _legend(cells, views, any(cells[first] != other for other in cells.values()), y)
    heading = " and ".join(f"{title}: {plan}" if title else str(plan) for title, plan in plans.items())
    return document([*content, *legend], max(ruler.width, width), y + TOP, heading, " ".join(descriptions))


def _differences(first: Mapping[int, Column], other: Mapping[int, Column]) -> set[int]:
    return {position for position in {*first, *other} if first.get(position) != other.get(position)}


def _plan_rows(
    title: str, view: Any, cells: Mapping[int, Column], ruler: Ruler, differs: set[int], y: float, most: int
) -> tuple[list[str], float]:
    """Return the elements of one plan, and the vertical position below it."""
    has_arcs = any(cell.kind in ("copy", "sum") for cell in cells.values())
    rows = []
    if title:
        rows.append(label(title, 0, y + 10, "start", font_weight="bold"))
        y += 16
    if has_arcs:
        rows += _arcs(cells, ruler, y + ARCS)
        y += ARCS
    for position in ruler.shown:
        if position is None:
            rows.append(label(GAP, ruler.x_of_gap, y + 17))
        elif position in cells:
            rows += _cell(cells[position], ruler.x(position), y, position in differs)
    for edge in (0, view.length):
        if edge in cells or edge - 1 in cells:
            x = ruler.x(edge) - CELL / 2 if edge in ruler.shown else ruler.x(edge - 1) + CELL / 2
            rows.append(line(x, y - 3, x, y + HEIGHT + 3, stroke="currentColor", stroke_width=2))
    y += HEIGHT + 8
    for side in ("left", "right"):
        texts = [cell.formula() for position, cell in cells.items() if cell.kind == "sum" and (position < 0) == (side == "left")]
        if texts:
            rows.append(label(f"Σ {side}: {', '.join(texts)}", MARGIN, y + 10, "start"))
            y += 16
    for number in kept(view.bars, most):
        rows += _bar(view, number, ruler, y)
        y += ROW
    if not view.bars:
        rows.append(label(view.nothing(), MARGIN, y + 12, "start"))
        y += ROW
    return rows, y + 6


def _cell(cell: Column, x: float, y: float, differs: bool) -> Iterator[str]:
    fill = COLOURS["sample" if cell.kind == "cut" else cell.kind]
    style: dict[str, Any] = {"stroke": COLOURS["differs"] if differs else "currentColor", "stroke_width": 2.5 if differs else 0.8}
    box: dict[str, Any] = {"x": x - CELL / 2, "y": float(y), "width": float(CELL), "height": float(HEIGHT)}
    yield element("rect", **box, fill=fill, fill_opacity=0.12 if cell.kind == "cut" else 0.35, **style)
    if cell.kind == "constant":
        yield _hatching(**box)
    yield label(cell.text, x, y + 17)
    if cell.kind == "cut":
        yield line(x - CELL / 2 + 4, y + HEIGHT - 4, x + CELL / 2 - 4, y + 4, stroke="currentColor", stroke_width=1.5)


def _arcs(cells: Mapping[int, Column], ruler: Ruler, y: float) -> Iterator[str]:
    for position, cell in cells.items():
        for _coefficient, source in cell.terms if cell.kind in ("copy", "sum") else ():
            if source >= 0 and source in ruler.shown:
                start, end = ruler.x(position), ruler.x(source)
                top = y - min(abs(end - start) * 0.4 + 8, ARCS * 1.3)
                path = f"M{start:.6g} {y:.6g}C{start:.6g} {top:.6g} {end:.6g} {top:.6g} {end:.6g} {y:.6g}"
                yield element("path", d=path, fill="none", stroke=COLOURS[cell.kind], stroke_width=1.3)


def _bar(view: Any, number: int | None, ruler: Ruler, y: float) -> Iterator[str]:
    if number is None:
        yield label(GAP, MARGIN - 10, y + 12, "end")
        return
    taps = view.taps(number)
    yield label(f"{view.bar} {number}", MARGIN - 8, y + 12, "end")
    first, last = ruler.x(taps[0]), ruler.x(taps[-1])
    yield element(
        "rect",
        x=first - CELL / 2 + 3,
        y=y + 3.0,
        width=last - first + CELL - 6,
        height=12.0,
        rx=6.0,
        fill=COLOURS["window"],
        fill_opacity=0.3,
    )
    for x in sorted({ruler.x(tap) for tap in taps}):
        yield element("circle", cx=x, cy=y + 9.0, r=3.5, fill=COLOURS["window"])


def _hatching(x: float, y: float, width: float, height: float) -> str:
    """Return stripes across a box; lines and no pattern, which a page cannot draw when the picture that defines it is hidden."""
    starts = ((x + min(s, width), y + max(0.0, s - width)) for s in range(HATCH, int(width + height), HATCH))
    ends = ((x + max(0.0, s - height), y + min(s, height)) for s in range(HATCH, int(width + height), HATCH))
    stripes = "".join(f"M{a:.6g} {b:.6g}L{c:.6g} {d:.6g}" for (a, b), (c, d) in zip(starts, ends))
    return element("path", d=stripes, fill="none", stroke="currentColor", stroke_width=0.7, stroke_opacity=0.6)


def _legend(
    cells: Mapping[str, Mapping[int, Column]], views: Mapping[str, Any], compares: bool, y: float
) -> tuple[list[str], float, float]:
    """Return the legend of the kinds of cells in the picture, the vertical position below it, and its width."""
    texts: dict[str, dict[str, str]] = {}  # kind of cell -> meanings
    for title, view in views.items():
        kinds = {cell.kind for cell in cells[title].values()}
        for kind in view.words:
            if kind in kinds:
                texts.setdefault(kind, {})[view.words[kind]] = ""
    rows, x = [], float(MARGIN)
    for kind, meanings in texts.items():
        for text in meanings:
            box: dict[str, Any] = {"x": x, "y": y + 2.0, "width": 12.0, "height": 12.0}
            colour = COLOURS["sample" if kind == "cut" else kind]
            rows.append(
                element(
                    "rect",
                    **box,
                    fill=colour,
                    fill_opacity=0.12 if kind == "cut" else 0.35,
                    stroke="currentColor",
                    stroke_width=0.8,
                )
            )
            if kind == "constant":
                rows.append(_hatching(**box))
            rows.append(label(text, x + 18, y + 12, "start"))
            y += 17
    rows.append(element("circle", cx=x + 6, cy=y + 8, r=3.5, fill=COLOURS["window"]))
    rows.append(label("; ".join(dict.fromkeys(view.dot for view in views.values())), x + 18, y + 12, "start"))
    y += 17
    if compares:
        rows.append(
            element("rect", x=x, y=y + 2.0, width=12.0, height=12.0, fill="none", stroke=COLOURS["differs"], stroke_width=2.5)
        )
        rows.append(label("differs between the plans", x + 18, y + 12, "start"))
        y += 17
    return rows, y, x + 290

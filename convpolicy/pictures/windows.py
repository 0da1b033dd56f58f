"""A picture of plans: the padded input as cells, arcs from added elements to their samples, and a bar for every output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from convpolicy.pictures.columns import GAP, Column, columns, extent, kept
from convpolicy.pictures.svg import COLOURS, document, element, label, line

CELL, ROW, MARGIN, TOP = 30, 20, 78, 8  # pixels: width of a cell, height of a bar's row, room for row titles and above
HEIGHT = 26  # of a cell
HATCH = 6  # from one stripe of a constant to the next
ARCS = 44  # room for arcs above the cells
MOST_COLUMNS, MOST_OUTPUTS = 30, 8
MOST_SAID = 10  # elements of each side that the text alternative names


class Ruler(NamedTuple):
    """Where positions stand: shared by all plans of a picture."""

    shown: list[int | None]

    def x(self, position: int) -> float:
        """Return the middle of a position's cell; of one that is left out, the gap's."""
        return MARGIN + (self.shown.index(position) + 0.5) * CELL if position in self.shown else self.x_of_gap

    @property
    def x_of_gap(self) -> float:
        """The middle of what is left out."""
        return MARGIN + (self.shown.index(None) + 0.5) * CELL

    @property
    def width(self) -> float:
        """Of all cells, with the margin."""
        return MARGIN + len(self.shown) * CELL + TOP


def picture(plans: Mapping[str, Any], *, most_columns: int = MOST_COLUMNS, most_outputs: int = MOST_OUTPUTS) -> str:
    """Return an SVG of one plan, or of several one above the other on one ruler.

    Every cell contains the number of the input sample, from 1 on, that it repeats; constants contain their value and are hatched, sums
    contain Σ and are written out below. A bar is the window of one output, with a dot at every tap. In several plans whatever differs
    from the first one is outlined.

    Args:
        plans: title -> `Plan`; an empty title is left out.
        most_columns: cells shown; a longer input is abbreviated in the middle.
        most_outputs: windows shown of each plan, the first and the last.
    """
    extents = [extent(plan) for plan in plans.values()]
    ruler = Ruler(kept(range(min(e.start for e in extents), max(e.stop for e in extents)), most_columns))
    everything = {
        title: columns(plan, [p for p in ruler.shown if p is not None and p in extent(plan)]) for title, plan in plans.items()
    }
    first = next(iter(plans))
    content, y, said = [], float(TOP), []
    for title, plan in plans.items():
        differs = _differences(everything[first], everything[title])
        rows, y = _drawn(title, plan, everything[title], ruler, differs, y, most_outputs)
        content += rows
        said.append(describe(title, plan))
    legend, y, width = _legend(everything.values(), len(plans) > 1, y)
    heading = " and ".join(f"{title}: {plan}" if title else str(plan) for title, plan in plans.items())
    return document([*content, *legend], max(ruler.width, width), y + TOP, heading, " ".join(said))


def _differences(first: Mapping[int, Column], other: Mapping[int, Column]) -> set[int]:
    return {position for position in {*first, *other} if first.get(position) != other.get(position)}


def _drawn(
    title: str, plan: Any, cells: Mapping[int, Column], ruler: Ruler, differs: set[int], y: float, most: int
) -> tuple[list[str], float]:
    """Return the elements of one plan, and where the next one begins."""
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
    for edge in (0, plan.length):
        if edge in cells or edge - 1 in cells:
            x = ruler.x(edge) - CELL / 2 if edge in ruler.shown else ruler.x(edge - 1) + CELL / 2
            rows.append(line(x, y - 3, x, y + HEIGHT + 3, stroke="currentColor", stroke_width=2))
    y += HEIGHT + 8
    for side in ("left", "right"):
        texts = [cell.formula() for position, cell in cells.items() if cell.kind == "sum" and (position < 0) == (side == "left")]
        if texts:
            rows.append(label(f"Σ {side}: {', '.join(texts)}", MARGIN, y + 10, "start"))
            y += 16
    for output in kept(range(plan.length_out), most):
        rows += _bar(plan, output, ruler, y)
        y += ROW
    if not plan.length_out:
        rows.append(label(f"no window of {plan.effective_kernel} fits", MARGIN, y + 12, "start"))
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


def _bar(plan: Any, output: int | None, ruler: Ruler, y: float) -> Iterator[str]:
    if output is None:
        yield label(GAP, MARGIN - 10, y + 12, "end")
        return
    taps = [plan.position(output, tap) for tap in range(plan.kernel_size)]
    yield label(f"output {output}", MARGIN - 8, y + 12, "end")
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


LEGEND = {
    "sample": "sample of the input, numbered from 1",
    "copy": "copy of the sample with this number",
    "sum": "sum of samples",
    "constant": "constant",
    "cut": "cut away, not read",
}


def _legend(everything: Any, compares: bool, y: float) -> tuple[list[str], float, float]:
    """Return the legend of what occurs, where it ends, and how wide it is."""
    kinds = {cell.kind for cells in everything for cell in cells.values()}
    rows, x = [], float(MARGIN)
    for kind, text in LEGEND.items():
        if kind in kinds:
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
    rows.append(label("window of one output, a dot at each tap", x + 18, y + 12, "start"))
    y += 17
    if compares:
        rows.append(
            element("rect", x=x, y=y + 2.0, width=12.0, height=12.0, fill="none", stroke=COLOURS["differs"], stroke_width=2.5)
        )
        rows.append(label("differs from the first plan", x + 18, y + 12, "start"))
        y += 17
    return rows, y, x + 290


def describe(title: str, plan: Any) -> str:
    """Return the picture in words."""
    parts = [f"{title}: {plan}." if title else f"{plan}."]
    everywhere = extent(plan)
    for side, positions in (("left", range(everywhere.start, 0)), ("right", range(plan.length, everywhere.stop))):
        shown = kept(positions, MOST_SAID)
        cells = columns(plan, [position for position in shown if position is not None])
        said = [GAP if p is None else cells[p].formula() if cells[p].kind == "sum" else cells[p].text for p in shown]
        if said:
            parts.append(f"Added on the {side}: {', '.join(said)}.")
    if plan.length_out:
        for output in dict.fromkeys((0, plan.length_out - 1)):
            first, last = plan.receptive_interval(output)
            parts.append(f"Output {output} reads positions {first + 1} to {last + 1}.")
    return " ".join(parts)

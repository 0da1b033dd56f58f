"""Write the explorer beside the pages, as ``explore.html``: the page that ``convpolicy explore`` makes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import convpolicy as cp
from convpolicy.explorer import page

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def write(app: Sphinx, fault: Exception | None) -> None:
    """Write the page when the site is built."""
    if fault is None and app.builder.format == "html":
        start = {"a": "torch", "b": "keras", "version": cp.__version__}
        Path(app.outdir, "explore.html").write_text(page(start), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Run after the build."""
    app.connect("build-finished", write)
    return {"parallel_read_safe": True}

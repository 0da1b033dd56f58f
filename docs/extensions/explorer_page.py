"""Write the explorer beside the pages, as ``explore.html``: the page that ``convpolicy explore`` makes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from click.testing import CliRunner

from convpolicy.cli import group

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def write(app: Sphinx, fault: Exception | None) -> None:
    """Write the page when the site is built."""
    if fault is None and app.builder.format == "html":
        path = Path(app.outdir, "explore.html")
        CliRunner().invoke(group.build(), ["explore", "--no-open", "--save", str(path)], catch_exceptions=False)


def setup(app: Sphinx) -> dict[str, bool]:
    """Run after the build."""
    app.connect("build-finished", write)
    return {"parallel_read_safe": True}

"""The explorer beside the pages, as ``explore.html``: what ``convpolicy explore`` makes; the directive ``explorer`` is a link to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from click.testing import CliRunner
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from convpolicy.cli import group

if TYPE_CHECKING:
    from sphinx.application import Sphinx

FILE = "explore.html"


class Explorer(SphinxDirective):
    """A link to the explorer."""

    def run(self) -> list[nodes.Node]:
        """Return the link, relative to the page."""
        path = "../" * self.env.docname.count("/") + FILE
        return [nodes.raw("", f'<p><a href="{path}">Open the explorer</a></p>', format="html")]


def write(app: Sphinx, fault: Exception | None) -> None:
    """Write the page when the site is built."""
    if fault is None and app.builder.format == "html":
        path = Path(app.outdir, FILE)
        CliRunner().invoke(group.build(), ["explore", "--no-open", "--save", str(path)], catch_exceptions=False)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive, and write the page after the build."""
    app.add_directive("explorer", Explorer)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True}

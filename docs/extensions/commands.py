"""The directive ``commands``: the help of every command, as a terminal of 80 columns shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from click.testing import CliRunner
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from convpolicy.cli import group

if TYPE_CHECKING:
    from sphinx.application import Sphinx


class Commands(SphinxDirective):
    """A section for each command."""

    def run(self) -> list[nodes.Node]:
        """Return the sections, in the order of `convpolicy help`."""
        root = group.build()
        return [self.section(name) for name in root.list_commands(root.make_context("convpolicy", [], resilient_parsing=True))]

    def section(self, name: str) -> nodes.section:
        """Return the title and the help of one command."""
        help_text = CliRunner().invoke(group.build(), [name, "--help"], env={"COLUMNS": "80"}).stdout
        block = nodes.literal_block(help_text, help_text, language="text")
        return nodes.section("", nodes.title(text=name), block, ids=[nodes.make_id(f"command-{name}")], names=[])


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True}

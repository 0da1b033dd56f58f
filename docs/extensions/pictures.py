"""The directive ``picture``: the drawing of one policy's plan, or of several above each other, as ``Plan.to_svg`` makes it.

    ```{picture} torch:padding=1 keras:same
    :sizes: kernel_size=4, stride=2, length=10
    ```

A paper's policy may have ``:drawn-layer:`` in place of sizes: the layer of the paper that shows best what it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from convpolicy import Policy
from convpolicy.cli.policies import policy_of
from convpolicy.comparison.paper_text import drawn_plan
from convpolicy.pictures.windows import picture

if TYPE_CHECKING:
    from sphinx.application import Sphinx

    from convpolicy import Plan, TransposedPlan, TransposedPolicy


def sizes(text: str) -> dict[str, int]:
    """Read ``kernel_size=4, stride=2, length=10``."""
    return {name.strip(): int(value) for name, value in (pair.split("=") for pair in text.split(","))}


class Picture(SphinxDirective):
    """A picture of policies, written as on the command line."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec = {  # noqa: RUF012 - docutils reads it so
        "sizes": directives.unchanged_required,
        "drawn-layer": directives.flag,
        "outputs": directives.positive_int,
    }

    def run(self) -> list[nodes.Node]:
        """Return the picture as part of the page, so that it has the page's colours."""
        words = self.arguments[0].split()
        plans = {word: self.plan(policy_of(word)) for word in words}
        svg = picture(plans, most_outputs=self.options.get("outputs", 8))
        return [nodes.raw("", f'<div class="picture">{svg}</div>', format="html")]

    def plan(self, policy: Policy | TransposedPolicy) -> Plan | TransposedPlan:
        """Return what a policy does to the sizes of the directive."""
        if "drawn-layer" in self.options and isinstance(policy, Policy) and policy.paper is not None:
            return drawn_plan(policy, policy.paper)
        return policy.plan(**sizes(self.options["sizes"]))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("picture", Picture)
    return {"parallel_read_safe": True}

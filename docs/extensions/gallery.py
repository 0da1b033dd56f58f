"""The directive ``gallery``: a card with picture, description, call and users of every padding rule, crop rule or padding mode."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

import convpolicy as cp
from convpolicy.cli import kinds
from convpolicy.pictures.windows import picture

if TYPE_CHECKING:
    from sphinx.application import Sphinx

    from convpolicy.parts.part import Part

SIZES = {"kernel_size": 4, "stride": 2, "length": 9}  # an even kernel and a stride, where most rules differ
CROPPED = {"kernel_size": 7, "stride": 4, "length": 3}  # an odd number of samples to cut
PARTS = {"padding rule": cp.padding_rules, "crop rule": cp.crop_rules, "padding mode": cp.padding_modes}
PROPERTIES = {"causal", "length-preserving", "length-multiplying"}  # that a button filters by
SETTINGS = {"explicit": {"left": 2, "right": 1}, "crop": {"left": 2, "right": 1}}  # of rules that do nothing by default


def plan(kind: str, name: str) -> cp.Plan | cp.TransposedPlan:
    """Return the plan that a card draws; at stride 1 where a rule refuses another one."""
    base = cp.policy("torch")
    if kind == "crop rule":
        return base.half().evolve(padding=cp.Choice(name, **SETTINGS.get(name, {}))).plan(**CROPPED)
    if kind == "padding mode":
        mode = ("reflect", "zeros") if cp.padding_modes()[name].is_per_side else name
        return base.evolve(padding=3, padding_mode=mode).plan(1, length=6)
    policy = base.evolve(padding=cp.Choice(name, **SETTINGS.get(name, {})))
    try:
        return policy.plan(**SIZES)
    except cp.ConvPolicyError:
        return policy.plan(**{**SIZES, "stride": 1})


def users(kind: str, name: str) -> dict[str, str]:
    """Return policies that use a part -> their framework, or ``papers``."""
    found = {}
    for user in kinds.uses(kind, name):
        policy = cp.policy(user.partition(":")[0])
        found[user] = "papers" if policy.paper else str(policy.framework)
    return found


def card(kind: str, name: str, part: Part) -> str:
    """Return one card; its filters are in ``data-tags``."""
    used = users(kind, name)
    declared = sorted(PROPERTIES & set(getattr(part, "declares", ())))
    tags = " ".join(sorted({*used.values(), *declared}))
    drawn = plan(kind, name)
    chips = "".join(f"<span>{escape(tag)}</span>" for tag in declared)
    by = f"<p>Used by {', '.join(f'<code>{escape(user)}</code>' for user in used)}.</p>" if used else ""
    return (
        f'<section class="card" id="{nodes.make_id(f"{kind}-{name}")}" data-tags="{escape(tags)}"><h3>{escape(name)} {chips}</h3>'
        f"<p>{escape(str(part.description))}</p>{picture({'': drawn}, most_outputs=5)}"
        f"<pre>{escape(kinds.CALLS[kind].format(name))}</pre>{by}</section>"
    )


class Gallery(SphinxDirective):
    """Cards of one kind of part, with buttons that filter them."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec = {"filters": directives.flag}  # noqa: RUF012 - docutils reads it so

    def run(self) -> list[nodes.Node]:
        """Return the cards as part of the page."""
        kind = self.arguments[0]
        parts = {name: part for name, part in PARTS[kind]().items() if not getattr(part, "alias_of", None)}
        cards = "".join(card(kind, name, part) for name, part in parts.items())
        return [nodes.raw("", f"{self.buttons(kind, parts)}<div class='cards'>{cards}</div>", format="html")]

    def buttons(self, kind: str, parts: dict[str, Part]) -> str:
        """Return one button for each tag that a card has."""
        if "filters" not in self.options:
            return ""
        tags = {tag for name in parts for tag in users(kind, name).values()} | PROPERTIES
        return '<div class="filters" role="group" aria-label="Show only">' + "".join(
            f'<button type="button" aria-pressed="false" data-tag="{escape(tag)}">{escape(tag)}</button>' for tag in sorted(tags)
        ) + "</div>"  # fmt: skip


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive and the script of its buttons."""
    app.add_directive("gallery", Gallery)
    app.add_js_file("gallery.js", loading_method="defer")
    return {"parallel_read_safe": True}

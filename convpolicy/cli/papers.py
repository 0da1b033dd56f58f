"""``convpolicy papers``: list the policies of published models; `explain` describes one for ``show``."""

from __future__ import annotations

import click

from convpolicy.cli import arguments, output
from convpolicy.comparison import paper_text
from convpolicy.core.policy import Policy


@click.command()
@arguments.as_json
def papers(as_json: bool) -> None:
    """List published models and how their Conv1d differs."""
    rows = [(policy.name, policy.paper, paper_text.differences(policy), policy.description) for policy in paper_text.papers()]
    if as_json:
        data = [
            {"name": name, "differs": differs, "description": description, **(paper.to_data() if paper else {})}
            for name, paper, differs, description in rows
        ]
        output.print_json(data)
        return
    output.print_table(
        ("policy", "model", f"{paper_text.DIFFERS} in"),
        ((name, paper.model if paper else "", differs) for name, paper, differs, _description in rows),
    )


def explain(policy: Policy) -> None:
    """Print the description of a paper's policy with a drawing; other policies print nothing."""
    for heading, text in paper_text.explained(policy):
        output.say(f"\n{heading}\n{text}")

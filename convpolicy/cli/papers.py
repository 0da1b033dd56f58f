"""The command ``papers``, and what ``show`` says of a paper's policy."""

from __future__ import annotations

import click

from convpolicy.cli import arguments, output
from convpolicy.comparison import paper_text
from convpolicy.core.policy import Policy


@click.command()
@arguments.as_json
def papers(as_json: bool) -> None:
    """List the policies of papers, and what each has otherwise than torch's Conv1d."""
    found = [(policy.name, policy.paper, paper_text.differences(policy), policy.description) for policy in paper_text.papers()]
    if as_json:
        rows = [
            {"name": name, "differs": differs, "description": description, **(paper.to_data() if paper else {})}
            for name, paper, differs, description in found
        ]
        output.print_json(rows)
        return
    output.print_table(
        ("policy", "model", "differs from torch's Conv1d in"),
        ((name, paper.model if paper else "", differs) for name, paper, differs, _description in found),
    )


def explain(policy: Policy) -> None:
    """Print what there is to say of a paper's policy, with a drawing; nothing for any other."""
    for heading, text in paper_text.explained(policy):
        click.echo(f"\n{heading}\n{text}")

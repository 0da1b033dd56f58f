"""``convpolicy list``: print the names of all parts, or one kind as a table."""

from __future__ import annotations

import click

from convpolicy.cli import arguments, kinds, output


@click.command("list")
@click.argument("kind", required=False, type=click.Choice(list(kinds.LISTS)))
@arguments.as_json
def list_parts(kind: str | None, as_json: bool) -> None:
    """List all names, or one KIND with descriptions.

    Without KIND, only names are listed. Use `convpolicy show NAME` to see the parameters of one part.
    """
    listing = {title: kinds.parts(part_kind) for title, part_kind in kinds.LISTS.items() if kind in (None, title)}
    if as_json:
        output.print_json(
            [
                {
                    "kind": kinds.LISTS[title],
                    "name": name,
                    "parameters": kinds.parameters(part),
                    "provider": part.provider,
                    "description": kinds.description(part),
                }
                for title, parts in listing.items()
                for name, part in parts.items()
            ]
        )
        return
    if kind is not None:
        rows = [(name, part.provider, kinds.description(part)) for name, part in listing[kind].items()]
        output.print_table(("name", "plugin", "description"), rows, whole=2)
        return
    for title, parts in listing.items():
        output.say(f"{title} ({len(parts)})\n{output.wrapped(', '.join(parts), indent='  ')}\n")
    output.say("convpolicy list KIND describes one kind, convpolicy show NAME one part.")

"""``convpolicy list``: the names of all parts, and one kind as a table."""

from __future__ import annotations

import click

from convpolicy.cli import arguments, kinds, output


@click.command("list")
@click.argument("kind", required=False, type=click.Choice(list(kinds.LISTS)))
@arguments.as_json
def list_parts(kind: str | None, as_json: bool) -> None:
    """List all names, or one KIND with descriptions.

    Without KIND you see the names only. The parameters of one part are in `convpolicy show NAME`.
    """
    found = {word: kinds.parts(listed) for word, listed in kinds.LISTS.items() if kind in (None, word)}
    if as_json:
        output.print_json(
            [
                {
                    "kind": kinds.LISTS[word],
                    "name": name,
                    "parameters": kinds.parameters(part),
                    "provider": part.provider,
                    "description": kinds.description(part),
                }
                for word, parts in found.items()
                for name, part in parts.items()
            ]
        )
        return
    if kind is not None:
        rows = [(name, part.provider, kinds.description(part)) for name, part in found[kind].items()]
        output.print_table(("name", "plugin", "description"), rows, whole=2)
        return
    for word, parts in found.items():
        output.say(f"{word} ({len(parts)})\n{output.wrapped(', '.join(parts), indent='  ')}\n")
    output.say("convpolicy list KIND describes one kind, convpolicy show NAME one part.")

"""``convpolicy list``: print the names of all parts, or one kind as a table."""

from __future__ import annotations

from collections.abc import Iterable

import click

from convpolicy.cli import arguments, kinds, output


@click.command("list")
@click.argument("kind", required=False, type=click.Choice(list(kinds.LISTS)))
@arguments.as_json
def list_parts(kind: str | None, as_json: bool) -> None:
    """List all names, or one KIND with descriptions.

    Without KIND, only names are listed, and of wrappers only their packages. Use `convpolicy show NAME` to see the parameters of one part.
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
        output.say(f"{title} ({len(parts)})\n{output.wrapped(', '.join(_short(title, parts)), indent='  ')}\n")
    output.say("convpolicy list KIND describes one kind, convpolicy show NAME one part.")


def _short(title: str, names: Iterable[str]) -> list[str]:
    """Return names for the overview: of wrappers, which have long names, only the packages."""
    return sorted({name.partition(".")[0] for name in names}) if kinds.LISTS[title] == "wrapper" else list(names)

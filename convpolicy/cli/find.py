"""``convpolicy find``: search parts by name, description and the names that frameworks use."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

import attrs
import click

from convpolicy.cli import arguments, kinds, output
from convpolicy.cli.policies import TRANSPOSED
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.policy import Policy
from convpolicy.registry.synonyms import SYNONYMS

MOST = 12  # answers printed
SIZES = {"kernel": "kernel-size", "stride": "stride", "dilation": "dilation", "length": "length"}  # name in a query -> option
_SIZE = re.compile(rf"\b({'|'.join(SIZES)})(?:[ _-]?size)?s?[ =:]*([0-9]+)")
_TOKEN = re.compile(r"[^\s,;:()\"'=]+")
FILLERS = frozenset(
    [
        "a",
        "an",
        "and",
        "as",
        "by",
        "conv1d",
        "convolution",
        "does",
        "for",
        "how",
        "i",
        "in",
        "is",
        "like",
        "mode",
        "of",
        "on",
        "padding",
        "policy",
        "rule",
        "s",
        "the",
        "to",
        "what",
        "which",
        "with",
    ]
)
# points for each way in which a token of the query can match a part; the best match counts
NAME, FRAMEWORK_NAME, POLICY, PART_OF_NAME, SIMILAR, IN_DESCRIPTION = 10.0, 9.0, 6.0, 4.0, 3.0, 2.0
CLOSE = 0.8  # smallest similarity ratio of a misspelled name


@attrs.frozen
class Answer:
    """One result of a search.

    Attributes:
        kind, name: kind and name of the part.
        written: name of the part in a framework, e.g. ``"keras:same"``; empty for the part itself.
        description: description of the part.
        call: the command that shows the part.
    """

    kind: str
    name: str
    written: str
    description: str
    call: str

    def points(self, token: str) -> float:
        """Return the points for one lower-case token, 0 for no match."""
        name, (policy, _colon, setting) = self.name.lower(), self.written.lower().partition(":")
        framework_name = setting.removeprefix(f"{TRANSPOSED},")
        pieces = {piece for piece in re.split(r"[^a-z0-9]+", name) if piece}
        hits = {
            NAME: name == token or (not framework_name and SYNONYMS.get(self.kind, {}).get(token) == name),
            FRAMEWORK_NAME: framework_name == token,
            POLICY: bool(policy) and policy in (token, SYNONYMS["policy"].get(token)),
            PART_OF_NAME: token in pieces or (len(token) > 2 and name.startswith(token)),
            SIMILAR: len(token) > 3 and difflib.SequenceMatcher(None, token, name).ratio() >= CLOSE,
            IN_DESCRIPTION: token in re.split(r"[^\w√±]+", self.description.lower()),
        }
        return max((points for points, hit in hits.items() if hit), default=0.0)


@click.command()
@click.argument("query", nargs=-1, required=True)
@arguments.as_json
def find(query: tuple[str, ...], as_json: bool) -> None:
    """Search parts by name or by framework terms.

    For example: convpolicy find "tf SAME stride 2". The best match comes first. Each match comes with a command that shows it. The
    exit status is 1 if nothing matches.
    """
    text = " ".join(query)
    answers = search(text)
    if as_json:
        output.print_json([attrs.asdict(answer) for answer in answers])
    elif answers:
        for number, answer in enumerate(answers[:MOST]):
            written = f", called {answer.written}" if answer.written else ""
            lines = [f"{answer.kind} {answer.name}{written}", output.wrapped(answer.description, "  "), f"  {answer.call}"]
            output.say("\n" * bool(number) + "\n".join(lines))
        if len(answers) > MOST:
            output.say(f"\n{len(answers) - MOST} more; use more search terms, or --json for all")
    else:
        output.say_beside(f"convpolicy: no name or description matches {text!r}; see convpolicy list.")
    if not answers:
        raise SystemExit(1)


def search(text: str) -> list[Answer]:
    """Return the parts that match a query, best match first; sizes such as ``stride 2`` become options of the commands."""
    lower = text.lower()
    sizes = "".join(f" --{SIZES[name]} {number}" for name, number in _SIZE.findall(lower))
    tokens = _TOKEN.findall(_SIZE.sub(" ", lower))
    tokens = [token for token in tokens if token not in FILLERS] or tokens
    scored: list[tuple[int, float, int, Answer]] = []
    for answer in _answers(sizes):
        points = [answer.points(token) for token in tokens]
        if any(points):
            scored.append((-sum(map(bool, points)), -sum(points), len(scored), answer))
    return [answer for _matched, _points, _number, answer in sorted(scored, key=lambda score: score[:3])]


def _answers(sizes: str) -> Iterator[Answer]:
    """Yield every possible answer: the names that frameworks use, then the parts."""
    policies: dict[str, Policy] = kinds.parts("policy")
    for policy in policies.values():
        for half in (policy, policy.transposed):
            if half is not None:
                yield from _framework_names(half, sizes)
    for kind in kinds.LISTS.values():
        for name, part in kinds.parts(kind).items():
            yield Answer(
                kind,
                name,
                "",
                kinds.description(part),
                CALLS.get(kind, "convpolicy show {0}").format(name) + sizes * (kind in CALLS),
            )


def _framework_names(policy: LayerPolicy, sizes: str) -> Iterator[Answer]:
    kind = policy.part_kinds["padding"]
    rules, setting = kinds.parts(kind), f"{TRANSPOSED}," if policy.is_transposed else ""
    for framework_name, rule in policy.padding_names:
        if rule in rules:
            written = f"{policy.name}:{setting}{framework_name}"
            yield Answer(kind, rule, written, rules[rule].description, f"convpolicy plan {written}{sizes}")


CALLS = {  # kind -> command that draws a part of this kind
    "policy": "convpolicy plan {0}",
    "padding rule": "convpolicy plan torch:{0}",
    "crop rule": "convpolicy plan torch:transposed,{0}",
    "padding mode": "convpolicy plan torch:padding=3,padding_mode={0}",
}

"""``convpolicy find``: parts by their names, descriptions and the words of frameworks, nearest first."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

import attrs
import click

from convpolicy.cli import arguments, kinds, output
from convpolicy.core.policy import Policy
from convpolicy.registry.synonyms import SYNONYMS

MOST = 12  # answers that are printed
SIZES = {"kernel": "kernel-size", "stride": "stride", "dilation": "dilation", "length": "length"}  # word -> option
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
# how a token of the query meets a part -> its points, the best of them counts
NAME, OWN_WORD, OWNER, PART_OF_NAME, SIMILAR, IN_DESCRIPTION = 10.0, 9.0, 6.0, 4.0, 3.0, 2.0
CLOSE = 0.8  # ratio of equal signs of a misspelled name


@attrs.frozen
class Answer:
    """One part that a query may mean.

    Attributes:
        kind, name: of the part.
        written: how a policy writes it, ``keras:same``; empty for the part itself.
        description: its sentence.
        call: the command that shows it.
    """

    kind: str
    name: str
    written: str
    description: str
    call: str

    def points(self, token: str) -> float:
        """Return how well one token in lower case fits, 0 for not at all."""
        name, (owner, _colon, word) = self.name.lower(), self.written.lower().partition(":")
        pieces = {piece for piece in re.split(r"[^a-z0-9]+", name) if piece}
        hits = {
            NAME: name == token or (not word and SYNONYMS.get(self.kind, {}).get(token) == name),
            OWN_WORD: word == token,
            OWNER: bool(owner) and owner in (token, SYNONYMS["policy"].get(token)),
            PART_OF_NAME: token in pieces or (len(token) > 2 and name.startswith(token)),
            SIMILAR: len(token) > 3 and difflib.SequenceMatcher(None, token, name).ratio() >= CLOSE,
            IN_DESCRIPTION: token in re.split(r"[^\w√±]+", self.description.lower()),
        }
        return max((points for points, hit in hits.items() if hit), default=0.0)


@click.command()
@click.argument("query", nargs=-1, required=True)
@arguments.as_json
def find(query: tuple[str, ...], as_json: bool) -> None:
    """Search parts by name or by a framework's own words.

    For example: convpolicy find "tf SAME stride 2". The nearest answer comes first, each with a command that shows it. Exit status 1
    when nothing fits.
    """
    text = " ".join(query)
    answers = search(text)
    if as_json:
        output.print_json([attrs.asdict(answer) for answer in answers])
    elif answers:
        for number, answer in enumerate(answers[:MOST]):
            written = f", written {answer.written}" if answer.written else ""
            lines = [f"{answer.kind} {answer.name}{written}", output.wrapped(answer.description, "  "), f"  {answer.call}"]
            output.say("\n" * bool(number) + "\n".join(lines))
        if len(answers) > MOST:
            output.say(f"\n{len(answers) - MOST} more; add a word, or --json for all")
    else:
        output.say_beside(f"convpolicy: nothing is called or described as {text!r}; see convpolicy list.")
    if not answers:
        raise SystemExit(1)


def search(text: str) -> list[Answer]:
    """Return the parts that a query may mean, nearest first; sizes in it, such as ``stride 2``, go into the commands."""
    lower = text.lower()
    sizes = "".join(f" --{SIZES[word]} {number}" for word, number in _SIZE.findall(lower))
    tokens = _TOKEN.findall(_SIZE.sub(" ", lower))
    tokens = [token for token in tokens if token not in FILLERS] or tokens
    scored: list[tuple[int, float, int, Answer]] = []
    for answer in _answers(sizes):
        points = [answer.points(token) for token in tokens]
        if any(points):
            scored.append((-sum(map(bool, points)), -sum(points), len(scored), answer))
    return [answer for _matched, _points, _number, answer in sorted(scored, key=lambda score: score[:3])]


def _answers(sizes: str) -> Iterator[Answer]:
    """Yield everything there is: first what policies write in their own words, then the parts themselves."""
    policies: dict[str, Policy] = kinds.parts("policy")
    rules = kinds.parts("padding rule")
    for policy in policies.values():
        for word, rule in policy.padding_names:
            if rule in rules:
                written = f"{policy.name}:{word}"
                yield Answer("padding rule", rule, written, rules[rule].description, f"convpolicy plan {written}{sizes}")
    for kind in kinds.LISTS.values():
        for name, part in kinds.parts(kind).items():
            yield Answer(
                kind,
                name,
                "",
                kinds.description(part),
                CALLS.get(kind, "convpolicy show {0}").format(name) + sizes * (kind in CALLS),
            )


CALLS = {  # kind -> the command that draws a part of it
    "policy": "convpolicy plan {0}",
    "padding rule": "convpolicy plan torch:{0}",
    "padding mode": "convpolicy plan torch:padding=3,padding_mode={0}",
}

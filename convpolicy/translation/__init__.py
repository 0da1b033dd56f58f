"""A constructor call of one framework, as text, turned into code of another that needs nothing of convpolicy."""

from __future__ import annotations

import ast
from typing import Any

import attrs

from convpolicy.arithmetic import integer
from convpolicy.core.named import policy as named_policy
from convpolicy.core.policy import Policy
from convpolicy.errors import ConvPolicyError, InvalidValueError, unknown_name
from convpolicy.frameworks.keras import channels
from convpolicy.translation import pages
from convpolicy.translation.pages import PATHS
from convpolicy.translation.reading import Wanted
from convpolicy.translation.sources import SOURCES
from convpolicy.translation.targets import TARGETS
from convpolicy.translation.values import Expression, Value, as_call, parse
from convpolicy.translation.writing import Snippet, join, write

ALIASES = {"tensorflow": "keras"}
TITLE_LENGTH = 100


@attrs.frozen
class TranslatedCall:
    """One Conv1d of a file.

    Args:
        line: where it stands, from 1.
        original: its text.
        snippet: the translation, or None.
        reason: why there is none, or None.
    """

    line: int
    original: str
    snippet: Snippet | None = attrs.field(default=None, repr=False)
    reason: str | None = None

    @property
    def code(self) -> str | None:
        """The translation with its own imports, or None."""
        return None if self.snippet is None else self.snippet.code

    def to_dict(self) -> dict[str, Any]:
        """Return line, original, code and reason as plain data, ready for JSON."""
        return {"line": self.line, "original": self.original, "code": self.code, "reason": self.reason}


def translate(
    code: str, source: str = "torch", target: str = "mindspore", *, in_channels: int | None = None, length: int | None = None
) -> str:
    """Translate a call of one framework's Conv1d, or every one of a page, into code of another framework.

    Nothing is run: arguments are literals and names. The code needs only the target framework; what it cannot express stands in
    comments.

    Args:
        code: a call such as ``nn.Conv1d(120, 240, 4, padding=1)``, alone or assigned to a name, or a page with several.
        source: ``"torch"``, ``"mindspore"``, ``"keras"`` (also ``"tensorflow"``), ``"flax"`` or ``"paddle"``; a version as in
            ``"mindspore@2.0"`` is that version's defaults.
        target: the same without versions.
        in_channels: for a Keras call, whose input decides, where neither ``input_shape=`` nor, on a page, what stands before says it.
        length: input length in samples; pads that depend on it are then numbers.

    Returns:
        Python code that binds the layer to ``layer``, or to the name it was assigned to.

    Raises:
        UnknownNameError: no such framework; holds the nearest.
        InvalidTypeError, InvalidValueError: no call, starred or computed arguments, arguments that the source framework refuses, or
            what the target cannot express; holds the argument, what came and the fix.
    """
    _text, tree = parse(code)
    dialects = _dialects(source, target, in_channels, length)
    names = pages.Names(tree, dialects.source)
    call = _call_in(tree)
    if (call is None or names.resolve(call.func) not in PATHS) and any(mention.called for mention in pages.mentions(tree, names)):
        return page_of(translate_page(code, source, target, in_channels=in_channels, length=length))
    if call is None:
        raise InvalidValueError(f"code must be a call of {SOURCES[dialects.source].title}, got {code!r}; pass the whole call.")
    found = as_call(call, arithmetic=False)
    dialect = dialects.of(names.resolve(call.func) or found.name)
    name = pages.targets_of(tree).get(id(call), "layer")
    wanted = SOURCES[dialect].read(found, dialects.title, dialects.policy, in_channels, length)
    return write(wanted, TARGETS[dialects.target], name).code


def translate_page(
    code: str, source: str = "torch", target: str = "mindspore", *, in_channels: int | None = None, length: int | None = None
) -> list[TranslatedCall]:
    """Translate every Conv1d of a file; names are followed through its imports, and nothing is run.

    Channels and other sizes may be names, or arithmetic on names, where their value is not needed; they are kept as they are.

    Args:
        code: the whole text.
        source, target, in_channels, length: see `translate`.

    Returns:
        What was found, in the order of the text; each with a translation or the reason why there is none.

    Raises:
        UnknownNameError, InvalidTypeError, InvalidValueError: no such framework, no Python, or no Conv1d of ``source`` in it.
    """
    text, tree = parse(code)
    dialects = _dialects(source, target, in_channels, length)
    mentions = list(pages.mentions(tree, pages.Names(tree, dialects.source)))
    own = [mention for mention in mentions if mention.dialect.partition(".")[0] == dialects.source]
    if not own:
        others = sorted({mention.dialect.partition(".")[0] for mention in mentions})
        hint = f" it has some of {', '.join(others)}: pass source=... (--from)." if others else " pass code that calls one."
        raise InvalidValueError(
            f"code must call {SOURCES[dialects.source].title}, got {len(text.splitlines())} lines without;{hint}"
        )
    names, follow = pages.targets_of(tree), channels.follow(tree) if dialects.source == "keras" else {}
    found: list[TranslatedCall] = []
    for mention in own:
        name = names.get(id(mention.node), f"layer{len(found) + 1}")
        before: Value = follow.get(id(mention.node)) or in_channels
        found.append(_translated(mention, text, name, dialects, before, length))
    return found


def page_of(found: list[TranslatedCall], file: str = "") -> str:
    """Return what was found in a file as one text: imports and classes once, then each translation under the original call."""
    titles, snippets = [], []
    for call in found:
        line = " ".join(call.original.split())
        place = f"{file}:{call.line}" if file else f"line {call.line}"
        titles.append(f"# {place}: {line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1] + '…'}")
        reason = f"# not translated: {call.reason}"
        snippets.append(call.snippet or Snippet("", (), (), (), reason))
    return join(snippets, titles)


def _call_in(tree: ast.Module) -> ast.Call | None:
    """Return the call of a single statement: alone, assigned, with a comma behind it, or called on something at once."""
    single = len(tree.body) == 1 and isinstance(tree.body[0], (ast.Expr, ast.Assign, ast.AnnAssign))
    value = getattr(tree.body[0], "value", None) if single else None
    if isinstance(value, ast.Tuple) and len(value.elts) == 1:
        value = value.elts[0]
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Call):
        value = value.func
    return value if isinstance(value, ast.Call) else None


@attrs.frozen
class _Dialects:
    """Both frameworks, checked: the source's table, its policy and how comments speak of it, and the target's table."""

    source: str
    title: str
    policy: Policy
    target: str

    def of(self, path: str) -> str:
        """Return the source dialect of a class by its dotted name.

        Raises:
            InvalidValueError: another class, or another framework's; holds both.
        """
        dialect = PATHS.get(path)
        if dialect is None or dialect.partition(".")[0] != self.source:
            other = f", which is {dialect.partition('.')[0]}'s" if dialect else ""
            raise InvalidValueError(
                f"code must call {SOURCES[self.source].title}, got {path}{other}; pass such a call, or the framework as source=... (--from)."
            )
        return dialect


def _dialects(source: str, target: str, in_channels: Any, length: Any) -> _Dialects:
    checked = []
    for argument, value, known in (("source", source, SOURCES), ("target", target, TARGETS)):
        name, at, _version = value.partition("@") if isinstance(value, str) else (value, "", "")
        framework = ALIASES.get(name, name)
        known_names = [n for n in known if n in TARGETS] + list(ALIASES)
        if framework not in TARGETS or (at and argument == "target"):
            raise unknown_name(f"{argument} framework", value, known_names)
        checked.append(framework)
    if checked[0] == checked[1]:
        raise InvalidValueError(f"source and target must differ, got {source!r} and {target!r}; pick another target.")
    if in_channels is not None:
        integer("in_channels", in_channels, 1)
    if length is not None:
        integer("length", length, 1)
    _name, at, version = source.partition("@")
    return _Dialects(checked[0], source, named_policy(f"{checked[0]}{at}{version}"), checked[1])


def _translated(
    mention: pages.Mention, code: str, name: str, dialects: _Dialects, in_channels: Value, length: Any
) -> TranslatedCall:
    original = ast.get_source_segment(code, mention.node) or ast.unparse(mention.node)
    if not mention.called:
        return TranslatedCall(
            mention.node.lineno, original, reason="it is named here, not called; translate the place where it is called."
        )
    assert isinstance(mention.node, ast.Call)
    try:
        call = as_call(mention.node, arithmetic=True)
        source = SOURCES[mention.dialect]
        unknown = in_channels is None and "in_channels" not in (source.names.get(n, n) for n in source.parameters)
        stand_in: Value = Expression("in_channels") if unknown else in_channels
        wanted = source.read(call, dialects.title, dialects.policy, stand_in, length)
        snippet = write(
            _with_note(wanted) if wanted.values["in_channels"] is stand_in and unknown else wanted, TARGETS[dialects.target], name
        )
    except ConvPolicyError as error:
        return TranslatedCall(mention.node.lineno, original, reason=str(error))
    return TranslatedCall(mention.node.lineno, original, snippet)


def _with_note(wanted: Wanted) -> Wanted:
    note = "in_channels: the channels of this layer's input, which the code does not say; put the number"
    return attrs.evolve(wanted, notes=(*wanted.notes, note))

"""Constructor calls of one framework, as text, translated to code of another that needs nothing of convpolicy.

Every framework is a `Dialect`, offered by a plugin with ``convpolicy_dialects``.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from convpolicy import registry
from convpolicy.arithmetic import integer
from convpolicy.core.named import policy as named_policy
from convpolicy.errors import InvalidValueError, PluginError, UnknownNameError, unknown_name
from convpolicy.translation import calls, pages
from convpolicy.translation.calls import Context
from convpolicy.translation.dialect import Dialect
from convpolicy.translation.pages import NAMED
from convpolicy.translation.source_file import Pair, SourceFile, TranslatedCall
from convpolicy.translation.surroundings import ALONE
from convpolicy.translation.values import as_call, shown
from convpolicy.translation.writing import Snippet, join, write

TITLE_LENGTH = 100


def translate(
    code: str, source: str = "torch", target: str = "mindspore", *, in_channels: int | None = None, length: int | None = None
) -> str:
    """Translate a Conv1d call of one framework, or every one of a page, to code of another framework.

    Nothing is run: arguments are literals and names. The code needs only the target framework; what it cannot express is a comment.

    Args:
        code: a call such as ``nn.Conv1d(120, 240, 4, padding=1)``, alone or assigned to a name, or a page with several.
        source: name or alias of a dialect; with a version, as in ``"mindspore@2.0"``, the defaults are those of that version.
        target: the same without versions.
        in_channels: for a framework whose calls do not say it, where the rest of a page does not say it either.
        length: input length in samples; pads that depend on it are then numbers.

    Returns:
        Python code that binds the layer to ``layer``, or to the name it was assigned to.

    Raises:
        UnknownNameError: no such framework; holds the nearest.
        PluginError: two plugins offer the dialect, or it fails; holds the dialect and the plugins.
        InvalidTypeError, InvalidValueError: no call, starred or computed arguments, arguments that the source framework refuses, or
            what the target cannot express; holds the argument, what came and the fix.
    """
    pair = _pair(source, target, in_channels, length)
    file = SourceFile.of(code, pair)
    alone = None if file.call is None else next((row for row in file.mentions if row.use.call is file.call), None)
    if (alone is None or alone.reason is not None) and any(row.use.call is not None and not row.beside for row in file.mentions):
        rows = file.rows(in_channels)
        if any(row.snippet for row in rows):
            return page_of(rows)
        raise _nothing(rows)
    if file.call is None and len(file.page.tree.body) > 1:
        file.rows(in_channels)  # refuses a page without a call
    if file.call is None:
        raise InvalidValueError(f"code must be a call of {pair.title}, got {shown(file.source.text)}; pass the whole call.")
    call = as_call(file.call, arithmetic=False, path=file.path)
    known = pair.known_class(call.path or call.name)
    name = file.page.assigned.get(id(file.call), ("layer", None))[0]
    return write(calls.read(call, known.source, pair.source, in_channels), pair.target, name).code


def translate_page(
    code: str, source: str = "torch", target: str = "mindspore", *, in_channels: int | None = None, length: int | None = None
) -> list[TranslatedCall]:
    """Translate every Conv1d of a file, and list its other layers; names are resolved as Python does it, and nothing is run.

    Channels and other sizes may be names, or arithmetic on names, where their value is not needed; they stay as they are.

    Args:
        code: the whole text.
        source, target, in_channels, length: see `translate`.

    Returns:
        Every layer of the framework, in the order of the text, each with a translation or the reason why there is none.

    Raises:
        UnknownNameError, InvalidTypeError, InvalidValueError: no such framework, no Python, or no Conv1d of ``source`` in it.
    """
    pair = _pair(source, target, in_channels, length)
    return SourceFile.of(code, pair).rows(in_channels)


def page_of(translations: list[TranslatedCall], file: str = "") -> str:
    """Return the translations of a file as one text: imports and classes once, then each translation under the original call."""
    titles, snippets = [], []
    for call in translations:
        line = " ".join(call.original.split())
        place = f"{file}:{call.line}" if file else f"line {call.line}"
        titles.append(f"# {place}: {line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1] + '…'}")
        reason = f"# not translated: {call.reason}"
        snippets.append(call.snippet or Snippet("", (), (), (), reason))
    return join(snippets, titles)


def _nothing(rows: list[TranslatedCall]) -> InvalidValueError:
    """Return the error for a page of which no layer can be translated."""
    calls_only = [row for row in rows if row.reason not in (ALONE, NAMED)]
    first, *rest = calls_only or [row for row in rows if row.reason != ALONE]
    place = "" if first.line == 1 else f"line {first.line}: "
    more = f" {len(rest)} more cannot be translated either; translate_page lists them." if rest else ""
    return InvalidValueError(f"{place}{first.reason}{more}")


def _pair(source: str, target: str, in_channels: Any, length: Any) -> Pair:
    dialects: dict[str, Dialect] = registry.current().working("dialect")
    name, at, version = source.partition("@") if isinstance(source, str) else (source, "", "")
    readable = {name: dialect for name, dialect in dialects.items() if dialect.source_classes}
    writable = {name: dialect for name, dialect in dialects.items() if dialect.writer is not None}
    read = _dialect("source", name, source, readable)
    written = _dialect("target", target, target, writable)
    if read.name == written.name:
        raise InvalidValueError(f"source and target must differ, got {source!r} and {target!r}; pick another target.")
    if in_channels is not None:
        integer("in_channels", in_channels, 1)
    if length is not None:
        integer("length", length, 1)
    policy = named_policy(f"{read.policy}{at}{version}")
    context = Context(dialect=read, framework=source, policy=policy, length=length)
    return Pair(context, written, pages.known_paths(dialects.values(), read))


def _dialect(argument: str, name: Any, value: Any, dialects: dict[str, Dialect]) -> Dialect:
    """Return a dialect by its name, or by an alias.

    Raises:
        UnknownNameError: no such dialect that can be used as ``argument``; holds the nearest.
        PluginError: two plugins offer it, or it fails; holds the plugins.
    """
    if isinstance(name, str) and name in dialects:
        return dialects[name]
    aliases = {alias: dialect for dialect in dialects.values() for alias in dialect.aliases}
    matches = [dialect for dialect in dialects.values() if name in dialect.aliases]
    if len(matches) > 1:
        plugins = " and ".join(f"{dialect.name!r} of plugin {dialect.provider!r}" for dialect in matches)
        raise PluginError(f"{name!r} is an alias of two dialects, {plugins}; pass the dialect's own name.")
    if matches:
        return matches[0]
    with suppress(UnknownNameError):
        registry.current().get("dialect", name)  # where two plugins offer it, or it fails, the registry says so
    raise unknown_name(f"{argument} framework", value, {*dialects, *aliases})

"""Translate layer code from one framework to another.

The translated code needs the target framework. It does not need convpolicy. A `Dialect` describes the code of one framework. A plugin
registers dialects with the hook ``convpolicy_dialects``.
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
from convpolicy.translation.snippets import Snippet, join
from convpolicy.translation.source_file import Pair, SourceFile, TranslatedCall
from convpolicy.translation.surroundings import ALONE
from convpolicy.translation.translated_page import TranslatedPage
from convpolicy.translation.values import as_call, shown
from convpolicy.translation.writing import write

TITLE_LENGTH = 100


def translate(
    code: str, source: str = "torch", target: str = "mindspore", *, in_channels: int | None = None, length: int | None = None
) -> str:
    """Translate code of convolutions from one framework to another.

    Pass a single call, or the text of a whole file. In a file, each Conv1d and ConvTranspose1d is translated. The code is parsed and never
    run. The result imports the target framework. Comments state the differences that the target framework cannot express.

    Args:
        code: a call such as ``nn.Conv1d(120, 240, 4, padding=1)``, alone or assigned to a name, or the text of a file.
        source: framework of the code: the name or alias of a dialect. With a version, as in ``"mindspore@2.0"``, the translation uses
            the defaults of this version.
        target: framework of the translation: the name or alias of a dialect, without a version.
        in_channels: number of input channels. Pass this number if neither the calls nor the rest of the file contain it, as is common
            in Keras code.
        length: input length in samples. Padding that depends on the input length is then written as numbers for this length.

    Returns:
        Python code. It assigns the layer to the name used in the source code, or to ``layer`` if there is no name.

    Raises:
        UnknownNameError: no dialect has this name. The message suggests a similar name if there is one.
        PluginError: two plugins register the dialect, or its code fails. The message names the dialect and the plugins.
        InvalidTypeError, InvalidValueError: one of the following. The message contains the argument and the fix:

            - The code has no call of a convolution of the source framework.
            - An argument is starred or computed.
            - The source framework does not allow an argument.
            - The target cannot express an option that changes the outputs.
    """
    pair = _pair(source, target, in_channels, length)
    file = SourceFile.of(code, pair)
    single = None if file.call is None else next((row for row in file.mentions if row.use.call is file.call), None)
    if (single is None or single.reason is not None) and any(
        row.use.call is not None and not row.beside for row in file.mentions
    ):
        page = TranslatedPage(code, file, file.rows(in_channels))
        if any(call.snippet for call in page):
            return page_of(page)
        raise _no_translation(page)
    if file.call is None and len(file.page.tree.body) > 1:
        file.rows(in_channels)  # raises for a file without a call
    if file.call is None:
        raise InvalidValueError(f"code must be a call of {pair.title}, got {shown(file.source.text)}; pass the whole call.")
    if single is not None and single.is_function:
        (row,) = file.rows(in_channels)
        if row.snippet is None:
            raise InvalidValueError(str(row.reason))
        return row.snippet.code
    call = as_call(file.call, arithmetic=False, path=file.path)
    layer_class = pair.known_class(call.path or call.name)
    name = file.page.assigned.get(id(file.call), ("layer", None))[0]
    return write(calls.read(call, layer_class.source, pair.source, in_channels), pair.target, name).code


def translate_page(
    code: str, source: str = "torch", target: str = "mindspore", *, in_channels: int | None = None, length: int | None = None
) -> TranslatedPage:
    """Translate every Conv1d and ConvTranspose1d of a file, and list its other layers.

    The file is parsed and never run. Names are resolved by Python's scoping rules. A size may be a name, or arithmetic on names. The
    translation copies this expression unchanged. If the translation needs the value of the expression, the call is not translated.

    Args:
        code: text of the file.
        source, target, in_channels, length: as in `translate`.

    Returns:
        A list with one `TranslatedCall` per layer of the framework, in the order of the file. Each has a translation, or the reason why
        the layer cannot be translated. ``.text`` is the file with its layers replaced, and ``.diff()`` the changes.

    Raises:
        UnknownNameError, InvalidTypeError, InvalidValueError: one of the following:

            - No dialect has this name.
            - The code is not valid Python.
            - The code has no layer of ``source``.
    """
    pair = _pair(source, target, in_channels, length)
    file = SourceFile.of(code, pair)
    return TranslatedPage(code, file, file.rows(in_channels))


def page_of(translations: list[TranslatedCall], file: str = "") -> str:
    """Join the translations of a file into one text.

    Args:
        translations: result of `translate_page`.
        file: name of the file, for the comment above each layer.

    Returns:
        Python code: the imports and classes, then each translation under a comment with the original call.
    """
    titles, snippets = [], []
    for call in translations:
        line = " ".join(call.original.split())
        place = f"{file}:{call.line}" if file else f"line {call.line}"
        title = f"# {place}: {line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1] + '…'}"
        titles.append(title if call.snippet else f"{title}\n# not translated: {call.reason}")
        snippets.append(call.snippet or Snippet("", (), (), (), ""))
    return join(snippets, titles)


def _no_translation(rows: list[TranslatedCall]) -> InvalidValueError:
    """Return the error for a file in which no layer can be translated."""
    called = [row for row in rows if row.reason not in (ALONE, NAMED)]
    first, *rest = called or [row for row in rows if row.reason != ALONE]
    place = "" if first.line == 1 else f"line {first.line}: "
    more = f" {len(rest)} more cannot be translated either; translate_page lists them." if rest else ""
    return InvalidValueError(f"{place}{first.reason}{more}")


def _pair(source: str, target: str, in_channels: Any, length: Any) -> Pair:
    dialects: dict[str, Dialect] = registry.current().working("dialect")
    name, at, version = source.partition("@") if isinstance(source, str) else (source, "", "")
    readable = {name: dialect for name, dialect in dialects.items() if dialect.source_classes}
    writable = {name: dialect for name, dialect in dialects.items() if dialect.writer is not None}
    source_dialect = _dialect("source", name, source, readable)
    target_dialect = _dialect("target", target, target, writable)
    if source_dialect.name == target_dialect.name:
        raise InvalidValueError(f"source and target must differ, got {source!r} and {target!r}; pick another target.")
    if in_channels is not None:
        integer("in_channels", in_channels, 1)
    if length is not None:
        integer("length", length, 1)
    policy = named_policy(f"{source_dialect.policy}{at}{version}")
    context = Context(dialect=source_dialect, framework=source, policy=policy, length=length)
    return Pair(context, target_dialect, pages.known_paths(dialects.values(), source_dialect))


def _dialect(argument: str, name: Any, value: Any, dialects: dict[str, Dialect]) -> Dialect:
    """Return a dialect by its name or an alias.

    Raises:
        UnknownNameError: there is no such dialect that can be used as ``argument``; the message suggests the nearest name.
        PluginError: two plugins register it, or its plugin fails; the message names the plugins.
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
        registry.current().get("dialect", name)  # raises if two plugins register it, or if it failed to load
    raise unknown_name(f"{argument} framework", value, {*dialects, *aliases})

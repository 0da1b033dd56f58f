"""What a dialect keeps: what it writes it reads back to the same meaning, and what it cannot say it refuses or says in a comment."""

from __future__ import annotations

import ast
import itertools
from functools import partial
from typing import Any

from convpolicy.core.named import policy as named_policy
from convpolicy.errors import ConvPolicyError, PluginError
from convpolicy.testing.common import refuses, require, smallest
from convpolicy.testing.dialect_cases import (
    CHANNELS,
    LENGTHS,
    NAME,
    PLAIN,
    SINGLES,
    WANTED,
    Wanted,
    judge,
    parsed,
    plainly,
    read,
    unbound,
    written,
)
from convpolicy.testing.dialect_names import classes, names, signatures, words
from convpolicy.testing.ladder import Check, ConformanceError
from convpolicy.translation.dialect import Dialect, Reader, SourceClass
from convpolicy.translation.reading import REQUIRED
from convpolicy.translation.values import Expression

MAX_EXAMPLES = 40  # layers beside the plain ones
JUNK = (
    '"nonsense"',
    "-1",
    "1.5",
    "None",
    "[]",
    "()",
    "{}",
    "(1, 2, 3)",
    "True",
    "name",
    "f(1)",
    '"SAME"',
    "2**70",
    "((1, 2), (3,))",
)
SAMPLES = {"in_channels": CHANNELS, "out_channels": 2 * CHANNELS, "kernel_size": 3}
PADS = ((0, 0), (1, 1), (2, 2), (1, 2), (2, 1), "same_upper", "same_lower")
STRIDED = 2  # at which the last two depend on the length
ONE_OF_EACH = ("zeros", "reflect", "replicate", "circular", "symmetric")


def checks(dialect: Dialect, max_examples: int = MAX_EXAMPLES) -> list[Check]:
    """Return the checks of a dialect, lowest rung first; those of reading and of writing apply where it does."""
    reader, writer = dialect.reader, dialect.writer
    found: list[tuple[str, str, Any]] = [
        ("names", "names", partial(names, dialect)),
        ("signatures", "signatures", partial(signatures, dialect)),
    ]
    if reader is not None:
        found += [
            ("classes", "names", partial(classes, dialect, reader)),
            ("reads", "shapes and dtypes", partial(_reads, dialect, reader)),
            ("garbage", "shapes and dtypes", partial(_garbage, dialect, reader)),
            ("defaults", "values", partial(_defaults, dialect, reader)),
        ]
    if writer is not None:
        found += [
            ("words", "names", partial(words, writer)),
            ("writes", "shapes and dtypes", partial(_writes, dialect)),
            ("code", "shapes and dtypes", partial(_each, dialect, max_examples, _code)),
            ("distinct", "values", partial(_distinct, dialect)),
        ]
    if reader is not None and writer is not None:
        found += [
            ("read-back", "shapes and dtypes", partial(_read_back, dialect)),
            ("values", "values", partial(_each, dialect, max_examples, _values)),
        ]
    return [Check(dialect, *check) for check in found]


def _each(dialect: Dialect, max_examples: int, check: Any) -> None:
    for wanted in SINGLES:
        check(dialect, wanted)
    smallest(partial(check, dialect), max_examples, wanted=WANTED)


# -- reading --------------------------------------------------------------------------------------------------------------


def _call(source: SourceClass, path: str, **own: str) -> str:
    """Return a file that imports a class and calls it with what is required, and more."""
    required = {
        name: repr(SAMPLES[source.names.get(name, name)])
        for name, default in source.parameters.items()
        if default is REQUIRED and source.names.get(name, name) in SAMPLES
    }
    words = ", ".join(f"{name}={code}" for name, code in {**required, **own}.items())
    package = path.rpartition(".")[0]
    return f"import {package}\n\n{NAME} = {path}({words})\n"


def _reads(dialect: Dialect, reader: Reader) -> None:
    """Every name of every class is read, and its sizes are those of the call."""
    for source in reader.classes:
        for path in (source.title, *source.paths):
            code = _call(source, path)
            try:
                found = read(dialect, code)
            except PluginError:
                raise
            except ConvPolicyError as error:
                raise ConformanceError(f"it must read {path} with what is required, but refuses it: {error}") from error
            require(len(found) == 1, f"it must read one layer in {code!r}, got {len(found)}.")
            for name, value in SAMPLES.items():
                got = found[0].values[name]
                require(got == value, f"it must read {name} {value} of {path}, got {got}.")


def _garbage(dialect: Dialect, reader: Reader) -> None:
    """Any value of any argument is read or refused in a sentence."""
    for source, value in itertools.product(reader.classes, JUNK):
        for name in source.parameters:
            code = _call(source, source.title, **{name: value})
            try:
                refuses(partial(read, dialect, code))
            except PluginError as error:
                raise ConformanceError(
                    f"{name}={value} of {source.title} must be read or refused in a sentence: {error}"
                ) from error


def _defaults(dialect: Dialect, reader: Reader) -> None:
    """A call of the first class with what is required does what the dialect's policy does."""
    own = named_policy(dialect.policy)
    source = reader.classes[0]
    (found,) = read(dialect, _call(source, source.title))
    require(
        found.bias == own.bias, f"{source.title} must have bias={own.bias} by default, as policy {own.name!r}, got {found.bias}."
    )
    for length in LENGTHS:
        one, two = (policy.plan(3, length=length) for policy in (own, found.policy))
        require(
            (one.left, one.right) == (two.left, two.right),
            f"{source.title} must pad {one.left, one.right} by default, as policy {own.name!r}, got {two.left, two.right}, length {length}.",
        )


# -- writing --------------------------------------------------------------------------------------------------------------


def _writes(dialect: Dialect) -> None:
    require(written(dialect, PLAIN) is not None, f"it refuses to write {PLAIN}; refuse only what it cannot say.")


def _code(dialect: Dialect, wanted: Wanted) -> None:
    """What is written is Python that brings its names, from the packages of the framework alone."""
    pair = written(dialect, wanted)
    if pair is None:
        return
    request, snippet = pair
    about = f"for {wanted}"
    tree = parsed(snippet.code, about)
    bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    require(NAME in bound, f"it must bind the layer to {NAME!r}, which its code does not, {about}.")
    given = {value.text for value in request.values.values() if isinstance(value, Expression)}
    missing = sorted(unbound(tree) - given)
    require(not missing, f"it writes the names {missing}, which its code does not bind, {about}; add their imports.")
    if dialect.reader is not None:
        modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        modules += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        strange = sorted({module.partition(".")[0] for module in modules} - dialect.packages)
        require(
            not strange,
            f"it imports {strange}, none of its packages {sorted(dialect.packages)}, {about}; list a class or module.",
        )


def _distinct(dialect: Dialect) -> None:
    """Layers that pad otherwise are written otherwise."""
    seen: dict[str, tuple[Any, ...]] = {}
    for mode, pads in itertools.product(ONE_OF_EACH, PADS):
        pair = written(dialect, PLAIN._replace(padding=pads, mode=mode, stride=STRIDED))
        if pair is None:
            continue
        meaning = (pads, "zeros" if pads == (0, 0) else mode)
        before = seen.setdefault(pair[1].body + "".join(pair[1].classes), meaning)
        require(
            before == meaning,
            f"it writes the same code for pads {before[0]} of mode {before[1]!r} and for pads {meaning[0]} of mode {meaning[1]!r}; "
            "write both, or refuse one.",
        )


# -- both -----------------------------------------------------------------------------------------------------------------


def _read_back(dialect: Dialect) -> None:
    """The class that is written is among those that are read."""
    wanted = plainly(dialect, PLAIN)
    pair = written(dialect, wanted)
    if pair is not None:
        _found(dialect, wanted, pair[1].code)


def _found(dialect: Dialect, wanted: Wanted, code: str) -> Any:
    try:
        found = read(dialect, code, wanted.channels)
    except PluginError:
        raise
    except ConvPolicyError as error:
        raise ConformanceError(f"it does not read what it writes for {wanted}: {error}") from error
    require(
        len(found) == 1, f"it must read one layer in what it writes for {wanted}, got {len(found)}; list the class in its reader."
    )
    return found[0]


def _compared(dialect: Dialect, wanted: Wanted) -> None:
    pair = written(dialect, wanted)
    if pair is not None:
        request, snippet = pair
        judge(dialect, request, snippet, _found(dialect, wanted, snippet.code), f"for {wanted}")


def _values(dialect: Dialect, wanted: Wanted) -> None:
    """What is written means the same when it is read; initial values may be code that is not read, and is refused."""
    pair = written(dialect, wanted)
    if pair is not None and refuses(partial(read, dialect, pair[1].code, wanted.channels)) is None:
        wanted = plainly(dialect, wanted)
    _compared(dialect, wanted)

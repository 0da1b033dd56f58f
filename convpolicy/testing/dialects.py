"""Checks of a dialect: it reads back the layer that it writes, and refuses or comments on what it cannot write."""

from __future__ import annotations

import ast
import itertools
from functools import partial
from typing import Any

from convpolicy.errors import ConvPolicyError, PluginError
from convpolicy.testing.common import refuses, require, smallest
from convpolicy.testing.dialect_cases import (
    CASES,
    CHANNELS,
    LENGTHS,
    NAME,
    PLAINS,
    SINGLES,
    LayerCase,
    parsed,
    plainly,
    policy_of,
    read,
    unbound,
    written,
)
from convpolicy.testing.dialect_judge import judge
from convpolicy.testing.dialect_names import classes, names, signatures, tables
from convpolicy.testing.ladder import Check, ConformanceError
from convpolicy.translation.dialect import Dialect, Reader, SourceClass
from convpolicy.translation.reading import REQUIRED
from convpolicy.translation.values import Expression

MAX_EXAMPLES = 40  # random layers, in addition to the fixed ones
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
STRIDED = 2  # a stride at which the last two depend on the input length
ONE_OF_EACH = ("zeros", "reflect", "replicate", "circular", "symmetric")


def checks(dialect: Dialect, max_examples: int = MAX_EXAMPLES) -> list[Check]:
    """Return the checks of a dialect, lowest rung first: those of reading if it has a reader, those of writing if it has a writer."""
    reader, writer = dialect.reader, dialect.writer
    rows: list[tuple[str, str, Any]] = [
        ("names", "names", partial(names, dialect)),
        ("signatures", "signatures", partial(signatures, dialect)),
    ]
    if reader is not None:
        rows += [
            ("classes", "names", partial(classes, dialect, reader)),
            ("reads", "shapes and dtypes", partial(_reads, dialect, reader)),
            ("garbage", "shapes and dtypes", partial(_garbage, dialect, reader)),
            ("defaults", "values", partial(_defaults, dialect, reader)),
        ]
    if writer is not None:
        rows += [
            ("words", "names", partial(tables, writer)),
            ("writes", "shapes and dtypes", partial(_writes, dialect)),
            ("code", "shapes and dtypes", partial(_each, dialect, max_examples, _code)),
            ("distinct", "values", partial(_distinct, dialect)),
        ]
    if reader is not None and writer is not None:
        rows += [
            ("read-back", "shapes and dtypes", partial(_read_back, dialect)),
            ("values", "values", partial(_each, dialect, max_examples, _values)),
        ]
    return [Check(dialect, *check) for check in rows]


def _each(dialect: Dialect, max_examples: int, check: Any) -> None:
    for layer in _written(dialect):
        for case in SINGLES[layer]:
            check(dialect, case)
        smallest(partial(check, dialect), max_examples, case=CASES[layer])


def _written(dialect: Dialect) -> list[str]:
    """Return the kinds of layer that a dialect writes."""
    return [] if dialect.writer is None else [target.layer for target in dialect.writer.classes]


# -- reading --------------------------------------------------------------------------------------------------------------


def _call(source: SourceClass, path: str, **own: str) -> str:
    """Return code that imports a class and calls it with the required and further arguments."""
    required = {
        name: repr(SAMPLES[source.names.get(name, name)])
        for name, default in source.parameters.items()
        if default is REQUIRED and source.names.get(name, name) in SAMPLES
    }
    arguments = ", ".join(f"{name}={code}" for name, code in {**required, **own}.items())
    package = path.rpartition(".")[0]
    return f"import {package}\n\n{NAME} = {path}({arguments})\n"


def _reads(dialect: Dialect, reader: Reader) -> None:
    """Every class is read by each of its names, with the sizes in the call."""
    for source in reader.classes:
        for path in (source.title, *source.paths):
            code = _call(source, path)
            try:
                requests = read(dialect, code)
            except PluginError:
                raise
            except ConvPolicyError as error:
                raise ConformanceError(f"it must read {path} with the required arguments, but refuses it: {error}") from error
            require(len(requests) == 1, f"it must read one layer in {code!r}, got {len(requests)}.")
            for name, value in SAMPLES.items():
                actual = requests[0].values[name]
                require(actual == value, f"it must read {name} {value} of {path}, got {actual}.")


def _garbage(dialect: Dialect, reader: Reader) -> None:
    """Any value of any argument is read, or refused with a `ConvPolicyError`."""
    for source, value in itertools.product(reader.classes, JUNK):
        for name in source.parameters:
            code = _call(source, source.title, **{name: value})
            try:
                refuses(partial(read, dialect, code))
            except PluginError as error:
                raise ConformanceError(
                    f"{name}={value} of {source.title} must be read or refused with a ConvPolicyError: {error}"
                ) from error


def _defaults(dialect: Dialect, reader: Reader) -> None:
    """A call of the first class of each kind of layer with only the required arguments is the dialect's policy."""
    first = {source.layer: source for source in reversed(reader.classes)}
    for layer, source in first.items():
        policy = policy_of(dialect, layer)
        (request,) = read(dialect, _call(source, source.title))
        require(
            request.bias == policy.bias,
            f"{source.title} must have bias={policy.bias} by default, as policy {policy.name!r}, got {request.bias}.",
        )
        for length in LENGTHS:
            one, two = (each.plan(3, length=length) for each in (policy, request.policy))
            require(
                (one.left, one.right) == (two.left, two.right),
                f"{source.title} must {'cut' if source.transposed else 'pad'} {one.left, one.right} by default, as policy "
                f"{policy.name!r}, got {two.left, two.right}, length {length}.",
            )


# -- writing --------------------------------------------------------------------------------------------------------------


def _writes(dialect: Dialect) -> None:
    for layer in _written(dialect):
        plain = PLAINS[layer]
        require(
            written(dialect, plain) is not None, f"it refuses to write {plain}; refuse only what the framework does not have."
        )


def _code(dialect: Dialect, case: LayerCase) -> None:
    """The code is valid Python, defines its names, and imports only the framework's packages."""
    pair = written(dialect, case)
    if pair is None:
        return
    request, snippet = pair
    about = f"for {case}"
    tree = parsed(snippet.code, about)
    bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    require(NAME in bound, f"its code must assign the layer to {NAME!r}, {about}.")
    expressions = {value.text for value in request.values.values() if isinstance(value, Expression)}
    missing = sorted(unbound(tree) - expressions)
    require(not missing, f"it writes the names {missing}, which its code does not define, {about}; add their imports.")
    if dialect.reader is not None:
        modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        modules += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        strange = sorted({module.partition(".")[0] for module in modules} - dialect.packages)
        require(
            not strange,
            f"it imports {strange}, which are not among its packages {sorted(dialect.packages)}, {about}; list a class or module.",
        )


def _distinct(dialect: Dialect) -> None:
    """Layers with different padding have different code."""
    seen: dict[str, tuple[Any, ...]] = {}
    for layer, mode, pads in itertools.product(_written(dialect), ONE_OF_EACH, PADS):
        pair = written(dialect, PLAINS[layer]._replace(padding=pads, mode=mode, stride=STRIDED))
        if pair is None:
            continue
        meaning = (pads, "zeros" if pads == (0, 0) else mode)
        first = seen.setdefault(pair[1].body + "".join(pair[1].classes), meaning)
        require(
            first == meaning,
            f"it writes the same code for pads {first[0]} of mode {first[1]!r} and for pads {meaning[0]} of mode {meaning[1]!r}; "
            "write different code, or refuse one.",
        )


# -- both -----------------------------------------------------------------------------------------------------------------


def _read_back(dialect: Dialect) -> None:
    """The class that the writer writes is one that the reader reads."""
    for layer in _written(dialect):
        case = plainly(dialect, PLAINS[layer])
        pair = written(dialect, case)
        if pair is not None:
            _read_one(dialect, case, pair[1].code)


def _read_one(dialect: Dialect, case: LayerCase, code: str) -> Any:
    try:
        requests = read(dialect, code, case.channels)
    except PluginError:
        raise
    except ConvPolicyError as error:
        raise ConformanceError(f"it does not read what it writes for {case}: {error}") from error
    require(
        len(requests) == 1,
        f"it must read one layer in what it writes for {case}, got {len(requests)}; list the class in its reader.",
    )
    return requests[0]


def _compared(dialect: Dialect, case: LayerCase) -> None:
    pair = written(dialect, case)
    if pair is not None:
        request, snippet = pair
        judge(dialect, request, snippet, _read_one(dialect, case, snippet.code), f"for {case}")


def _values(dialect: Dialect, case: LayerCase) -> None:
    """The layer read back is the one that was written; without its initializers if the reader refuses their code."""
    pair = written(dialect, case)
    if pair is not None and refuses(partial(read, dialect, pair[1].code, case.channels)) is None:
        case = plainly(dialect, case)
    _compared(dialect, case)

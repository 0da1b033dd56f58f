"""Checks of a dialect's names and signatures: aliases, classes, tables, imports and functions."""

from __future__ import annotations

from convpolicy.core.named import policy as named_policy
from convpolicy.registry import current
from convpolicy.testing.common import check_names, check_signature, require
from convpolicy.testing.dialect_cases import PLAINS, imports, parsed, policy_of
from convpolicy.testing.ladder import ConformanceError
from convpolicy.translation.dialect import Dialect, Reader, SourceClass, Writer
from convpolicy.translation.reading import REQUIRED, SIZES

COMMON = {
    *SIZES, "bias", "padding", "output_padding", "padding_mode", "weight_init", "bias_init", "dtype", "device", "activation", "data_format",
}  # fmt: skip
NEEDED = ("out_channels", "kernel_size")  # parameters of every class


def names(dialect: Dialect) -> None:
    """Its name and aliases are valid and unique, and it has a reader or a writer."""
    check_names(dialect)
    require(dialect.reader is not None or dialect.writer is not None, "it must have a reader or a writer; pass one.")
    named_policy(dialect.policy)  # raises for an unknown policy
    others = [other for other in current().parts("dialect").values() if other.name != dialect.name]
    owners = {name: other.name for other in others for name in (other.name, *other.aliases)}
    require(isinstance(dialect.aliases, tuple), f"aliases must be a tuple of names, got {dialect.aliases!r}.")
    for alias in dialect.aliases:
        is_name = isinstance(alias, str) and alias.isprintable() and len(alias.split()) == 1 and "@" not in alias
        require(is_name, f"an alias must be printable and without spaces and '@', got {alias!r}.")
        require(alias != dialect.name, f"an alias must differ from the name of the dialect, got {alias!r}; remove it.")
        require(
            alias not in owners, f"alias {alias!r} must be unique, but dialect {owners.get(alias)!r} has that name; rename it."
        )


def classes(dialect: Dialect, reader: Reader) -> None:
    """The classes of the reader have unique names and valid tables of parameters."""
    require(bool(reader.classes), "its reader must have a class; list one, or pass reader=None.")
    paths = [path for source in reader.classes for path in (source.title, *source.paths)]
    for path in paths:
        require(
            all(part.isidentifier() for part in path.split(".")) and "." in path,
            f"a class must have a dotted name such as 'mylib.nn.Conv1d', got {path!r}.",
        )
        require(paths.count(path) == 1, f"a class must be listed once, got {path!r} twice.")
    for source in reader.classes:
        _class(source)
        policy_of(dialect, source.layer).evolve(**source.policy)  # raises for what a policy does not have
    for name in reader.initializers:
        is_plain = name == name.lower().replace("_", "")
        require(is_plain, f"initializers must have names in lower case without underscores, got {name!r}, which never matches.")


def _kind(layer: str) -> None:
    require(layer in PLAINS, f"layer must be one of {', '.join(PLAINS)}, got {layer!r}; pick one.")


def _class(source: SourceClass) -> None:
    _kind(source.layer)
    names = list(source.parameters)
    title = source.title
    require(
        0 <= source.positional <= len(names),
        f"positional of {title} must be from 0 to its {len(names)} parameters, got {source.positional!r}.",
    )
    for table in ("names", "left_out", "refused"):
        strange = [name for name in getattr(source, table) if name not in names]
        require(not strange, f"{table} of {title} must be of its parameters, got {strange[:1]}.")
    common = [source.names.get(name, name) for name in names]
    for name in NEEDED:
        require(name in common, f"{title} must have a parameter for {name}; name it in names.")
    doubled = [name for name in common if common.count(name) > 1]
    require(not doubled, f"{title} must have one parameter for {doubled[:1]}, got two.")
    lost = [name for name in names if source.parameters[name] is REQUIRED and source.names.get(name, name) not in COMMON]
    require(not lost, f"parameter {lost[:1]} of {title} must have a common name, as every call has it; add it to names.")


def tables(writer: Writer) -> None:
    """The classes of the writer have valid tables of names and templates, and each name in the code has an import."""
    for target in writer.classes:
        _kind(target.layer)
        strange = [name for name in target.names if name not in COMMON]
        require(not strange, f"names of {target.code} must have common names as keys, got {strange[:1]}.")
        try:
            target.sizes.format(**dict.fromkeys(SIZES, 1))
        except (KeyError, IndexError, ValueError) as error:
            raise ConformanceError(
                f"sizes of {target.code} must be a template of {', '.join(SIZES)}, got {target.sizes!r}."
            ) from error
    for name, line in writer.imports.items():
        bound = {(alias.asname or alias.name).partition(".")[0] for alias in imports(parsed(line, f"as the import of {name!r}"))}
        require(name in bound, f"imports must define the name that they are listed under, got {line!r} for {name!r}.")
    for template in ("sequence", "dtype", "has_bias"):
        text = getattr(writer, template)
        require("{}" in text, f"{template} must contain {{}}, got {text!r}.")


def signatures(dialect: Dialect) -> None:
    """Every function accepts the arguments that it is called with."""
    if dialect.reader is not None:
        for source in dialect.reader.classes:
            check_signature(f"meaning of {source.title}", source.meaning, ("arguments",))
        if dialect.reader.channels is not None:
            check_signature("channels", dialect.reader.channels, ("tree", "path"))
    if dialect.writer is not None:
        check_signature("initial", dialect.writer.initial, ("distribution", "role", "request"))
        for target in dialect.writer.classes:
            check_signature(f"padding of {target.code}", target.padding, ("request",))

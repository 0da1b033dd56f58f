"""Checks of a file format: its reader returns the bits that its writer wrote, and invalid files are refused."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from convpolicy.conversion.formats import FileFormat
from convpolicy.conversion.tensors import HOLDERS, PIECE, Job
from convpolicy.errors import ConvPolicyError, InvalidValueError, PluginError
from convpolicy.testing.common import check_names, check_signature, require
from convpolicy.testing.file_cases import ODD, Memory, Tensor, folder, judge, opened, read, tensor, write
from convpolicy.testing.ladder import Check, ConformanceError

MAX_EXAMPLES = 24  # lengths to which a file is truncated
SHAPES = ((2, 3), (), (1,), (0,), (2, 0, 3), (5, 1, 2, 1))
LARGE = (3 * PIECE // 4 + 3,)  # shape of a float32 tensor of several pieces
MOST = 2 * PIECE  # the largest allowed piece in bytes
NAMES = (
    "a", "encoder.layers.0.weight", "encoder/conv/kernel", "Ünï_重み", "𝔘𝔫𝔦", "with space", "a-b+c=d", "'quoted' \"name\"", "back\\slash",
    "tab\tand\nline", "dot.", ".dot", "UPPER", "x" * 300, "__metadata__", "weight.npy", "CON", "100%", "None",
)  # fmt: skip
PAIRS = (("a", "A"), ("a", "a.b"), ("a.b", "a_b"), ("é", "e\u0301"), ("a", "a.npy"))
METADATA = ({"format": "pt"}, {"a": "", "Ünï": "重み\n", "json": '{"b": [1, "2"]}', "x" * 70: "y" * 70_000})
NOTHING = (b"{}", b"[]")  # content that may be a file without tensors
GARBAGE = (
    b"",
    b"\0" * 64,
    b"{}",
    b"[]",
    b"PK\x03\x04" + bytes(60),
    b"\x89HDF\r\n\x1a\n" + bytes(80),
    bytes(range(256)),
    b"no such file\n" * 150,
)


def checks(part: FileFormat, max_examples: int = MAX_EXAMPLES) -> list[Check]:
    """Return the checks of a file format, lowest rung first; those of writing apply if it has a writer."""
    rows: list[tuple[str, str, Any]] = [("names", "names", partial(_names, part))]
    if part.reader is None:
        rows.append(("instead", "names", partial(_instead, part)))
        return [Check(part, *check) for check in rows]
    rows += [
        ("installed", "names", partial(_installed, part)),
        ("signatures", "signatures", partial(_signatures, part)),
        ("garbage", "shapes and dtypes", partial(_garbage, part)),
    ]
    if part.writer is not None:
        rows += [
            ("accepts", "shapes and dtypes", partial(_accepts, part)),
            ("shapes", "shapes and dtypes", partial(_each_dtype, part, bits=False)),
            ("tensor-names", "shapes and dtypes", partial(_tensor_names, part)),
            ("bits", "values", partial(_each_dtype, part, bits=True)),
            ("pieces", "values", partial(_pieces, part)),
        ]
        if part.keeps_metadata:
            rows.append(("metadata", "values", partial(_metadata, part)))
        rows += [
            ("copy", "values", partial(_copy, part)),
            ("cut", "values", partial(_cut, part, max_examples)),
            ("unfinished", "values", partial(_unfinished, part)),
        ]
    return [Check(part, *check) for check in rows]


# -- names and signatures -------------------------------------------------------------------------------------------------


def _names(part: FileFormat) -> None:
    check_names(part)
    require(isinstance(part.keeps_metadata, bool), f"keeps_metadata must be True or False, got {part.keeps_metadata!r}.")
    package = part.package
    is_name = isinstance(package, str) and (not package or all(name.isidentifier() for name in package.split(".")))
    require(is_name, f"package must be the import name of a package, or empty, got {package!r}.")
    require(bool(package) or not part.install, f"install must be empty without a package, got {part.install!r}; pass package=.")


def _instead(part: FileFormat) -> None:
    """A format without a reader refuses its files and says what to do instead."""
    text = part.instead
    require(part.writer is None, "its writer must be None, as it has no reader; pass a reader, or no writer.")
    require(
        bool(text.strip()) and "\n" not in text and not text.endswith("."),
        f"instead must say in one line without a full stop what the file is and what to do, got {text!r}.",
    )
    with folder(part) as path:
        for writing in (False, True):
            try:
                part.require(path, writing=writing)
            except InvalidValueError:
                continue
            raise ConformanceError("its files must be refused, but are accepted.")


def _installed(part: FileFormat) -> None:
    with folder(part) as path:
        part.require(path, writing=part.writer is not None)  # the error contains the install command


def _signatures(part: FileFormat) -> None:
    check_signature("reader", part.reader, ("path",))
    if part.writer is not None:
        check_signature("writer", part.writer, ("job",))


# -- shapes and dtypes ----------------------------------------------------------------------------------------------------


def _garbage(part: FileFormat) -> None:
    """An invalid file is refused with an error that names it, and is closed."""
    for content in GARBAGE:
        with folder(part) as path:
            path.write_bytes(content)
            _refused(part, path, f"a file of {len(content)} bytes {content[:12]!r}…", {} if content in NOTHING else None)
    with folder(part) as path:
        _refused(part, path, "a file that does not exist", None)


def _refused(part: FileFormat, path: Path, what: str, tensors: dict[str, Tensor] | None) -> None:
    """Require that a file is refused, or that exactly these tensors are read from it."""
    try:
        result, _metadata = read(part, path)
    except (PluginError, ConformanceError) as error:
        raise ConformanceError(f"{what} must be refused with a ConvPolicyError, got {error}") from error
    except (ConvPolicyError, OSError) as error:
        require(path.name in str(error), f"the refusal of {what} must name the file, got {str(error)!r}.")
        require(not opened(path), f"it keeps {what} open when it refuses it; close every file.")
        return
    require(
        result == tensors,
        f"{what} must be refused, but the tensors {sorted(result)} are read from it; check that the file is complete.",
    )


def _accepts(part: FileFormat) -> None:
    if "own-source" in part.declares:
        return
    with folder(part) as path:
        is_written = write(part, path, [tensor()])
        require(is_written, f"it refuses to write {tensor()}; refuse only what such a file cannot store.")


def _each_dtype(part: FileFormat, *, bits: bool) -> None:
    """Tensors of every dtype and shape are read back, or refused before a file is created."""
    for dtype in (*HOLDERS, *ODD):
        rows = [tensor(f"t{number}", shape, dtype, number) for number, shape in enumerate(SHAPES)]
        if not _round_trip(part, rows, bits=bits):  # one of them is refused, so each is tried alone
            for row in rows:
                _round_trip(part, [row], bits=bits)


def _round_trip(part: FileFormat, rows: list[Tensor], *, bits: bool) -> bool:
    with folder(part) as path:
        if not write(part, path, rows):
            return False
        try:
            result, _metadata = read(part, path)
        except (PluginError, ConformanceError):
            raise
        except (ConvPolicyError, OSError) as error:
            raise ConformanceError(f"it does not read its own file of {', '.join(map(str, rows))}: {error}") from error
        judge(rows, result, bits=bits)
        return True


def _tensor_names(part: FileFormat) -> None:
    """Unusual names, and pairs of similar names, are read back unchanged or refused."""
    for names in (*((name,) for name in NAMES), *PAIRS):
        _round_trip(part, [tensor(name, seed=number) for number, name in enumerate(names)], bits=False)


# -- values ---------------------------------------------------------------------------------------------------------------


def _pieces(part: FileFormat) -> None:
    """A large tensor is read in several pieces."""
    row = tensor("large", LARGE)
    with folder(part) as path:
        if not write(part, path, [row, tensor("small")]):
            return
        reader = part.open(path)
        try:
            large = next(entry for entry in reader.entries if entry.name == "large")
            data = []
            for piece in reader.pieces(large):
                require(len(bytes(piece)) <= MOST, f"a piece must have about {PIECE} bytes at most, got {len(bytes(piece))}.")
                data.append(bytes(piece))
        finally:
            reader.close()
        require(b"".join(data) == row.data, f"it must read the bits that were written, got other bits for {row}.")


def _rows() -> list[Tensor]:
    return [tensor("b.weight", (4, 3, 5)), tensor("a.steps", (), "int64", 1), tensor("c.mask", (9,), "bool", 2)]


def _copy(part: FileFormat) -> None:
    """A file that is copied with its reader and writer has the same tensors and metadata."""
    rows, metadata = _rows(), METADATA[0] if part.keeps_metadata else {}
    with folder(part) as path:
        if not write(part, path, rows, metadata):
            return
        reader = part.open(path)
        with folder(part) as other:
            try:
                is_written = write(part, other, rows, metadata, reader)
            finally:
                reader.close()
            require(is_written, "it refuses to write the tensors that it has read.")
            result, texts = read(part, other)
        judge(rows, result, bits=True)
        require(texts == metadata, f"a copy must keep the metadata {metadata}, got {texts}.")


def _metadata(part: FileFormat) -> None:
    for metadata in ({}, *METADATA):
        with folder(part) as path:
            if not write(part, path, [tensor()], metadata):
                return
            result, texts = read(part, path)
            judge([tensor()], result, bits=True)
            lost = next((key for key, text in metadata.items() if texts.get(key) != text), None)
            require(
                lost is None,
                f"it must read the metadata that was written, got another text for {lost!r}; otherwise pass keeps_metadata=False.",
            )
            require(
                len(texts) == len(metadata),
                f"it must read only the metadata that was written, got {sorted(set(texts) - set(metadata))} too.",
            )


def _cut(part: FileFormat, max_examples: int) -> None:
    """A truncated file is refused, unless all tensors are still complete."""
    rows = _rows()
    with folder(part) as path:
        if not write(part, path, rows):
            return
        whole, tensors = path.read_bytes(), read(part, path)[0]
    size = len(whole)
    for length in sorted({0, 1, 8, size // 2, size - 8, size - 1, *range(0, size, max(1, size // max_examples))}):
        if 0 <= length < size:
            with folder(part) as path:
                path.write_bytes(whole[:length])
                _refused(part, path, f"a file truncated to {length} of {size} bytes", tensors)


def _unfinished(part: FileFormat) -> None:
    """A writer that is closed early closes its file."""
    row = tensor()
    with folder(part) as path:
        job = Job(path, path.with_name, (row.entry,), {}, Memory([row]))
        try:
            writer = part.create(job)
        except PluginError:
            raise
        except ConvPolicyError:
            return
        writer.close()
        require(not opened(path), "its writer keeps the file open when it is closed before finish; close every file.")

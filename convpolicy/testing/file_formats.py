"""What a file format keeps: what its writer writes its reader reads, to the bit; everything else is refused in a sentence."""

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

MAX_EXAMPLES = 24  # places at which a file is cut
SHAPES = ((2, 3), (), (1,), (0,), (2, 0, 3), (5, 1, 2, 1))
LARGE = (3 * PIECE // 4 + 3,)  # elements of float32 that are several pieces
MOST = 2 * PIECE  # bytes of a piece
NAMES = (
    "a", "encoder.layers.0.weight", "encoder/conv/kernel", "Ünï_重み", "𝔘𝔫𝔦", "with space", "a-b+c=d", "'quoted' \"name\"", "back\\slash",
    "tab\tand\nline", "dot.", ".dot", "UPPER", "x" * 300, "__metadata__", "weight.npy", "CON", "100%", "None",
)  # fmt: skip
PAIRS = (("a", "A"), ("a", "a.b"), ("a.b", "a_b"), ("é", "e\u0301"), ("a", "a.npy"))
METADATA = ({"format": "pt"}, {"a": "", "Ünï": "重み\n", "json": '{"b": [1, "2"]}', "x" * 70: "y" * 70_000})
NOTHING = (b"{}", b"[]")  # which may be a file of no tensor
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
    """Return the checks of a file format, lowest rung first; those of writing apply where it writes."""
    found: list[tuple[str, str, Any]] = [("names", "names", partial(_names, part))]
    if part.reader is None:
        found.append(("instead", "names", partial(_instead, part)))
        return [Check(part, *check) for check in found]
    found += [
        ("installed", "names", partial(_installed, part)),
        ("signatures", "signatures", partial(_signatures, part)),
        ("garbage", "shapes and dtypes", partial(_garbage, part)),
    ]
    if part.writer is not None:
        found += [
            ("accepts", "shapes and dtypes", partial(_accepts, part)),
            ("shapes", "shapes and dtypes", partial(_each_dtype, part, bits=False)),
            ("tensor-names", "shapes and dtypes", partial(_tensor_names, part)),
            ("bits", "values", partial(_each_dtype, part, bits=True)),
            ("pieces", "values", partial(_pieces, part)),
        ]
        if part.keeps_metadata:
            found.append(("metadata", "values", partial(_metadata, part)))
        found += [
            ("copy", "values", partial(_copy, part)),
            ("cut", "values", partial(_cut, part, max_examples)),
            ("unfinished", "values", partial(_unfinished, part)),
        ]
    return [Check(part, *check) for check in found]


# -- names and signatures -------------------------------------------------------------------------------------------------


def _names(part: FileFormat) -> None:
    check_names(part)
    require(isinstance(part.keeps_metadata, bool), f"keeps_metadata must be True or False, got {part.keeps_metadata!r}.")
    package = part.package
    named = isinstance(package, str) and (not package or all(word.isidentifier() for word in package.split(".")))
    require(named, f"package must be the import name of a package, or empty, got {package!r}.")
    require(bool(package) or not part.install, f"install must be empty without a package, got {part.install!r}; pass package=.")


def _instead(part: FileFormat) -> None:
    """A file that is not read is refused with what to do."""
    said = part.instead
    require(part.writer is None, "its writer must be None, as it reads nothing; pass a reader, or no writer.")
    require(
        bool(said.strip()) and "\n" not in said and not said.endswith("."),
        f"instead must say in one line without a full stop what the file is and what to do, got {said!r}.",
    )
    with folder(part) as path:
        for writing in (False, True):
            try:
                part.require(path, writing=writing)
            except InvalidValueError:
                continue
            raise ConformanceError("its files must be refused, and are taken.")


def _installed(part: FileFormat) -> None:
    with folder(part) as path:
        part.require(path, writing=part.writer is not None)  # refuses with the command that installs it


def _signatures(part: FileFormat) -> None:
    check_signature("reader", part.reader, ("path",))
    if part.writer is not None:
        check_signature("writer", part.writer, ("job",))


# -- shapes and dtypes ----------------------------------------------------------------------------------------------------


def _garbage(part: FileFormat) -> None:
    """What is no such file is refused in a sentence that names it, and is not kept open."""
    for content in GARBAGE:
        with folder(part) as path:
            path.write_bytes(content)
            _refused(part, path, f"a file of {len(content)} bytes {content[:12]!r}…", {} if content in NOTHING else None)
    with folder(part) as path:
        _refused(part, path, "a file that is not there", None)


def _refused(part: FileFormat, path: Path, what: str, held: dict[str, Tensor] | None) -> None:
    """Require that a file is refused, or that it has the tensors that it should have."""
    try:
        found, _metadata = read(part, path)
    except (PluginError, ConformanceError) as error:
        raise ConformanceError(f"{what} must be refused in a sentence, got {error}") from error
    except (ConvPolicyError, OSError) as error:
        require(path.name in str(error), f"the refusal of {what} must name the file, got {str(error)!r}.")
        require(not opened(path), f"it keeps {what} open when it refuses it; close what it opened.")
        return
    require(
        found == held,
        f"{what} must be refused, and is read, with the tensors {sorted(found)}; compare what is there with what should be.",
    )


def _accepts(part: FileFormat) -> None:
    if "own-source" in part.declares:
        return
    with folder(part) as path:
        taken = write(part, path, [tensor()])
        require(taken, f"it refuses to write {tensor()}; refuse only what such a file cannot hold.")


def _each_dtype(part: FileFormat, *, bits: bool) -> None:
    """Every dtype in every shape is read as it was written, or refused before there is a file."""
    for dtype in (*HOLDERS, *ODD):
        rows = [tensor(f"t{number}", shape, dtype, number) for number, shape in enumerate(SHAPES)]
        if not _round_trip(part, rows, bits=bits):  # one is refused: each alone
            for row in rows:
                _round_trip(part, [row], bits=bits)


def _round_trip(part: FileFormat, rows: list[Tensor], *, bits: bool) -> bool:
    with folder(part) as path:
        if not write(part, path, rows):
            return False
        try:
            found, _metadata = read(part, path)
        except (PluginError, ConformanceError):
            raise
        except (ConvPolicyError, OSError) as error:
            raise ConformanceError(f"it does not read what it writes, {', '.join(map(str, rows))}: {error}") from error
        judge(rows, found, bits=bits)
        return True


def _tensor_names(part: FileFormat) -> None:
    """A name comes back as it went in, or is refused; so do two names that look alike."""
    for names in (*((name,) for name in NAMES), *PAIRS):
        _round_trip(part, [tensor(name, seed=number) for number, name in enumerate(names)], bits=False)


# -- values ---------------------------------------------------------------------------------------------------------------


def _pieces(part: FileFormat) -> None:
    """A large tensor is read in pieces."""
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
        require(b"".join(data) == row.data, f"it must read the bits that were written, got others for {row}.")


def _rows() -> list[Tensor]:
    return [tensor("b.weight", (4, 3, 5)), tensor("a.steps", (), "int64", 1), tensor("c.mask", (9,), "bool", 2)]


def _copy(part: FileFormat) -> None:
    """A file copied by its own reader and writer has the same tensors and metadata."""
    rows, metadata = _rows(), METADATA[0] if part.keeps_metadata else {}
    with folder(part) as path:
        if not write(part, path, rows, metadata):
            return
        reader = part.open(path)
        with folder(part) as other:
            try:
                taken = write(part, other, rows, metadata, reader)
            finally:
                reader.close()
            require(taken, "it refuses to write again what it has read.")
            found, said = read(part, other)
        judge(rows, found, bits=True)
        require(said == metadata, f"a copy must keep the metadata {metadata}, got {said}.")


def _metadata(part: FileFormat) -> None:
    for metadata in ({}, *METADATA):
        with folder(part) as path:
            if not write(part, path, [tensor()], metadata):
                return
            found, said = read(part, path)
            judge([tensor()], found, bits=True)
            lost = next((key for key, text in metadata.items() if said.get(key) != text), None)
            require(
                lost is None,
                f"it must read the metadata that was written, got other text for {lost!r}; or pass keeps_metadata=False.",
            )
            require(
                len(said) == len(metadata),
                f"it must read no other metadata than was written, got {sorted(set(said) - set(metadata))}.",
            )


def _cut(part: FileFormat, max_examples: int) -> None:
    """A file that is cut short is refused, unless nothing of it is missing."""
    rows = _rows()
    with folder(part) as path:
        if not write(part, path, rows):
            return
        whole, held = path.read_bytes(), read(part, path)[0]
    size = len(whole)
    for length in sorted({0, 1, 8, size // 2, size - 8, size - 1, *range(0, size, max(1, size // max_examples))}):
        if 0 <= length < size:
            with folder(part) as path:
                path.write_bytes(whole[:length])
                _refused(part, path, f"a file cut to {length} of {size} bytes", held)


def _unfinished(part: FileFormat) -> None:
    """A writer that is closed early lets go of the file."""
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
        require(not opened(path), "its writer keeps the file open when it is closed before finish; close what it opened.")

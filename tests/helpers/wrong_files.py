"""Deliberately wrong file formats, each with one fault; what rejects it and what it says."""

from __future__ import annotations

import json

import attrs
import numpy as np
from helpers.plain_files import END, PLAIN, PlainReader, PlainWriter

import convpolicy as cp
from convpolicy.conversion import entry

KEPT = []  # files that are never closed


def reads(**methods):
    """The plain format with another reader."""
    return attrs.evolve(PLAIN, name=".wrong", reader=type("WrongReader", (PlainReader,), methods))


def writes(**methods):
    """The plain format with another writer."""
    return attrs.evolve(PLAIN, name=".wrong", writer=type("WrongWriter", (PlainWriter,), methods))


def same(**fields):
    """The plain format with other fields."""
    return attrs.evolve(PLAIN, name=".wrong", **fields)


def not_read(said, **fields):
    return cp.FileFormat(".wrong", instead=said, description="Not read.", **fields)


def crashes(self, path):
    json.loads(path.read_bytes().partition(b"\n")[0].decode("latin-1"))
    PlainReader.__init__(self, path)


def anything(self, path):
    try:
        PlainReader.__init__(self, path)
    except cp.InvalidValueError:
        self.entries, self.data = (), b""


def without_an_end(self, path):
    """Read what is there, zeros where nothing is."""
    whole = path.read_bytes()
    if b"\n" in whole:
        path.write_bytes(whole + bytes(10_000))
    try:
        head, _line, self.data = path.read_bytes().partition(b"\n")
        content = json.loads(head)
        self.path, self.files, self.metadata = path, (path,), content["metadata"]
        self.entries = tuple(entry(*row) for row in content["tensors"])
    except (ValueError, TypeError, KeyError) as error:
        raise cp.InvalidValueError(f"{path} is broken; save it anew.") from error


def nameless(self, path):
    try:
        PlainReader.__init__(self, path)
    except (cp.InvalidValueError, OSError) as error:
        raise cp.InvalidValueError("the file is broken; save it anew.") from error


def opened_for_ever(self, path):
    KEPT.append(path.open("rb"))
    PlainReader.__init__(self, path)


def with_axes(self, path):
    PlainReader.__init__(self, path)
    self.entries = tuple(entry(row.name, row.shape or (1,), row.dtype) for row in self.entries)


def lower(self, path):
    PlainReader.__init__(self, path)
    self.entries = tuple(entry(row.name.lower(), row.shape, row.dtype) for row in self.entries)


def with_a_stamp(self, path):
    PlainReader.__init__(self, path)
    self.metadata = {**self.metadata, "made by": "wrong"}


def at_once(self, entry):
    yield b"".join(PlainReader.pieces(self, entry))


def first_piece(self, entry):
    yield next(PlainReader.pieces(self, entry), b"")


def without_nan(self, entry):
    data = b"".join(PlainReader.pieces(self, entry))
    yield np.nan_to_num(np.frombuffer(data, "<f4")).tobytes() if entry.dtype == "float32" else data


def refuse_all(self, job):
    raise cp.InvalidValueError(f"a wrong file has no tensor such as {job.entries[0].name!r}; choose another.")


def refuse_namelessly(self, job):
    if any(row.dtype == "int8" for row in job.entries):
        raise cp.InvalidValueError("a wrong file cannot do that.")


def nothing_is_refused(self, job):
    pass


def file_first(self, job):
    self.file = job.path.open("xb")
    try:
        self.check(job)
    except cp.InvalidValueError:
        self.file.close()
        raise
    self.file.write(self.head(job) + b"\n")


def late(self, entry, pieces):
    if entry.dtype == "int64":
        raise cp.InvalidValueError(f"a wrong file has no dtype int64, which {entry.name!r} is; choose another.")
    PlainWriter.write(self, entry, pieces)


def referring(self, entry, pieces):
    """Keep the pieces until the last one has come."""
    for piece in list(pieces):
        self.file.write(bytes(piece))


def silent(self, job):
    return PlainWriter.head(self, attrs.evolve(job, metadata={}))


def copy_of_nothing(self, entry, reader, old):
    self.file.write(bytes(old.size))


def left_open(self):
    self.file.flush()
    KEPT.append(self.file)


def left_open_early(self):
    if self.file.tell() and not self.finished:
        KEPT.append(self.file)
    else:
        self.file.close()


def finish_noted(self):
    self.file.write(END)
    self.finished = True


WRONG = {
    "says nothing": (same(description=""), "names", "its description must be one line, got ''"),
    "metadata perhaps": (same(keeps_metadata="yes"), "names", "keeps_metadata must be True or False, got 'yes'"),
    "a distribution in place of a package": (same(package="no-such-thing"), "names", "package must be the import name of a package, or empty, got 'no-such-thing'"),
    "install without a package": (same(install="plain"), "names", "install must be empty without a package, got 'plain'"),
    "a package that is not there": (same(package="nowhere_at_all", install="nowhere[files]"), "installed", r"needs nowhere_at_all, which is not installed; run: pip install 'nowhere\[files\]'"),
    "says instead in two sentences": (not_read("a graph; load it."), "instead", "instead must say in one line without a full stop what the file is"),
    "writes what it does not read": (not_read("a graph; load it", writer=PlainWriter), "instead", "its writer must be None, as it has no reader"),
    "a reader of two": (same(reader=lambda path, mode: None), "signatures", r"reader must take \(path\), but has the signature \(path, mode\)"),
    "a writer of none": (same(writer=lambda: None), "signatures", r"writer must take \(job\), but has the signature \(\)"),
    "crashes on what is no such file": (reads(__init__=crashes), "garbage", r"a file of 0 bytes b''… must be refused with a ConvPolicyError, got .* failed while reading 'weights.wrong': JSONDecodeError"),
    "reads anything": (reads(__init__=anything), "garbage", r"a file of 0 bytes b''… must be refused, but the tensors \[\] are read from it"),
    "names no file": (reads(__init__=nameless), "garbage", "the refusal of a file of 0 bytes b''… must name the file, got 'the file is broken; save it anew.'"),
    "keeps what it refuses open": (reads(__init__=opened_for_ever), "garbage", "it keeps a file of 0 bytes b''… open when it refuses it; close every file"),
    "refuses everything": (writes(check=refuse_all), "accepts", r"it refuses to write tensor 'weight' of shape \(2, 3\), float32; refuse only what such a file cannot store"),
    "refuses and says not what": (writes(check=refuse_namelessly), "shapes", r"it must name the tensor that it refuses, got 'a wrong file cannot do that\.', for tensor 't0'"),
    "writes what it cannot read": (writes(check=nothing_is_refused), "shapes", "it does not read its own file of tensor 't0' .*no_such_dtype: .* is not a whole plain file"),
    "refuses when it has begun": (writes(write=late), "shapes", "it refuses a tensor after it has created the file, for tensor 't0' of shape .*, int64: .*Refuse before that"),
    "leaves a file behind": (writes(__init__=file_first), "shapes", r"it leaves \['weights.wrong'\] behind when it refuses to write, for tensor 't0'"),
    "gives a number an axis": (reads(__init__=with_axes), "shapes", r"it must read back tensor 't1' of shape \(\), float64, got tensor 't1' of shape \(1,\), float64"),
    "pieces are missing": (reads(pieces=first_piece), "pieces", "pieces must return the|it must read the bits that were written, got other bits for tensor 'large'"),
    "lower case": (reads(__init__=lower), "tensor-names", r"it must read the tensors \['Ünï_重み'\] that it wrote, got \['ünï_重み'\]"),
    "without NaN": (reads(pieces=without_nan), "bits", "it must read the bits that were written, got others for tensor 't.' of shape .*, float32"),
    "keeps the pieces": (writes(write=referring), "bits", r"it must read the bits that were written, got others for tensor 't0' of shape \(2, 3\), float64"),
    "all at once": (reads(pieces=at_once), "pieces", r"a piece must have about 1048576 bytes at most, got \d{7}"),
    "copies nothing": (writes(copy=copy_of_nothing), "copy", "it must read the bits that were written, got others for tensor 'b.weight'"),
    "loses the metadata": (writes(head=silent), "metadata", "it must read the metadata that was written, got another text for 'format'; otherwise pass keeps_metadata=False"),
    "signs": (reads(__init__=with_a_stamp), "metadata", r"it must read only the metadata that was written, got \['made by'\]"),
    "reads a file cut short": (reads(__init__=without_an_end), "cut", r"a file truncated to \d+ of \d+ bytes must be refused, but the tensors \['a.steps', 'b.weight', 'c.mask'\]"),
    "close does not close": (writes(close=left_open), "accepts", r"it keeps the file open after close, for tensor 'weight'"),
    "close after finish alone": (writes(close=left_open_early, finish=finish_noted, finished=False), "unfinished", "its writer keeps the file open when it is closed before finish"),
}  # fmt: skip

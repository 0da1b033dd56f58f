"""File formats of plugins: a stranger's from end to end, and broken ones reported by name."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from helpers.plugins import offering_formats
from safetensors.numpy import save_file

import convpolicy as cp
from convpolicy.conversion import Entry, ParameterNames, Reader, Writer, entry, in_pieces, joined
from convpolicy.conversion.formats import FileFormat, format_of
from convpolicy.extensions.loading import PluginRegistry

RANDOM = np.random.default_rng(0)
WEIGHT = RANDOM.standard_normal((6, 3, 4)).astype("float32")  # OIW
BIAS = RANDOM.standard_normal(6).astype("float32")
OTHER = RANDOM.integers(0, 9, (2, 5))


class TideReader(Reader):
    """A file of one JSON line, and then the bytes of every tensor."""

    title = "tide"

    def __init__(self, path):
        super().__init__(path)
        head, _line, self.data = path.read_bytes().partition(b"\n")
        try:
            content = json.loads(head)
        except ValueError as error:
            raise cp.InvalidValueError(f"{path} is not a whole tide file: {error}; save it anew.") from error
        self.metadata = content["metadata"]
        self.entries = tuple(entry(*row) for row in content["tensors"])

    def pieces(self, entry):
        """Yield the bytes of a tensor, seven at a time."""
        names = [row.name for row in self.entries]
        start = sum(row.size for row in self.entries[: names.index(entry.name)])
        for at in range(start, start + entry.size, 7):
            yield self.data[at : min(at + 7, start + entry.size)]


class TideWriter(Writer):
    """The same, written."""

    title = "tide"

    def __init__(self, job):
        for row in job.entries:
            if row.dtype == "bool":
                raise cp.InvalidValueError(f"a tide file has no dtype bool, which {row.name!r} is; choose another kind of file.")
        self.file = job.path.open("xb")
        tensors = [(row.name, row.shape, row.dtype) for row in job.entries]
        self.file.write(json.dumps({"metadata": dict(job.metadata), "tensors": tensors}).encode() + b"\n")

    def write(self, entry, pieces):
        """Append a tensor."""
        self.file.write(joined(entry, pieces).tobytes())

    def close(self):
        """Close the file."""
        self.file.close()


NAMES = ParameterNames(separator="/", weight="w", bias="b", groups=True)


def source(path):
    save_file({"enc.conv.weight": WEIGHT, "enc.conv.bias": BIAS, "table": OTHER}, path, {"format": "pt"})


def test_a_strangers_format_there_and_back(register, tmp_path):
    """Names, axes, every other tensor and the metadata; the way back gives the very file."""
    register(cp.FileFormat(".tide", TideReader, TideWriter, names=NAMES))
    source(tmp_path / "a.safetensors")
    layers = {"enc.conv": cp.Conv1d(3, 6, 4)}
    done = cp.convert(tmp_path / "a.safetensors", tmp_path / "b.tide", source="torch", target="keras", layers=layers)
    assert sorted(row.name for row in done.tensors) == ["enc/conv/b", "enc/conv/w", "table"]
    reader = TideReader(tmp_path / "b.tide")
    arrays = {row.name: reader.array(row) for row in reader.entries}
    assert np.array_equal(arrays["enc/conv/w"], WEIGHT.transpose(2, 1, 0))
    assert np.array_equal(arrays["enc/conv/b"], BIAS)
    assert np.array_equal(arrays["table"], OTHER)
    assert reader.metadata["format"] == "pt"
    cp.convert(tmp_path / "b.tide", tmp_path / "c.safetensors", source="keras", target="torch")
    assert (tmp_path / "c.safetensors").read_bytes() == (tmp_path / "a.safetensors").read_bytes()
    again = cp.convert(
        tmp_path / "b.tide", tmp_path / "d.tide", source="keras", target="OIW", layers={"enc/conv": layers["enc.conv"]}
    )
    assert [row.axes for row in again.weights] == ["WIO -> OIW"]
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.safetensors", "b.tide", "c.safetensors", "d.tide"]


def test_its_own_refusals_are_the_users(register, tmp_path):
    """A damaged file, and a tensor that its files cannot contain, in the format's own sentence; nothing is left."""
    register(cp.FileFormat(".tide", TideReader, TideWriter))
    (tmp_path / "a.tide").write_text("{")
    with pytest.raises(cp.InvalidValueError, match=r"a\.tide is not a whole tide file"):
        cp.convert(tmp_path / "a.tide", tmp_path / "b.npz", source="torch", target="keras", guess=True)
    save_file({"conv.weight": WEIGHT, "mask": np.ones(3, bool)}, tmp_path / "a.safetensors")
    with pytest.raises(cp.InvalidValueError, match="a tide file has no dtype bool, which 'mask' is"):
        cp.convert(tmp_path / "a.safetensors", tmp_path / "b.tide", source="torch", target="keras", guess=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "a.tide"]


def test_files_that_are_only_read(register, tmp_path):
    """A format without a writer reads, and refuses to write before anything is opened."""
    register(cp.FileFormat(".tide", TideReader))
    source(tmp_path / "a.safetensors")
    with pytest.raises(cp.InvalidValueError, match=r"'b\.tide' cannot be written: \.tide files are only read; choose another"):
        cp.convert(tmp_path / "a.safetensors", tmp_path / "b.tide", source="torch", target="keras", guess=True)


def test_a_missing_package(register, tmp_path):
    """Named with the format's own command."""
    register(cp.FileFormat(".tide", TideReader, TideWriter, package="no_such_package", install="convpolicy-tide[files]"))
    source(tmp_path / "a.safetensors")
    says = r"'b\.tide' needs no_such_package, which is not installed; run: pip install 'convpolicy-tide\[files\]'"
    with pytest.raises(cp.ConvPolicyError, match=says):
        cp.convert(tmp_path / "a.safetensors", tmp_path / "b.tide", source="torch", target="keras", guess=True)


class Fails(TideWriter):
    """Fails at one of its steps."""

    step = ""

    def write(self, entry, pieces):
        """Fail, or write."""
        if self.step == "write":
            raise RuntimeError("no wind")
        super().write(entry, pieces)

    def finish(self):
        """Fail, or finish."""
        if self.step == "finish":
            raise KeyError("no wind")


def failing_reader(path):
    """Fail at once."""
    raise RuntimeError("no wind")


class LateReader(TideReader):
    """Fails while it reads."""

    def pieces(self, entry):
        """Fail after one piece."""
        yield b""
        raise ZeroDivisionError("no wind")


class Untyped(Reader):
    """Lists names instead of entries."""

    entries = ("a", "b")


BROKEN = {
    "write": ("a.safetensors", "b.tide", {"writer": type("One", (Fails,), {"step": "write"})},
              r"file formats '\.safetensors' \(file_formats\) and '\.tide' \(tide\) failed while copying '.*': RuntimeError: no wind"),
    "finish": ("a.safetensors", "b.tide", {"writer": type("Two", (Fails,), {"step": "finish"})},
               r"file format '\.tide' \(tide\) failed while completing 'b\.tide': KeyError: 'no wind'"),
    "no writer": ("a.safetensors", "b.tide", {"writer": lambda job: None},
                  r"file format '\.tide' \(tide\) must return a Writer of convpolicy\.conversion, got NoneType"),
    "open": ("a.tide", "b.npz", {"reader": failing_reader},
             r"file format '\.tide' \(tide\) failed while reading 'a\.tide': RuntimeError: no wind"),
    "no reader": ("a.tide", "b.npz", {"reader": lambda path: 3},
                  r"file format '\.tide' \(tide\) must return a Reader of convpolicy\.conversion, got int"),
    "no entries": ("a.tide", "b.npz", {"reader": Untyped}, r"file format '\.tide' \(tide\): entries must be objects of class Entry"),
    "read": ("a.tide", "b.npz", {"reader": LateReader},
             r"file formats '\.tide' \(tide\) and '\.npz' \(file_formats\) failed while copying '.*': ZeroDivisionError: no wind"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_failing_format_is_reported_by_name(name, register, tmp_path):
    """With its plugin, in one sentence; other formats go on, and no output is left."""
    src, dst, fields, says = BROKEN[name]
    register(cp.FileFormat(".tide", TideReader, TideWriter), name="good")
    source(tmp_path / "a.safetensors")
    cp.convert(tmp_path / "a.safetensors", tmp_path / "a.tide", source="torch", target="torch", guess=True)
    cp.unregister("good")
    try:
        register(cp.FileFormat(".tide", **{"reader": TideReader, "writer": TideWriter, **fields}))
        with pytest.raises(cp.ConvPolicyError, match=says) as raised:
            cp.convert(tmp_path / src, tmp_path / dst, source="torch", target="keras", guess=True)
        assert "\n" not in str(raised.value)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "a.tide"]
        cp.convert(tmp_path / "a.safetensors", tmp_path / "b.npz", source="torch", target="keras", guess=True)
    finally:
        cp.register(offering_formats(), "good")


REFUSED = {
    "no suffix": (lambda: FileFormat("tide", TideReader), r"name of a file format must be a suffix such as '\.npz'.*got 'tide'"),
    "a dot": (lambda: FileFormat(".", TideReader), "must be a suffix"),
    "no text": (lambda: FileFormat(3, TideReader), "must be a suffix"),
    "reader": (
        lambda: FileFormat(".tide", "reader"),
        r"reader of file format '\.tide' must be a class or a function, got 'reader'",
    ),
    "writer": (
        lambda: FileFormat(".tide", TideReader, 3),
        r"writer of file format '\.tide' must be a class or a function, got 3",
    ),
    "separator": (lambda: ParameterNames(separator="-"), "separator"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_fields(name):
    """Refused where the format is made, so that its plugin is reported and the rest go on."""
    make, says = REFUSED[name]
    with pytest.raises((ValueError, TypeError), match=says):
        make()


TWO = """
import convpolicy as cp
from convpolicy.conversion import Reader, Writer
@cp.hookimpl
def convpolicy_file_formats():
    return [cp.FileFormat(".tide", Reader, Writer), cp.FileFormat({other!r}, Reader)]
"""


def test_two_plugins_with_one_suffix(install, tmp_path, monkeypatch):
    """Neither wins: both are named, when they are loaded and when such a file is met; the other formats work."""
    install("ebb", TWO.format(other=".ebb"))
    install("flood", TWO.format(other=".npz"))
    registry = PluginRegistry()
    reports = {report.name: report.errors for report in registry.reports()}
    assert reports["ebb"] == ["file format '.tide' is offered by two plugins, 'ebb' and 'flood'."]
    assert sorted(reports["flood"]) == [
        "file format '.npz' is offered by two plugins, 'file_formats' and 'flood'.",
        "file format '.tide' is offered by two plugins, 'ebb' and 'flood'.",
    ]
    monkeypatch.setattr("convpolicy.registry._current", registry)
    with pytest.raises(
        cp.ConvPolicyError, match=r"file format '\.tide' is offered by two plugins, 'ebb' and 'flood'; uninstall one"
    ):
        format_of("src", tmp_path / "a.tide")
    assert format_of("src", tmp_path / "a.ebb").provider == "ebb"
    assert format_of("src", tmp_path / "a.npz").provider == "file_formats"


def test_the_longest_suffix_and_the_own_framework_come_first(register, tmp_path):
    """A format of one framework is for files of its policies; a suffix within a longer one is another format."""
    register(
        cp.FileFormat(".long.npz", TideReader), cp.FileFormat("torch.npz", TideReader), cp.FileFormat("torch.sea", TideReader)
    )
    assert format_of("src", tmp_path / "a.npz").name == ".npz"
    assert format_of("src", tmp_path / "a.npz", "keras").name == ".npz"
    assert format_of("src", tmp_path / "a.npz", "torch").name == "torch.npz"
    assert format_of("src", tmp_path / "a.npz", "torch").suffix == ".npz"
    assert format_of("src", tmp_path / "a.long.npz", "torch").name == ".long.npz"
    assert format_of("src", tmp_path / "a.sea", "torch").name == "torch.sea"
    for name, framework in (("a.sea", "keras"), (".npz", ""), ("npz", "")):
        with pytest.raises(
            cp.InvalidValueError, match=rf"src must end in one of \.safetensors, .*, got '{re.escape(name)}'; rename the file"
        ):
            format_of("src", tmp_path / name, framework)


def test_formats_are_loaded_without_their_packages():
    """Looking all formats up imports no package of theirs, and no conversion."""
    code = (
        "import sys, convpolicy as cp; from convpolicy import registry; print(len(registry.current().parts('file format')));"
        "print({'safetensors', 'torch', 'h5py', 'mindspore', 'keras', 'convpolicy.conversion.converting'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "22\nset()\n"  # fourteen that are read, and eight that are refused by name


def test_what_an_author_imports():
    """Everything a format needs, with a sentence each."""
    from convpolicy import conversion

    for name in conversion.__all__:
        assert name == "Piece" or getattr(conversion, name).__doc__, name
    assert isinstance(entry("a", (2, 3), "bfloat16"), Entry)
    assert entry("a", (2, 3), "bfloat16").size == 12
    assert b"".join(map(bytes, in_pieces(WEIGHT))) == WEIGHT.tobytes()

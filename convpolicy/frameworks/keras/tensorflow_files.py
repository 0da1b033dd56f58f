"""TensorFlow checkpoints, read through TensorFlow tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from convpolicy.conversion.faults import reading
from convpolicy.conversion.tensors import Entry, Piece, Reader, entry, in_pieces
from convpolicy.errors import InvalidValueError

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
OWN = ("_CHECKPOINTABLE_OBJECT_GRAPH", "save_counter")  # entries of the checkpoint itself


class CheckpointReader(Reader):
    """Reads a checkpoint, which its ``.index`` file names; the data is in the files beside it."""

    title = "TensorFlow checkpoint"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        prefix = path.with_suffix("")
        data = sorted(path.parent.glob(f"{prefix.name}.data-*"))
        self.files = (path, *data)
        if not path.exists():
            raise FileNotFoundError(2, "No such file or directory", str(path))
        if not data:
            raise InvalidValueError(f"{path} has no data file {prefix.name}.data-… beside it; put it there.")
        with reading(path, self.title, Exception):
            self._file = tf.train.load_checkpoint(str(prefix))
            shapes, dtypes = self._file.get_variable_to_shape_map(), self._file.get_variable_to_dtype_map()
        self._names = {name.removesuffix(VALUE): name for name in sorted(shapes) if name.removesuffix(VALUE) not in OWN}
        numeric = {
            name: own
            for name, own in self._names.items()
            if dtypes[own].is_floating or dtypes[own].is_integer or dtypes[own].is_bool
        }
        self.others = tuple(name for name in self._names if name not in numeric)
        self.entries = tuple(entry(name, shapes[own], dtypes[own].name) for name, own in numeric.items())

    def pieces(self, entry: Entry) -> Iterator[Piece]:
        """Yield the bytes of a tensor."""
        with reading(self.path, self.title, Exception):
            array = self._file.get_tensor(self._names[entry.name])
        yield from in_pieces(array)

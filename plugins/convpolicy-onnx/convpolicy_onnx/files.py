"""The weights of an ``.onnx`` file: initializers, and constants of floating point; the nodes are not read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from convpolicy.conversion import Entry, Piece, Reader, entry, in_pieces, reading
from convpolicy.errors import InvalidValueError
from convpolicy_onnx.scopes import all_graphs, constants_of

NAMED = {"BFLOAT16": "bfloat16", "FLOAT8E4M3FN": "float8_e4m3fn", "FLOAT8E5M2": "float8_e5m2"}
FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)


class OnnxReader(Reader):
    """Reads one ``.onnx`` file, as a whole."""

    title = "ONNX"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with reading(path, self.title, Exception):
            model = onnx.load(str(path), load_external_data=False)
        if not model.HasField("graph"):  # protobuf reads an empty file as an empty model
            raise InvalidValueError(f"{path} must contain an ONNX graph, got none; pass the whole file of a model.")
        self._tensors = dict(_tensors(path, model.graph))
        outside = next(
            (name for name, tensor in self._tensors.items() if tensor.data_location == onnx.TensorProto.EXTERNAL), None
        )
        if outside is not None:
            raise InvalidValueError(
                f"{path} contains {outside!r}, whose data is in another file; load it with onnx.load and save it with onnx.save as one file."
            )
        self.others = tuple(tensor.values.name for graph in all_graphs(model.graph) for tensor in graph.sparse_initializer)
        self.entries = tuple(_entry(path, name, tensor) for name, tensor in self._tensors.items())

    def pieces(self, entry: Entry) -> Iterator[Piece]:
        """Yield the bytes of a tensor."""
        with reading(self.path, self.title, Exception):
            array = numpy_helper.to_array(self._tensors[entry.name])
            if array.nbytes != entry.size:
                raise InvalidValueError(
                    f"{self.path} is damaged: {entry.name!r} has {array.nbytes} bytes and needs {entry.size}; save it again."
                )
        yield from in_pieces(array.view(array.dtype.newbyteorder("<")))


def _tensors(path: Path, graph: onnx.GraphProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    """Yield the initializers of a graph and of those inside it, and their constants that may be weights.

    Raises:
        InvalidValueError: two graphs have different tensors of one name.
    """
    seen: dict[str, onnx.TensorProto] = {}
    for each in all_graphs(graph):
        initializers = {tensor.name for tensor in each.initializer}
        for name, tensor in constants_of(each).items():
            if name not in initializers and (tensor.data_type not in FLOATS or not tensor.dims):
                continue
            if name not in seen:
                seen[name] = tensor
                yield name, tensor
            elif not np.array_equal(numpy_helper.to_array(seen[name]), numpy_helper.to_array(tensor)):
                raise InvalidValueError(
                    f"{path} must have one tensor of each name, got two of {name!r} in two graphs; rename one."
                )


def _entry(path: Path, name: str, tensor: onnx.TensorProto) -> Entry:
    kind = onnx.TensorProto.DataType.Name(tensor.data_type)
    try:
        dtype = NAMED.get(kind) or np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)).name
        if dtype == "object":  # texts
            raise TypeError(dtype)
        return entry(name, tensor.dims, dtype)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidValueError(
            f"{path} contains {name!r} of type {kind}, which is not a dtype of numbers; remove it."
        ) from error

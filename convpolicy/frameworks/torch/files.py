"""Files of ``torch.save``.

The reader maps the file into memory and unpickles tensors only, so it runs no code from the file.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from convpolicy.conversion.faults import reading, writing
from convpolicy.conversion.limits import check_expansion
from convpolicy.conversion.tensors import Entry, Job, Piece, Reader, Writer, in_pieces, joined
from convpolicy.errors import InvalidValueError
from convpolicy.frameworks.torch.values import dtype_name

NESTED = ("state_dict", "model_state_dict", "model", "module")  # keys of a training checkpoint that may contain the tensors
ZIP = b"PK"


class TorchReader(Reader):
    """Reads one ``.pt`` file: a state dict, alone or under one of the keys in ``NESTED``."""

    title = "torch"
    ordered = True

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with path.open("rb") as file:
            zipped = file.read(2) == ZIP
        with reading(path, self.title, Exception):
            if zipped:
                with zipfile.ZipFile(path) as archive:
                    check_expansion(path, sum(info.file_size for info in archive.infolist()), path.stat().st_size)
            try:
                self.whole = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
            except pickle.UnpicklingError as error:
                match = re.search(r"GLOBAL (\S+)", str(error))
                name = f" ({match[1]})" if match else ""
                raise InvalidValueError(
                    f"{path} contains more than tensors{name}, and unpickling it could run code, so it was not loaded; save only a state_dict()."
                ) from error
        self.key, self.tensors = self._state()
        self.others = tuple(str(name) for name, value in self.tensors.items() if not _is_tensor(value))
        if self.key is not None:
            self.others += tuple(str(name) for name in self.whole if name != self.key)
        self.entries = tuple(_entry(name, value) for name, value in self.tensors.items() if _is_tensor(value))

    def _state(self) -> tuple[str | None, dict[str, Any]]:
        whole = self.whole
        if isinstance(whole, dict) and any(_is_tensor(value) for value in whole.values()):
            return None, whole
        keys = [key for key in NESTED if isinstance(whole, dict) and isinstance(whole.get(key), dict)]
        if len(keys) != 1 or not any(_is_tensor(value) for value in whole[keys[0]].values()):
            content = f"the keys {sorted(map(str, whole))}" if isinstance(whole, dict) else f"a {type(whole).__name__}"
            raise InvalidValueError(
                f"{self.path} must contain a dict of tensors, alone or under one of the keys {', '.join(NESTED)}, got {content}; save "
                "model.state_dict()."
            )
        return keys[0], whole[keys[0]]

    def pieces(self, entry: Entry) -> Iterator[Piece]:
        """Yield the bytes of a tensor."""
        tensor = self.tensors[entry.name].detach().resolve_conj().resolve_neg().contiguous()
        yield from in_pieces(tensor.reshape(-1).view(torch.uint8).numpy() if tensor.numel() else np.empty(0, np.uint8))


def _is_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor)


def _entry(name: Any, tensor: torch.Tensor) -> Entry:
    if not isinstance(name, str) or tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
        raise InvalidValueError(
            f"tensor {name!r} must be a dense tensor with a name, got {tensor.layout} on {tensor.device}; convert it before saving."
        )
    return Entry(name, tuple(tensor.shape), dtype_name(tensor.dtype), tensor.numel() * tensor.element_size())


class TorchWriter(Writer):
    """Writes one ``.pt`` file.

    ``torch.save`` needs every tensor at once, so the writer keeps changed tensors in memory and writes the file in `finish`.
    """

    title = "torch"

    def __init__(self, job: Job) -> None:
        for row in job.entries:
            if not isinstance(getattr(torch, row.dtype, None), torch.dtype):
                raise InvalidValueError(f"torch has no dtype {row.dtype}, which {row.name!r} needs; choose another file format.")
            try:
                torch.empty(row.shape, dtype=getattr(torch, row.dtype), device="meta")
            except (RuntimeError, TypeError) as error:
                raise InvalidValueError(
                    f"torch cannot make a tensor of shape {row.shape}, which {row.name!r} needs; choose another file format."
                ) from error
        self._path = job.path
        self._reader = job.reader if isinstance(job.reader, TorchReader) else None
        self._tensors: dict[str, Any] = {}

    def write(self, entry: Entry, pieces: Iterable[Piece]) -> None:
        """Keep a tensor until `finish`."""
        tensor = torch.empty(entry.shape, dtype=getattr(torch, entry.dtype))
        if entry.size:
            tensor.view(-1).view(torch.uint8).numpy()[:] = joined(entry, pieces)
        self._tensors[entry.name] = tensor

    def copy(self, entry: Entry, reader: Reader, old: Entry) -> None:
        """Copy a tensor of another torch file; tensors that share memory there share it here too."""
        if self._reader is None:
            super().copy(entry, reader, old)
        else:
            tensor = self._reader.tensors[old.name]
            self._tensors[entry.name] = tensor if entry.shape == old.shape else tensor.reshape(entry.shape)

    def finish(self) -> None:
        """Write the file."""
        with writing(self._path), self._path.open("xb") as file:
            torch.save(self._whole(), file)

    def _whole(self) -> Any:
        reader = self._reader
        if reader is None:
            return self._tensors
        state = OrderedDict(self._tensors) if isinstance(reader.tensors, OrderedDict) else dict(self._tensors)
        state.update({name: value for name, value in reader.tensors.items() if not _is_tensor(value)})
        if hasattr(reader.tensors, "_metadata"):
            state._metadata = reader.tensors._metadata  # type: ignore[attr-defined]  # load_state_dict reads the versions of the modules in it
        if reader.key is None:
            return state
        return {name: state if name == reader.key else value for name, value in reader.whole.items()}

"""Checkpoint files of every format, made to deceive or damaged, for the fuzzer of `convert`."""

from __future__ import annotations

import io
import json
import pickle
import random
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

NAMES = (
    "conv.weight",
    "conv.bias",
    "x",
    "__metadata__",
    "convpolicy",
    "a/b",
    "../x",
    "c.npy",
    "",
    "x\0y",
    "n" * 300,
    "é",
    "module.conv.weight",
)
LENGTHS = (0, 1, 2, 3, 7, -1, 2**31, 2**61, 2**63, 2**64)


class Canary:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


def tensors(chance: random.Random) -> dict[str, np.ndarray]:
    """A few arrays, one of them the weight of a Conv1d."""
    generator = np.random.default_rng(chance.randrange(2**32))
    made = {
        "conv.weight": generator.standard_normal((6, 3, 5)).astype("f4"),
        "conv.bias": generator.standard_normal(6).astype("f4"),
    }
    for _ in range(chance.randrange(4)):
        shape = tuple(chance.randrange(4) for _ in range(chance.randrange(4)))
        made[chance.choice(NAMES) if chance.random() < 0.3 else f"y{len(made)}"] = generator.standard_normal(shape).astype(
            chance.choice(("f4", "f8", "i8", "u1", "f2"))
        )
    return made


def stamp(chance: random.Random) -> dict[str, str]:
    """No metadata, or a stamp that is right, wrong or endless."""
    row = {"name": "conv.weight", "source": "OIW", "target": chance.choice(("WIO", "OIW", "WIM", "XYZ", ""))}
    data = {
        "schema": 1,
        "suffix": ".safetensors",
        "source": "torch",
        "target": chance.choice(("torch", "keras")),
        "tensors": {"conv.weight": row},
    }
    return chance.choice(
        ({}, {}, {"convpolicy": json.dumps(data)}, {"convpolicy": "[" * 50_000}, {"convpolicy": "{}", "format": "pt"})
    )


def safetensors(path: Path, chance: random.Random, _canary: Path) -> None:
    """As the library writes it, or with a header of its own."""
    if chance.random() < 0.5:
        save_file(tensors(chance), path, stamp(chance) or None)
        return
    header: dict[str, Any] = {"__metadata__": stamp(chance)}
    at = 0
    for name in chance.sample(NAMES, 3):
        shape = [
            chance.choice(LENGTHS[:5]) if chance.random() < 0.8 else chance.choice(LENGTHS)
            for _ in range(chance.choice((1, 2, 3, 70)))
        ]
        size = 4 * int(np.prod(shape, dtype=object))
        size = size if 0 <= size < 10**5 else 0
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(at))


def npz(path: Path, chance: random.Random, canary: Path) -> None:
    """Members with headers of their own, compressed or not, and sometimes a pickle."""
    with (
        warnings.catch_warnings(),
        zipfile.ZipFile(path, "w", chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive,
    ):
        warnings.simplefilter("ignore")
        for name, value in tensors(chance).items():
            member, shape = io.BytesIO(), value.shape
            if chance.random() < 0.2:
                shape = tuple(chance.choice(LENGTHS) for _ in range(chance.choice((0, 1, 2, 40))))
            header = {"descr": value.dtype.str, "fortran_order": chance.random() < 0.2, "shape": shape}
            np.lib.format.write_array_header_1_0(member, header)
            archive.writestr(f"{name}.npy", member.getvalue() + value.tobytes())
        if chance.random() < 0.2:
            member = io.BytesIO()
            np.lib.format.write_array_header_1_0(member, {"descr": "|O", "fortran_order": False, "shape": (1,)})
            archive.writestr("evil.npy", member.getvalue() + pickle.dumps(np.array([Canary(canary)], dtype=object)))
        if chance.random() < 0.1:
            archive.writestr(
                "bomb.npy",
                b"\x93NUMPY\x01\0\x46\0"
                + b"{'descr': '|u1', 'fortran_order': False, 'shape': (100000000,), }".ljust(70)
                + bytes(10**6),
            )


def torch_file(path: Path, chance: random.Random, canary: Path) -> None:
    """A state dict, alone or nested, with other dtypes, expanded tensors, or code."""
    import torch

    state: dict[Any, Any] = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in tensors(chance).items()}
    extra: tuple[Callable[[], Any], ...] = (
        lambda: 3, lambda: Canary(canary), lambda: torch.zeros(1).expand(10**13), lambda: torch.zeros(2).to_sparse(),
        lambda: torch.zeros(2, dtype=torch.complex64), lambda: torch.zeros(2, dtype=torch.bfloat16), lambda: torch.zeros((1,) * 40),
        lambda: torch.nn.Parameter(torch.zeros(3)), lambda: {"a": torch.zeros(1)}, lambda: torch.zeros(0, 2**61),
    )  # fmt: skip
    if chance.random() < 0.7:
        state[chance.choice(("z", 5, "conv.bias", "z.weight"))] = chance.choice(extra)()
    whole = {"state_dict": state, "epoch": 3} if chance.random() < 0.3 else state
    torch.save(whole, path, _use_new_zipfile_serialization=chance.random() < 0.7)


def checkpoint(path: Path, chance: random.Random, _canary: Path) -> None:
    """A protobuf message made by hand: entries that are right, twice there, of wrong sizes, without an end."""

    def field(number: int, data: bytes) -> bytes:
        return number_of(number << 3 | 2) + number_of(len(data)) + data

    def number_of(value: int) -> bytes:
        value &= 2**64 - 1
        made = b""
        while value >= 0x80:
            made += bytes([value & 0x7F | 0x80])
            value >>= 7
        return made + bytes([value])

    message = b""
    for name, value in tensors(chance).items():
        shape = value.shape if chance.random() < 0.9 else tuple(chance.choice(LENGTHS) for _ in range(chance.choice((1, 3, 40))))
        kind = {"f4": "Float32", "f8": "Float64", "i8": "Int64", "u1": "UInt8", "f2": "Float16"}[value.dtype.str[1:]]
        dims = b"".join(number_of(1 << 3) + number_of(length) for length in shape)
        tensor = dims + field(2, kind.encode()) + field(3, value.tobytes())
        entry = field(1, field(1, name.encode()) + field(2, tensor))
        message += entry * (1 if chance.random() < 0.9 else 2)
    for key, text in stamp(chance).items():
        message += field(1, field(1, key.encode()) + field(2, field(2, b"str") + field(3, text.encode("utf-32-le"))))
    path.write_bytes(message)


def h5(path: Path, chance: random.Random, _canary: Path) -> None:
    """Datasets in groups called as Keras calls them, in chunks, compressed, with links and other objects among them."""
    import h5py

    with h5py.File(path, "w") as file:
        for number, value in enumerate(tensors(chance).values()):
            place = chance.choice(
                ("layers/conv1d", "layers/depthwise_conv1d", "layers/separable_conv1d", "net/conv", "x", "model_weights")
            )
            options = {"compression": "gzip", "chunks": True} if value.size and value.ndim and chance.random() < 0.3 else {}
            if f"{place}_{number}" not in file:
                file.create_dataset(f"{place}_{number}/vars/{number % 2}", data=value, **options)
        faults: tuple[Callable[[], Any], ...] = (
            lambda: file.__setitem__("t", np.dtype("f4")), lambda: file.__setitem__("s", h5py.SoftLink("/layers")),
            lambda: file.__setitem__("e", h5py.ExternalLink("/etc/passwd", "/")), lambda: file.create_dataset("v", (2**40,), "f4"),
            lambda: file.create_dataset("r", data=np.array([b"a"], dtype=object), dtype=h5py.string_dtype()),
            lambda: file.create_dataset("z", data=np.zeros(10**5), chunks=(10**5,), compression="gzip"),
            lambda: file.create_dataset("n", data=h5py.Empty("f4")), lambda: file.attrs.__setitem__("convpolicy", "[" * 9000),
            lambda: file.attrs.__setitem__("model_config", "{}"),
        )  # fmt: skip
        if chance.random() < 0.5:
            chance.choice(faults)()


def keras(path: Path, chance: random.Random, canary: Path) -> None:
    """An archive with such a file in it."""
    inner = path.with_suffix(".inner")
    h5(inner, chance, canary)
    with (
        warnings.catch_warnings(),
        zipfile.ZipFile(path, "w", chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive,
    ):
        warnings.simplefilter("ignore")
        archive.writestr("config.json", b"{}")
        archive.writestr("model.weights.h5", inner.read_bytes() if chance.random() < 0.9 else bytes(10**6))
        if chance.random() < 0.2:
            archive.writestr(chance.choice(("../x", "config.json", "assets/a", "/y")), b"1")
    inner.unlink()


def index(path: Path, chance: random.Random, canary: Path) -> None:
    """An index of one or two files, some of which are not there or elsewhere."""
    places = {}
    for name in ("model-1.safetensors", "model-2.safetensors"):
        part = {f"{name[6]}.{key}": value for key, value in tensors(chance).items()}
        save_file(part, path.parent / name, stamp(chance) or None)
        places |= dict.fromkeys(part, name)
    if chance.random() < 0.3:
        places[chance.choice(("1.x", "z"))] = chance.choice(
            ("../a.safetensors", "/etc/passwd", "none.safetensors", 3, "a\0.safetensors")
        )
    size = chance.choice((0, 10**9, "x", None, [1], 1.5, -1, True, float("nan")))
    table: dict[str, Any] = {"weight_map": places}
    if chance.random() < 0.5:
        table["metadata"] = chance.choice(({"total_size": size}, stamp(chance), 3, {}))
    path.write_text(json.dumps(table), encoding="utf-8")


FORMATS: dict[str, Callable[[Path, random.Random, Path], None]] = {
    ".safetensors": safetensors, ".npz": npz, ".pt": torch_file, ".ckpt": checkpoint, ".weights.h5": h5, ".keras": keras,
    ".safetensors.index.json": index,
}  # fmt: skip


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The bytes with some changed, cut, doubled or inserted."""
    made = bytearray(data)
    for _ in range(chance.choice((0, 0, 0, 0, 1, 1, 2, 8))):
        at = chance.randrange(max(1, min(len(made), chance.choice((64, 600, 10**9)))))
        length = chance.choice((1, 1, 4, 40))
        way = chance.randrange(4)
        if way == 0:
            made[at : at + length] = chance.randbytes(length)
        elif way == 1:
            del made[at : at + length]
        elif way == 2:
            made[at:at] = made[at : at + length]
        else:
            made = made[: len(made) - length]
    return bytes(made)

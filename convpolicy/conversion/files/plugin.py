"""File formats of no single framework: safetensors, in one file or in shards, and NumPy's archives."""

from __future__ import annotations

from convpolicy.conversion.formats import FileFormat
from convpolicy.registry.deferred import lazy
from convpolicy.registry.marks import hookimpl

GGUF = "a file of llama.cpp, whose tensors are quantized and named for it; convert the .safetensors file that it was made from"
FOLDER = "convpolicy.conversion.files"


@hookimpl
def convpolicy_file_formats() -> list[FileFormat]:
    """Register ``.safetensors``, ``.safetensors.index.json`` and ``.npz``."""
    return [
        FileFormat(
            ".safetensors",
            lazy(f"{FOLDER}.safetensors", "SafetensorsReader"),
            lazy(f"{FOLDER}.safetensors", "SafetensorsWriter"),
            package="safetensors",
            description="Safetensors, read and written tensor by tensor.",
        ),
        FileFormat(
            ".safetensors.index.json",
            lazy(f"{FOLDER}.sharded", "ShardedReader"),
            lazy(f"{FOLDER}.sharded", "ShardedWriter"),
            package="safetensors",
            declares={"own-source"},
            description="Safetensors in several files with an index.",
        ),
        FileFormat(
            ".npz",
            lazy(f"{FOLDER}.npz", "NpzReader"),
            lazy(f"{FOLDER}.npz", "NpzWriter"),
            keeps_metadata=False,
            description="NumPy archives, read and written array by array, without metadata.",
        ),
        FileFormat(".gguf", instead=GGUF, description="A file of llama.cpp that cannot be read."),
    ]

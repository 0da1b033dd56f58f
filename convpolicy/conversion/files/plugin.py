"""Checkpoint files that belong to no framework: safetensors, alone and in shards, and NumPy's archives."""

from __future__ import annotations

from convpolicy.conversion.formats import FileFormat
from convpolicy.registry.deferred import lazy
from convpolicy.registry.marks import hookimpl

ROOM = "convpolicy.conversion.files"


@hookimpl
def convpolicy_file_formats() -> list[FileFormat]:
    """Return ``.safetensors``, ``.safetensors.index.json`` and ``.npz``."""
    return [
        FileFormat(
            ".safetensors",
            lazy(f"{ROOM}.safetensors", "SafetensorsReader"),
            lazy(f"{ROOM}.safetensors", "SafetensorsWriter"),
            package="safetensors",
            description="Safetensors, read and written tensor by tensor.",
        ),
        FileFormat(
            ".safetensors.index.json",
            lazy(f"{ROOM}.sharded", "ShardedReader"),
            lazy(f"{ROOM}.sharded", "ShardedWriter"),
            package="safetensors",
            declares={"own-source"},
            description="Safetensors in several files under an index.",
        ),
        FileFormat(
            ".npz",
            lazy(f"{ROOM}.npz", "NpzReader"),
            lazy(f"{ROOM}.npz", "NpzWriter"),
            keeps_metadata=False,
            description="NumPy archives, read and written array by array; they hold no metadata.",
        ),
    ]

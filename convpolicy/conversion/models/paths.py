"""What the names in a file such as ``.weights.h5`` do not say, kept in its metadata: paths, and names of parameters."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping

import attrs

from convpolicy.conversion.models.groups import split
from convpolicy.conversion.models.kinds import ModelTensors

PATHS = "convpolicy-paths"  # key of the metadata
LIMIT = 20_000  # characters, which are compressed; with the other metadata they fit into an HDF5 attribute of 64 KiB
LARGEST = 1 << 24  # characters when they are not compressed


@attrs.frozen
class Paths:
    """What the metadata of a file say.

    Attributes:
        modules: name of the first tensor of a module -> path of the module.
        plain: name of a tensor that was matched by name, with unchanged axes -> its name in the file from which it comes.
    """

    modules: Mapping[str, str] = attrs.field(factory=dict)
    plain: Mapping[str, str] = attrs.field(factory=dict)


def text(tensors: ModelTensors, plain: Mapping[str, str]) -> str:
    """Return the text of the metadata; empty if the names contain the paths, or if the text is too long.

    Args:
        tensors: the tensors of the model.
        plain: as in `Paths`.
    """
    if tensors.keeps_paths:
        return ""
    rows = ((module.parameters[0].name, module.path) for module in tensors.modules if module.kind)
    modules = {name: path for name, path in rows if split(name)[: len(split(path))] != split(path)}
    document = json.dumps([modules, dict(plain)], separators=(",", ":")).encode()
    coded = base64.b64encode(zlib.compress(document, 9)).decode()
    return coded if (modules or plain) and len(coded) <= LIMIT else ""


def read(metadata: Mapping[str, str]) -> Paths:
    """Return what the metadata of a file say; nothing if the text is damaged."""
    try:
        document = zlib.decompressobj().decompress(base64.b64decode(metadata.get(PATHS, ""), validate=True), LARGEST)
        modules, plain = json.loads(document) if document else ({}, {})
        whole = all(isinstance(path, str) for path in (*modules.values(), *plain.values()))
        return Paths(modules, plain) if whole else Paths()
    except (ValueError, TypeError, AttributeError, RecursionError, zlib.error):
        return Paths()

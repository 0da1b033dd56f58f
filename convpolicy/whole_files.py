"""Files that are written whole or not at all."""

from __future__ import annotations

import uuid
from pathlib import Path


def write(target: Path, data: bytes) -> None:
    """Write beside the target, with the permissions of any new file, then rename.

    Raises:
        OSError: the file cannot be written; names the target.
    """
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with beside.open("xb") as file:
            file.write(data)
        beside.replace(target)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(beside):
            error.filename = str(target)  # what the caller knows
        raise

"""The stamp in a converted file's metadata: what it was, what it is, and each tensor that is no longer as it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from convpolicy.errors import InvalidValueError

STAMP = "convpolicy"  # key of the metadata
SCHEMA = 1


@attrs.frozen
class Origin:
    """Where one tensor came from.

    Attributes:
        name: in the original file.
        source, target: names of the layouts that it had there and has now, both empty when it is no weight of a Conv1d.
        groups: of a depthwise weight, else None.
    """

    name: str = attrs.field(validator=attrs.validators.instance_of(str))
    source: str = attrs.field(default="", validator=attrs.validators.instance_of(str))
    target: str = attrs.field(default="", validator=attrs.validators.instance_of(str))
    groups: int | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(attrs.validators.and_(attrs.validators.instance_of(int), attrs.validators.ge(1))),
    )


@attrs.frozen
class Stamp:
    """What a converted file says of itself.

    Attributes:
        suffix: of the original file.
        source, target: names of the policies, or layouts, that it had and has.
        tensors: name now -> `Origin`, of those whose name or axes changed.
        policy: the target as plain data, when it is a policy.
    """

    suffix: str = attrs.field(validator=attrs.validators.instance_of(str))
    source: str = attrs.field(validator=attrs.validators.instance_of(str))
    target: str = attrs.field(validator=attrs.validators.instance_of(str))
    tensors: Mapping[str, Origin]
    policy: Mapping[str, Any] | None = None

    def text(self) -> str:
        """Return it as JSON."""
        tensors = {name: _filled(origin) for name, origin in self.tensors.items()}
        data = {"schema": SCHEMA, **_filled(self, "tensors"), "tensors": tensors}
        return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def _filled(value: Any, *left_out: str) -> dict[str, Any]:
    return {name: kept for name, kept in attrs.asdict(value).items() if name not in left_out and kept not in ("", None)}


def read(metadata: Mapping[str, str], path: Path) -> Stamp | None:
    """Return the stamp of a file, or None.

    Raises:
        InvalidValueError: one that cannot be read; names the file.
    """
    if STAMP not in metadata:
        return None
    try:
        data = json.loads(metadata[STAMP])
        if data.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        tensors = {name: Origin(**origin) for name, origin in data.pop("tensors").items()}
        return Stamp(tensors=tensors, **data)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        said = error.args[0] if error.args else type(error).__name__
        raise InvalidValueError(
            f"{path} has a stamp that cannot be read ({said}); take {STAMP!r} out of its metadata, or convert anew."
        ) from error

"""The stamp in a converted file's metadata, which records what was converted so that it can be converted back."""

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
    """The original name and layout of one tensor.

    Attributes:
        name: name in the original file.
        source: name of the layout in the original file; empty when the tensor is not a Conv1d weight.
        target: name of the layout in this file; empty when the tensor is not a Conv1d weight.
        groups: number of groups of a depthwise weight, else None.
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
    """The record of a conversion in the metadata of its output.

    Attributes:
        suffix: suffix of the original file.
        source: name of the policy or layout of the original file.
        target: name of the policy or layout of this file.
        tensors: name in this file of each tensor whose name or axes changed, with its `Origin`.
        policy: the target policy as plain data; None for a layout alone.
    """

    suffix: str = attrs.field(validator=attrs.validators.instance_of(str))
    source: str = attrs.field(validator=attrs.validators.instance_of(str))
    target: str = attrs.field(validator=attrs.validators.instance_of(str))
    tensors: Mapping[str, Origin]
    policy: Mapping[str, Any] | None = None

    def text(self) -> str:
        """Return the stamp as JSON."""
        tensors = {name: _filled(origin) for name, origin in self.tensors.items()}
        data = {"schema": SCHEMA, **_filled(self, "tensors"), "tensors": tensors}
        return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def _filled(value: Any, *left_out: str) -> dict[str, Any]:
    return {name: entry for name, entry in attrs.asdict(value).items() if name not in left_out and entry not in ("", None)}


def read(metadata: Mapping[str, str], path: Path) -> Stamp | None:
    """Return the stamp of a file, or None.

    Args:
        metadata: metadata of the file.
        path: path of the file, used in the message.

    Raises:
        InvalidValueError: the stamp is damaged; the message names the file.
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
        cause = error.args[0] if error.args else type(error).__name__
        raise InvalidValueError(
            f"{path} has a stamp that cannot be read ({cause}); remove {STAMP!r} from its metadata, or convert the original file again."
        ) from error

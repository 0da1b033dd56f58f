"""The explorer: an HTML page that compares the plans of two policies and works offline."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template
from typing import Any

from convpolicy.core.policy import Policy
from convpolicy.explorer.data import collect, packed
from convpolicy.explorer.plans import Ranges
from convpolicy.pictures.svg import COLOURS

SCRIPTS = ("plans.js", "transposed.js", "drawing.js", "streams.js", "shards.js", "comparison.js", "code.js", "page.js")


def page(start: Mapping[str, Any], extra: Sequence[Policy] = (), ranges: Ranges | None = None) -> str:
    """Return the explorer as one self-contained HTML page.

    Args:
        start: initial settings under the keys of the page's address: ``a`` and ``b``, names of policies, and ``version``.
        extra: policies to show besides the registered ones, such as policies from files.
        ranges: sizes that the page contains; None for the defaults.
    """
    return Template(_text("page.html")).substitute(
        style=Template(_text("page.css")).substitute(COLOURS),
        plans=packed(collect(extra, Ranges() if ranges is None else ranges)),
        start=json.dumps(dict(start)).replace("</", "<\\/"),
        script="\n".join(_text(name) for name in SCRIPTS),
    )


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")

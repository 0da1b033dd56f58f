"""Checks of a streaming form: its name and the signature of its function. Its values are compared where a model is streamed."""

from __future__ import annotations

from functools import partial

from convpolicy.chunks.form import StreamingForm
from convpolicy.testing.common import check_names, check_signature
from convpolicy.testing.ladder import Check


def checks(form: StreamingForm, max_examples: int = 1) -> list[Check]:
    """Return the checks of a streaming form, lowest rung first."""
    return [
        Check(form, "names", "names", partial(check_names, form)),
        Check(form, "signature", "signatures", partial(check_signature, "build", form.build, ("module",))),
    ]

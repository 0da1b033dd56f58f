"""A call that must be refused."""

from __future__ import annotations

import pytest

import convpolicy as cp


def refused(call, builtin, *says):
    """Assert that ``call`` raises one sentence, which says all this, as a ConvPolicyError and as ``builtin``."""
    with pytest.raises(cp.ConvPolicyError) as raised:
        call()
    assert isinstance(raised.value, builtin)
    (message,) = raised.value.args
    assert "\n" not in message
    assert message[-1] in ".?"
    for text in says:
        assert text in message

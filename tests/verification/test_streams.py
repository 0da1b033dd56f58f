"""`verify --streaming`: every claim holds for NumPy, and a wrong stream makes each claim fail."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

import convpolicy as cp
from convpolicy.chunks import convolution, same_bits, transposed
from convpolicy.cli import group as cli
from convpolicy.verification import streams

NUMPY = cp.backends()["numpy"]


def verdicts():
    """The verdict of each claim."""
    return {row["claim"]: row["verdict"] for row in streams.check(NUMPY)}


def test_numpy():
    """Outputs are equal within rounding, bits with execution="same-bits"."""
    assert verdicts() == {
        "every chunking": "within tolerance",
        "lengths": "exact",
        "rows and resets": "exact",
        "gradients": "not checked",
        "same bits": "exact",
    }


def lost(self, chunk, state, own=convolution.ConvolutionStage.step):
    """A stream that forgets the samples of earlier chunks."""
    output, new = own(self, chunk, state)
    return output, new | {"pending": new["pending"] * 0}


def longer(self, state, own=transposed.TransposedStage.end):
    """A decoder that cuts nothing at the end."""
    output = own(self, state)
    return np.concatenate([output, output[..., -1:] if output.shape[-1] else np.zeros((*output.shape[:2], 1), output.dtype)], -1)


def uneven(self, data, own=None):
    """A library whose bits depend on the number of outputs."""
    output = self.arrays.convolved(data)
    return output if output.shape[-1] % 2 else np.nextafter(output, np.float32(9))


@pytest.mark.parametrize(
    ("kind", "name", "wrong", "failing"),
    [
        (convolution.ConvolutionStage, "step", lost, {"every chunking"}),
        (transposed.TransposedStage, "end", longer, {"every chunking", "lengths"}),
        (same_bits.SameBitsConvolution, "_convolved", uneven, {"same bits"}),
    ],
)
def test_wrong_streams(monkeypatch, kind, name, wrong, failing):
    """Each is found by the claims that it breaks."""
    monkeypatch.setattr(kind, name, wrong)
    found = verdicts()
    assert {claim for claim in found if found[claim] == "differs"} >= failing


@pytest.mark.needs("torch")
def test_lost_gradients(monkeypatch):
    """Gradients through torch's steps are those of the whole; a stream whose state has no gradient is noticed."""
    torch, own = cp.backends()["torch"], convolution.ConvolutionStage._plain
    assert all(max(streams.gradients(torch, *layer)) <= 1 for layer in streams.LAYERS)
    monkeypatch.setattr(convolution.ConvolutionStage, "_plain", lambda self, chunk, pending: own(self, chunk, pending.detach()))
    assert max(streams.gradients(torch, *streams.LAYERS[0])) > 1


def test_the_command():
    """It runs the backend in a process, and refuses what does not belong to it."""
    result = CliRunner().invoke(cli.build(), ["verify", "--streaming", "--backend", "numpy", "--json"])
    assert result.exit_code == 0
    assert {claim["verdict"] for claim in json.loads(result.stdout)["claims"]} == {"exact", "within tolerance", "not checked"}
    for arguments, message in ((["--matrix"], "two reports"), (["torch"], "leave the policies out")):
        result = CliRunner().invoke(cli.build(), ["verify", "--streaming", *arguments])
        assert (result.exit_code, message in result.stderr) == (2, True)

"""Checkpoints of architectures, most of transformers, for their twins in Paddle: they load whole, and come back with the same bytes."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.needs("torch", "transformers")

import paddle  # noqa: E402
from helpers.architectures import ARCHITECTURES  # noqa: E402
from helpers.twin_checks import check_there_and_back  # noqa: E402
from helpers.twins.paddle import PaddleBuilder  # noqa: E402

OWN = {  # LayerNorm without parameters has none to move, and there is no layer RMSNorm
    "data2vec": [f"encoder.pos_conv_embed.layers.{number}.layer_norm" for number in (0, 1)],
    "mamba": ["backbone.layers.0.norm", "backbone.layers.1.norm", "backbone.norm_f"],
}


def load(twin, path):
    """Load a file as a user does; Paddle misses nothing and expects everything."""
    missing, unexpected = twin.set_state_dict(paddle.load(path))
    assert not missing
    assert not unexpected


@pytest.mark.grid(every=3)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_there_and_back(name, tmp_path, monkeypatch):
    """Nothing is missing or unexpected, every array is where the framework's rule has it, and the way back gives the first file."""
    monkeypatch.chdir(tmp_path)
    own = OWN.get(name, ())
    check_there_and_back(name, PaddleBuilder(), load, target="paddle", middle="b.pdparams", own=own, counts=False)

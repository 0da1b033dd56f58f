"""Checkpoints of architectures, most of transformers, for their twins in MindSpore: they load whole, and come back with the same bytes."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.needs("torch", "transformers")

import mindspore  # noqa: E402
from helpers.architectures import ARCHITECTURES  # noqa: E402
from helpers.twin_checks import check_there_and_back  # noqa: E402
from helpers.twins.mindspore import MindsporeBuilder  # noqa: E402

OWN = {  # LayerNorm without parameters has none to move, and mindspore.nn has no RMSNorm
    "data2vec": [f"encoder.pos_conv_embed.layers.{number}.layer_norm" for number in (0, 1)],
    "mamba": ["backbone.layers.0.norm", "backbone.layers.1.norm", "backbone.norm_f"],
}


def load(twin, path):
    """Load a file as a user does; MindSpore misses nothing and expects everything but the text with what the way back needs."""
    missing, unexpected = mindspore.load_param_into_net(twin, mindspore.load_checkpoint(path), strict_load=True)
    assert not missing
    assert unexpected in ([], ["convpolicy"])


@pytest.mark.grid(every=3)  # PyTorch is on one side in each room
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_there_and_back(name, tmp_path, monkeypatch):
    """Nothing is missing or unexpected, every array is where the framework's rule has it, and the way back gives the first file."""
    monkeypatch.chdir(tmp_path)
    check_there_and_back(name, MindsporeBuilder(), load, target="mindspore", middle="b.ckpt", own=OWN.get(name, ()))

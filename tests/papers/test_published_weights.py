"""Published weights: checkpoints of real packages are moved to another framework and back, and every layer is proved."""

from __future__ import annotations

from pathlib import Path

import convpolicy_mlx
import mlx.core as mx
import numpy as np
import pytest
import torch
from flax import nnx
from ported import assert_is_module
from published_models import FCPE, FlaxPesto, MlxFcpe, fcpe, pesto
from safetensors.numpy import load_file
from safetensors.torch import save_file

import convpolicy as cp

DIFFERENCES = {"fcpe": 1e-5, "pesto": 1e-4}  # largest difference of probabilities; four times what was measured, or more


@pytest.fixture(autouse=True, scope="module")
def plugin():
    """The plugin, which the other tests of papers do not see."""
    cp.register(convpolicy_mlx, "mlx")
    yield
    cp.unregister("mlx")


def random(*shape):
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def there_and_back(model, twin, framework, folder):
    """Convert a model's weights for its twin, and the result for the model: the same bytes; return the path of the file between."""
    start, between, back = (folder / f"{name}.safetensors" for name in ("torch", framework, "back"))
    save_file(model.state_dict(), start)
    report = cp.convert(start, between, source="torch", target=framework, model=twin)
    assert report.loading.complete, report.loading
    report = cp.convert(between, back, source=framework, target="torch", model=model)
    assert report.loading.complete, report.loading
    assert back.read_bytes() == start.read_bytes()
    return between


def compared(name, model, twin, x, found):
    """The twin's output is the model's, and `why` says that only rounding differs."""
    with torch.no_grad():
        expected = model(torch.as_tensor(x)).numpy()
    difference = float(np.abs(found - expected).max())
    print(f"{name}: largest difference {difference:.1e}, largest value {np.abs(expected).max():.2f}")
    assert 0.1 < np.abs(expected).max() <= 1
    assert difference <= DIFFERENCES[name]
    diagnosis = cp.why(model, twin, x)
    assert diagnosis.verdict == "equal within rounding", str(diagnosis)


def proved(model, x, count, refused=()):
    """`port_model` ports the convolutions, and each layer is the module that it stands for."""
    ported = cp.port_model(model, to="torch")
    assert (len(ported.layers), len(ported.noted)) == (count, 0)
    assert tuple(row.path for row in ported.refused) == refused
    assert_is_module(model, ported.layers, [lambda data=data: model(torch.as_tensor(data)) for data in x])


# -- FCPE: torch to MLX --------------------------------------------------------------------------------------------------------


def test_fcpe(tmp_path):
    """The package's own file, 43 MB, is converted for a conformer in MLX, which computes the same; the way back gives the same bytes."""
    model, state = fcpe()
    twin = MlxFcpe()
    twin.eval()
    report = cp.convert(FCPE, tmp_path / "mlx.safetensors", source="torch", target="mlx", model=twin)
    assert report.loading.complete, report.loading
    assert len(report.loading.loaded) == len(state) == 73
    twin.load_weights(str(tmp_path / "mlx.safetensors"))
    x = random(1, 24, 128)
    compared("fcpe", model, twin, x, np.array(twin(mx.array(x))))

    report = cp.convert(tmp_path / "mlx.safetensors", tmp_path / "back.safetensors", source="mlx", target="torch", model=model)
    assert report.loading.complete, report.loading
    back = load_file(tmp_path / "back.safetensors")
    newer = {"output_proj.weight_g": "original0", "output_proj.weight_v": "original1"}  # names of weight_norm in torch 2
    for name, value in state.items():
        new = f"output_proj.parametrizations.weight.{newer[name]}" if name in newer else name
        assert np.array_equal(back.pop(new), value.numpy()), name
    assert not back


def test_fcpe_and_back(tmp_path):
    """A file of torch 2's names, to MLX and back: the same file."""
    model, _state = fcpe()
    there_and_back(model, MlxFcpe(), "mlx", tmp_path)


def test_layers_of_fcpe():
    """All 20 convolutions, six of them depthwise inside a module that only calls them."""
    model, _state = fcpe()
    proved(model, [random(1, length, 128) for length in (7, 40)], 20)


# -- PESTO: torch to Flax ------------------------------------------------------------------------------------------------------


def test_pesto(tmp_path):
    """PESTO's encoder to Flax and back; its LayerNorm is over an axis of length 1, and its last layer is a convolution in disguise."""
    model, state = pesto()
    twin = FlaxPesto()
    between = there_and_back(model, twin, "flax", tmp_path)
    arrays = load_file(between)
    assert len(arrays) == len(state) == 17
    paths = dict(nnx.to_flat_state(nnx.state(twin, nnx.Param)))
    nnx.update(twin, nnx.from_flat_state({path: arrays[".".join(map(str, path))] for path in paths}))
    x = random(30, 1, 219)
    compared("pesto", model, twin, x, np.array(twin(x.transpose(0, 2, 1))))


def test_layers_of_pesto():
    """The seven plain convolutions; the eighth, whose class overrides forward, is refused and named."""
    model, _state = pesto()
    proved(model, [random(batch, 1, 219) for batch in (1, 12)], 7, refused=("fc",))


# -- the files of the packages -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("load", [fcpe, pesto])
def test_weights_are_trained(load):
    """The weights are those of the package's file and no initial ones: loading them changes every convolution."""
    model, state = load()
    fresh = {name: value.clone() for name, value in model.state_dict().items()}
    for module in model.modules():
        if isinstance(module, torch.nn.Conv1d):
            module.reset_parameters()
    changed = [name for name, value in model.state_dict().items() if not torch.equal(value, fresh[name])]
    assert len([name for name in changed if name.endswith("weight")]) == len([name for name in state if state[name].ndim == 3])


def test_the_guide():
    """The table of the guide has the limits of these tests, and the numbers of tensors."""
    page = (Path(__file__).parents[2] / "docs" / "guides" / "convert.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in row.strip("|").split("|")]
        for row in page.splitlines()
        if row.startswith(("| torchfcpe", "| pesto"))
    ]
    assert [(row[4], float(row[5].partition(",")[0])) for row in rows] == [
        ("73", DIFFERENCES["fcpe"]),
        ("17", DIFFERENCES["pesto"]),
    ]

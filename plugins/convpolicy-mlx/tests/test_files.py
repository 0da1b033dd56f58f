"""Files of real MLX models converted to torch's axes and back: every bit, as both frameworks read them."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest

import convpolicy as cp

torch = pytest.importorskip("torch")
from models import TorchModel, mlx_model  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

DTYPES = ("float32", "float16", "bfloat16")
SUFFIXES = ("npz", "safetensors")
FILES = [(dtype, suffix, torch_suffix) for dtype in DTYPES for suffix in SUFFIXES for torch_suffix in ("pt", "safetensors")]


def bits_of_mlx(array):
    """The bits of an array as integers."""
    return np.array(array.view({4: mx.uint32, 2: mx.uint16}[array.itemsize]))


def bits_of_torch(tensor):
    """The bits of a tensor as integers."""
    integers = {4: (torch.int32, np.uint32), 2: (torch.int16, np.uint16)}[tensor.element_size()]
    return tensor.detach().contiguous().view(integers[0]).numpy().view(integers[1])


def saved(folder, dtype, suffix):
    """A model of MLX, and the file that its ``save_weights`` wrote."""
    model = mlx_model(getattr(mx, dtype))
    path = folder / f"mlx.{suffix}"
    model.save_weights(str(path))
    return model, path


def parameters_of(path):
    """What MLX reads of a file."""
    return {name: (array.dtype, array.shape, bits_of_mlx(array).tobytes()) for name, array in mx.load(str(path)).items()}


@pytest.mark.parametrize(("dtype", "suffix", "torch_suffix"), FILES)
def test_to_torch_and_back(dtype, suffix, torch_suffix, tmp_path):
    """A torch model loads the result under the same names; the way back gives the file that MLX wrote, tensor by tensor."""
    model, path = saved(tmp_path, dtype, suffix)
    there = tmp_path / f"torch.{torch_suffix}"
    conversion = cp.convert(path, there, source="mlx", target="torch", layers=model)
    assert sum(row.axes == "OWI -> OIW" for row in conversion.tensors) == 6  # one of them under two names
    state = load_file(there) if torch_suffix == "safetensors" else torch.load(there, weights_only=True)
    TorchModel().to(getattr(torch, dtype)).load_state_dict(state)
    own = mx.load(str(path))
    assert state.keys() == own.keys()
    for name, tensor in state.items():
        expected = bits_of_mlx(own[name])
        expected = expected.transpose(0, 2, 1) if expected.ndim == 3 else expected
        assert tensor.dtype == getattr(torch, dtype)
        assert np.array_equal(bits_of_torch(tensor), expected), name
    back = tmp_path / f"back.{suffix}"
    cp.convert(there, back, source="torch", target="mlx", layers=model)
    assert parameters_of(back) == parameters_of(path)
    again = mlx_model(getattr(mx, dtype), seed=1)
    again.load_weights(str(back))
    again.save_weights(str(tmp_path / f"again.{suffix}"))
    assert parameters_of(tmp_path / f"again.{suffix}") == parameters_of(path)


@pytest.mark.parametrize(("dtype", "suffix", "torch_suffix"), FILES)
def test_weights_of_torch_in_mlx(dtype, suffix, torch_suffix, tmp_path):
    """A file that torch wrote, loaded by a model of MLX: the same bits, and outputs equal up to rounding in float32."""
    torch.manual_seed(5)
    own = TorchModel().to(getattr(torch, dtype))
    path = tmp_path / f"torch.{torch_suffix}"
    state = {name: tensor.clone() for name, tensor in own.state_dict().items()}
    if torch_suffix == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    model = mlx_model(getattr(mx, dtype))
    cp.convert(path, tmp_path / f"mlx.{suffix}", source="torch", target="mlx", layers=model)
    model.load_weights(str(tmp_path / f"mlx.{suffix}"))
    for name, array in mx.load(str(tmp_path / f"mlx.{suffix}")).items():
        expected = bits_of_torch(state[name])
        assert np.array_equal(bits_of_mlx(array), expected.transpose(0, 2, 1) if expected.ndim == 3 else expected), name
    if dtype == "float32":
        data = np.random.default_rng(0).standard_normal((2, 3, 40), dtype=np.float32)
        expected = own(torch.from_numpy(data)).detach().numpy()
        assert np.allclose(np.array(model(mx.array(data.transpose(0, 2, 1)))), expected, rtol=0, atol=1e-5)


def test_bfloat16_in_numpys_files(tmp_path):
    """Read as MLX's they can be cast; as the layout's alone they are copied, and said to be unnamed; for torch they are refused."""
    model, path = saved(tmp_path, "bfloat16", "npz")
    wide = tmp_path / "wide.npz"
    cp.convert(path, wide, source="mlx", target="torch", layers=model, dtype="float32")
    own = mx.load(str(path))
    with np.load(wide) as arrays:
        for name in arrays.files:
            expected = np.array(own[name].astype(mx.float32))
            assert np.array_equal(arrays[name], expected.transpose(0, 2, 1) if expected.ndim == 3 else expected)
    conversion = cp.convert(path, tmp_path / "bytes.npz", source="OWI", target="OIW", layers=model)
    assert any("|V2" in note for note in conversion.notes)
    with pytest.raises(cp.InvalidValueError, match=r"a \.npz file cannot store dtype bfloat16"):
        cp.convert(path, tmp_path / "torch.npz", source="mlx", target="torch", layers=model)


def test_the_null_of_mlxs_safetensors(tmp_path):
    """MLX writes ``"__metadata__": null``, which is read as no metadata: its files need no format of their own."""
    model, path = saved(tmp_path, "float32", "safetensors")
    assert b'"__metadata__":null' in path.read_bytes()[:64]
    conversion = cp.convert(path, tmp_path / "torch.safetensors", source="mlx", target="torch", layers=model)
    assert [note.split(":")[0] for note in conversion.notes] == [
        "2 tensors of other layers keep the names and axes of mlx, which a torch model may not load"
    ]

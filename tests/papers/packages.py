"""The reference packages, one module at a time: what such a module does not need is neither installed nor run."""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
import types
from functools import cache
from pathlib import Path
from types import ModuleType

# module -> modules it imports but does not need for what is used of it; their names become empty classes
UNUSED = {
    "encodec.modules.conv": (),
    "moshi.modules.conv": (),
    "asteroid.masknn.convolutional": ("asteroid.complex_nn", "asteroid.masknn.base"),
    "speechbrain.nnet.CNN": ("torchaudio", "speechbrain.processing.signal_processing"),
    "enformer_pytorch.modeling_enformer": ("enformer_pytorch.data",),
    "mambapy.mamba": (),
    "dac.model.dac": ("audiotools", "audiotools.ml"),
    "sequence_models.convolutional": (),
    "pytorch_tcn.conv": (),
    "torchaudio.models.tacotron2": (),
    "torchaudio.models.conv_tasnet": (),
    "torchaudio.models.conformer": (),
    "nemo.collections.asr.parts.submodules.causal_convs": (),
    "nemo.collections.asr.parts.submodules.jasper": (
        "nemo.collections.common.parts.utils",
        "nemo.core.classes.mixins",
        "nemo.core.classes.mixins.adapter_mixins",
        "nemo.utils",
    ),
    "torchfcpe.models": ("local_attention",),
    "pesto.model": ("pesto.utils",),
}


sys.modules["torchaudio"] = None  # type: ignore[assignment] # only its Python files run beside a CPU torch; others shall not try


class _Unused(ModuleType):
    """A module whose every name is an empty class."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


@cache
def module(name: str) -> ModuleType:
    """Import one module of a package; the packages around it are not run, those in `UNUSED` are stood in for."""
    before = dict(sys.modules)
    parts = name.split(".")
    found = importlib.machinery.PathFinder.find_spec(parts[0])
    assert found is not None and found.submodule_search_locations, f"{parts[0]} is not installed; see requirements/papers.txt"
    folder = Path(found.submodule_search_locations[0])
    try:
        for unused in UNUSED[name]:
            sys.modules[unused] = _named(_Unused(unused), folder)
        for depth in range(1, len(parts)):
            package = ".".join(parts[:depth])
            sys.modules[package] = _named(types.ModuleType(package), folder.joinpath(*parts[1:depth]))
        return importlib.import_module(name)
    finally:
        for stood_in in (*UNUSED[name], *(".".join(parts[:depth]) for depth in range(1, len(parts)))):
            sys.modules.pop(stood_in, None)
            if stood_in in before:
                sys.modules[stood_in] = before[stood_in]


def _named(stand_in: ModuleType, folder: Path) -> ModuleType:
    stand_in.__path__ = [str(folder)]
    stand_in.__spec__ = importlib.machinery.ModuleSpec(stand_in.__name__, None, is_package=True)
    return stand_in

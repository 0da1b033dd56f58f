"""Build 1-D convolutions that behave exactly like those of PyTorch, MindSpore, TensorFlow, Keras, Flax or Paddle.

A policy describes how a framework's convolution pads its input, draws its initial weights and stores them. A backend is a framework
that runs the layer. You can combine any policy with any backend that supports its options. ``import convpolicy`` does not import a
framework, the command line or a plotting library.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from convpolicy import registry as _registry
from convpolicy.extensions.loading import PLUGINS as _PLUGINS

if TYPE_CHECKING:
    from convpolicy.chunks import Live, Streaming, streaming
    from convpolicy.chunks.form import StreamingForm
    from convpolicy.comparison import Comparison, compare
    from convpolicy.conversion import Conversion, convert
    from convpolicy.conversion.formats import FileFormat
    from convpolicy.core.named import load_policy, policies, policy, random_stream
    from convpolicy.core.plan import Plan
    from convpolicy.core.policy import Policy
    from convpolicy.core.shard import Shard
    from convpolicy.core.simulation import Simulation
    from convpolicy.core.spec import ConvSpec
    from convpolicy.core.transposed_plan import TransposedPlan
    from convpolicy.core.transposed_policy import TransposedPolicy
    from convpolicy.diagnosis import Diagnosis, ModelDiagnosis, why
    from convpolicy.errors import ConvPolicyError, InvalidTypeError, InvalidValueError
    from convpolicy.layers.backend import Backend, LayerRequest
    from convpolicy.layers.capture import Capture, capture, port
    from convpolicy.layers.causality import Causality
    from convpolicy.layers.chain import Chain, chain
    from convpolicy.layers.chain_layer import ChainLayer
    from convpolicy.layers.chain_shards import ChainShards
    from convpolicy.layers.conv1d import Conv1d
    from convpolicy.layers.conv_transpose1d import ConvTranspose1d
    from convpolicy.layers.ported import PortedModel
    from convpolicy.layers.whole_models import port_model
    from convpolicy.layers.wrapper import Wrapper
    from convpolicy.parts.choice import Choice
    from convpolicy.parts.crop import CropRule
    from convpolicy.parts.distribution import Distribution
    from convpolicy.parts.initializer import Initializer
    from convpolicy.parts.layout import Layout
    from convpolicy.parts.mode import PaddingMode
    from convpolicy.parts.padding import PaddingRule
    from convpolicy.parts.part import Param
    from convpolicy.parts.side import Arithmetic, Side
    from convpolicy.parts.stream import RandomStream, Stream
    from convpolicy.registry.deferred import Deferred, lazy
    from convpolicy.registry.marks import hookimpl
    from convpolicy.registry.report import PluginReport
    from convpolicy.shards.sharding import shard
    from convpolicy.translation import translate, translate_page
    from convpolicy.translation.dialect import Dialect
    from convpolicy.tuning import Tuning, tune, untune
    from convpolicy.tuning.results import autotune_cache
    from convpolicy.verification import verify
    from convpolicy.verification.native import Native

__version__ = "0.1.0"

__all__ = [
    "Arithmetic",
    "Backend",
    "Capture",
    "Causality",
    "Chain",
    "ChainLayer",
    "ChainShards",
    "Choice",
    "Comparison",
    "Conv1d",
    "ConvPolicyError",
    "ConvSpec",
    "ConvTranspose1d",
    "Conversion",
    "CropRule",
    "Deferred",
    "Diagnosis",
    "Dialect",
    "Distribution",
    "FileFormat",
    "Initializer",
    "InvalidTypeError",
    "InvalidValueError",
    "LayerRequest",
    "Layout",
    "Live",
    "ModelDiagnosis",
    "Native",
    "PaddingMode",
    "PaddingRule",
    "Param",
    "Plan",
    "PluginReport",
    "Policy",
    "PortedModel",
    "RandomStream",
    "Shard",
    "Side",
    "Simulation",
    "Stream",
    "Streaming",
    "StreamingForm",
    "TransposedPlan",
    "TransposedPolicy",
    "Tuning",
    "Wrapper",
    "autotune_cache",
    "backends",
    "capture",
    "chain",
    "compare",
    "convert",
    "crop_rules",
    "hookimpl",
    "initializers",
    "layouts",
    "lazy",
    "load_policy",
    "padding_modes",
    "padding_rules",
    "plugins",
    "policies",
    "policy",
    "port",
    "port_model",
    "random_stream",
    "random_streams",
    "register",
    "shard",
    "streaming",
    "streaming_forms",
    "translate",
    "translate_page",
    "tune",
    "unregister",
    "untune",
    "verify",
    "why",
    "wrappers",
]

_registry.install(_PLUGINS)


def padding_rules() -> Mapping[str, PaddingRule]:
    """Return a mapping from name to registered padding rule. The ``provider`` of a rule is the name of its plugin."""
    return _registry.current().parts("padding rule")


def crop_rules() -> Mapping[str, CropRule]:
    """Return a mapping from name to registered crop rule. The ``provider`` of a rule is the name of its plugin."""
    return _registry.current().parts("crop rule")


def padding_modes() -> Mapping[str, PaddingMode]:
    """Return a mapping from name to registered padding mode. The ``provider`` of a mode is the name of its plugin."""
    return _registry.current().parts("padding mode")


def initializers() -> Mapping[str, Initializer]:
    """Return a mapping from name to registered initializer. The ``provider`` of an initializer is the name of its plugin."""
    return _registry.current().parts("initializer")


def random_streams() -> Mapping[str, RandomStream]:
    """Return a mapping from name to registered random stream. The ``provider`` of a stream is the name of its plugin."""
    return _registry.current().parts("random stream")


def layouts() -> Mapping[str, Layout]:
    """Return a mapping from name to registered layout. The ``provider`` of a layout is the name of its plugin."""
    return _registry.current().parts("layout")


def backends() -> Mapping[str, Backend]:
    """Return a mapping from name to registered backend. The ``provider`` of a backend is the name of its plugin."""
    return _registry.current().parts("backend")


def wrappers() -> Mapping[str, Wrapper]:
    """Return a mapping from the full name of a class to its registered wrapper."""
    return _registry.current().parts("wrapper")


def streaming_forms() -> Mapping[str, StreamingForm]:
    """Return a mapping from the full name of a class to its registered streaming form."""
    return _registry.current().parts("streaming form")


def plugins() -> list[PluginReport]:
    """Return one report per plugin. The list includes the plugins that failed to load."""
    return _registry.current().reports()


def register(plugin: object, name: str | None = None) -> PluginReport:
    """Register a plugin in this process, for example in a notebook.

    Args:
        plugin: a module or an object whose hook functions are marked with ``hookimpl``.
        name: the plugin's name. With None, the name is the ``__name__`` of a module or the name of the object's class.

    Returns:
        A `PluginReport` that lists what the plugin registered.

    Raises:
        PluginError: the plugin is broken, or another plugin has the same name. The plugin's parts are not registered.
    """
    return _PLUGINS.register(plugin, name)


def unregister(name: str) -> None:
    """Remove a plugin that `register` added, and the parts of this plugin.

    Raises:
        UnknownNameError: no plugin has this name.
        InvalidValueError: the plugin is built in.
    """
    _PLUGINS.unregister(name)


_HOMES = {  # name -> its module, imported on first use; the command line starts before NumPy is imported
    name: f"convpolicy.{module}"
    for module, names in {
        "chunks": "Live Streaming streaming",
        "chunks.form": "StreamingForm",
        "comparison": "Comparison compare",
        "conversion": "Conversion convert",
        "conversion.formats": "FileFormat",
        "core.named": "load_policy policies policy random_stream",
        "core.plan": "Plan",
        "core.spec": "ConvSpec",
        "core.policy": "Policy",
        "core.shard": "Shard",
        "core.simulation": "Simulation",
        "core.transposed_plan": "TransposedPlan",
        "core.transposed_policy": "TransposedPolicy",
        "diagnosis": "Diagnosis ModelDiagnosis why",
        "errors": "ConvPolicyError InvalidTypeError InvalidValueError",
        "layers.backend": "Backend LayerRequest",
        "layers.capture": "Capture capture port",
        "layers.causality": "Causality",
        "layers.chain": "Chain chain",
        "layers.chain_layer": "ChainLayer",
        "layers.chain_shards": "ChainShards",
        "layers.conv1d": "Conv1d",
        "layers.conv_transpose1d": "ConvTranspose1d",
        "layers.ported": "PortedModel",
        "layers.whole_models": "port_model",
        "layers.wrapper": "Wrapper",
        "parts.choice": "Choice",
        "parts.crop": "CropRule",
        "parts.distribution": "Distribution",
        "parts.initializer": "Initializer",
        "parts.layout": "Layout",
        "parts.mode": "PaddingMode",
        "parts.padding": "PaddingRule",
        "parts.part": "Param",
        "parts.side": "Arithmetic Side",
        "parts.stream": "RandomStream Stream",
        "registry.deferred": "Deferred lazy",
        "registry.marks": "hookimpl",
        "registry.report": "PluginReport",
        "shards.sharding": "shard",
        "translation": "translate translate_page",
        "translation.dialect": "Dialect",
        "tuning": "Tuning tune untune",
        "tuning.results": "autotune_cache",
        "verification": "verify",
        "verification.native": "Native",
    }.items()
    for name in names.split()
}


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'convpolicy' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value

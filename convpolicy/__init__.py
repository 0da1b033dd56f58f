"""convpolicy: how a 1-D convolution pads, initialises and lays out its weights, as a policy, on any framework.

Importing it imports no framework, no command line and no plotting library.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from convpolicy import registry as _registry
from convpolicy.backends import Backend, LayerRequest
from convpolicy.discovery import PluginReport
from convpolicy.errors import ConvPolicyError, InvalidTypeError, InvalidValueError
from convpolicy.factory import Conv1d
from convpolicy.initializers import Initializer
from convpolicy.layouts import Layout
from convpolicy.lookup import policies, policy
from convpolicy.padding import PaddingMode, PaddingRule
from convpolicy.parts import Choice, Param
from convpolicy.plan import ConvSpec, Plan
from convpolicy.policy import Policy
from convpolicy.random.stream import Stream
from convpolicy.streams import RandomStream

if TYPE_CHECKING:
    from convpolicy.causality import Causality
    from convpolicy.chains import Chain, ChainLayer, chain
    from convpolicy.comparison import Comparison, compare
    from convpolicy.conversion import Conversion, convert
    from convpolicy.diagnosis import Diagnosis, why
    from convpolicy.hookspecs import hookimpl
    from convpolicy.natives import Native
    from convpolicy.policy_files import load_policy
    from convpolicy.porting import Capture, capture, port
    from convpolicy.porting_models import PortedModel, port_model
    from convpolicy.translation import translate, translate_page
    from convpolicy.tuning import Tuning, tune, untune
    from convpolicy.verification import verify

__version__ = "0.1.0"

__all__ = [
    "Backend",
    "Capture",
    "Causality",
    "Chain",
    "ChainLayer",
    "Choice",
    "Comparison",
    "Conv1d",
    "ConvPolicyError",
    "ConvSpec",
    "Conversion",
    "Diagnosis",
    "Initializer",
    "InvalidTypeError",
    "InvalidValueError",
    "LayerRequest",
    "Layout",
    "Native",
    "PaddingMode",
    "PaddingRule",
    "Param",
    "Plan",
    "PluginReport",
    "Policy",
    "PortedModel",
    "RandomStream",
    "Stream",
    "Tuning",
    "backends",
    "capture",
    "chain",
    "compare",
    "convert",
    "hookimpl",
    "initializers",
    "layouts",
    "load_policy",
    "padding_modes",
    "padding_rules",
    "plugins",
    "policies",
    "policy",
    "port",
    "port_model",
    "register",
    "stream",
    "streams",
    "translate",
    "translate_page",
    "tune",
    "unregister",
    "untune",
    "verify",
    "why",
]


def padding_rules() -> Mapping[str, PaddingRule]:
    """Return every registered padding rule, by name; each knows its ``provider``."""
    return _registry.current().parts("padding rule")


def padding_modes() -> Mapping[str, PaddingMode]:
    """Return every registered padding mode, by name; each knows its ``provider``."""
    return _registry.current().parts("padding mode")


def initializers() -> Mapping[str, Initializer]:
    """Return every registered initializer, by name; each knows its ``provider``."""
    return _registry.current().parts("initializer")


def streams() -> Mapping[str, RandomStream]:
    """Return every registered random stream, by name; each knows its ``provider``."""
    return _registry.current().parts("stream")


def stream(name: str, seed: Any = 0) -> Stream:
    """Start a random stream, to draw several layers in a row as a framework builds them.

    Args:
        name: a policy's name, for its own stream, or a stream's.
        seed: what the framework's own seeding function takes.

    Returns:
        A `Stream` for `Policy.initial`.

    Raises:
        UnknownNameError: neither a stream nor a policy.
        InvalidTypeError, InvalidValueError: a seed that the framework refuses.
    """
    part = streams().get(name) if isinstance(name, str) else None
    return policy(name).start_stream(seed) if part is None else part.start(seed, **part.arguments(Choice(name)))


def layouts() -> Mapping[str, Layout]:
    """Return every registered layout, by name; each knows its ``provider``."""
    return _registry.current().parts("layout")


def backends() -> Mapping[str, Backend]:
    """Return every registered backend, by name; each knows its ``provider``."""
    return _registry.current().parts("backend")


def plugins() -> list[PluginReport]:
    """Return a report of every plugin, broken ones included."""
    return _registry.current().reports()


def register(plugin: object, name: str | None = None) -> PluginReport:
    """Register a module or object with hook implementations, e.g. in a notebook; see `Registry.register`."""
    return _registry.current().register(plugin, name)


def unregister(name: str) -> None:
    """Remove what `register` added."""
    _registry.current().unregister(name)


_ON_DEMAND = {  # what building a layer does not need is imported when asked for
    "Capture": "convpolicy.porting",
    "capture": "convpolicy.porting",
    "Causality": "convpolicy.causality",
    "Chain": "convpolicy.chains",
    "chain": "convpolicy.chains",
    "ChainLayer": "convpolicy.chains",
    "compare": "convpolicy.comparison",
    "Comparison": "convpolicy.comparison",
    "Conversion": "convpolicy.conversion",
    "Diagnosis": "convpolicy.diagnosis",
    "convert": "convpolicy.conversion",
    "hookimpl": "convpolicy.hookspecs",
    "load_policy": "convpolicy.policy_files",
    "Native": "convpolicy.natives",
    "port": "convpolicy.porting",
    "port_model": "convpolicy.porting_models",
    "PortedModel": "convpolicy.porting_models",
    "tune": "convpolicy.tuning",
    "Tuning": "convpolicy.tuning",
    "untune": "convpolicy.tuning",
    "translate": "convpolicy.translation",
    "translate_page": "convpolicy.translation",
    "verify": "convpolicy.verification",
    "why": "convpolicy.diagnosis",
}


def __getattr__(name: str) -> Any:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module 'convpolicy' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_ON_DEMAND[name]), name)
    return value

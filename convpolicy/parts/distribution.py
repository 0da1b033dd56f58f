"""`Distribution`: the distribution of an initializer as a name and numbers, which translation writes as code."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from convpolicy.errors import InvalidValueError

# kind -> its parameters
KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "constant": ("value",),
        "normal": ("mean", "std"),
        "uniform": ("low", "high"),
        "truncated_normal": ("mean", "std", "lower", "upper"),
        "scaled": ("scale", "fan", "distribution"),
        "orthogonal": ("gain",),
        "dirac": (),
    }
)


@attrs.frozen(init=False, repr=False)
class Distribution:
    """The distribution from which an initializer draws, for example ``Distribution("normal", mean=0.0, std=0.01)``.

    Translation can write these kinds in every framework:

    - ``constant``: ``value``
    - ``normal``: ``mean`` and ``std``
    - ``uniform``: ``low`` and ``high``
    - ``truncated_normal``: ``mean``, ``std``, and the bounds ``lower`` and ``upper`` in standard deviations
    - ``scaled``: a distribution of variance ``scale / fan``. ``fan`` is the name of a fan of the weight: ``"fan_in"``,
      ``"fan_out"``, ``"fan_avg"`` or ``"fan_in_all_groups"``. ``distribution`` is ``"normal"``, ``"uniform"`` or
      ``"truncated_normal"``. The last one is cut at ±2σ, and its standard deviation is corrected for the cut.
    - ``orthogonal``: ``gain``
    - ``dirac``: no parameters

    A dialect (the translation rules of one framework) may define further kinds.

    Args:
        kind: name of the kind.
        **parameters: the parameters of the kind, as numbers.

    Raises:
        InvalidValueError: the kind has other parameters. The message contains both lists of names.
    """

    kind: str
    parameters: Mapping[str, Any]

    def __init__(self, kind: str, /, **parameters: Any) -> None:
        names = KINDS.get(kind)
        if names is not None and set(names) != set(parameters):
            raise InvalidValueError(
                f"distribution {kind!r} must have {', '.join(names) or 'no parameters'}, got {', '.join(parameters) or 'none'}; "
                f"pass these."
            )
        self.__attrs_init__(kind, MappingProxyType(parameters))

    def __repr__(self) -> str:
        return f"Distribution({', '.join([repr(self.kind), *(f'{name}={value!r}' for name, value in self.parameters.items())])})"

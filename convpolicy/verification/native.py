"""`Native`: the interface through which ``convpolicy verify`` runs a real framework.

A `Native` contains the import path of a module with the following functions. Arrays are NumPy arrays in the axis order of the
framework. Parameters have the names that the framework uses.

- ``version() -> str`` returns the installed version.
- ``seed(number)`` (optional) seeds the framework. Leave out this function if the framework draws no weights.
- ``build(spec, arguments) -> layer`` builds the framework's Conv1d. ``arguments`` may contain ``padding``, ``padding_mode`` and
  ``bias``, with values that a user of the framework writes. It raises an exception for sizes and arguments that the framework
  refuses, and for those that would end the process.
- ``parameters(layer) -> {name: array}`` reads the parameters.
- ``give(layer, parameters)`` writes the parameters.
- ``run(layer, data) -> array`` returns the output.
- ``OUTPUT_PADDINGS`` (optional, only of transposed convolutions) lists values of ``output_padding`` to compare, each with every
  ``padding``.
- ``PADDINGS`` and ``PADDING_MODES`` (optional) list further values of ``padding`` and ``padding_mode`` to compare. The names in the
  policy are compared in any case.
- ``LAYERS_IN_A_ROW`` (optional, default 2) is the number of layers whose weights are drawn after each seed.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import ClassVar

import attrs

from convpolicy.parts.part import Part

MARK = "convpolicy-row "  # prefix of rows on stdout, which frameworks also print to
LAYERS = ("Conv1d", "ConvTranspose1d")  # the layers of a framework that are compared


@attrs.frozen(eq=False)
class Native(Part):
    """A real framework with which ``convpolicy verify`` compares a policy.

    Args:
        name: name of the policy.
        module: import path of the module that runs the framework. It runs in a separate process. See `convpolicy.verification.native`
            for the functions of the module. Empty if only the transposed convolution is compared.
        transposed: import path of the module that runs the framework's transposed convolution, with the same functions: ``build``
            gets a `ConvSpec` with ``transposed=True``, and its ``arguments`` may contain ``output_padding``. Empty if there is none.
        environment: environment variables of the separate process.
    """

    kind: ClassVar[str] = "native framework"
    module: str = attrs.field()
    transposed: str = attrs.field(default="", kw_only=True)
    environment: Mapping[str, str] = attrs.field(factory=dict, kw_only=True)

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of `LAYERS` for which there is a module."""
        return tuple(layer for layer, path in zip(LAYERS, (self.module, self.transposed)) if path)

    def load(self, layer: str = LAYERS[0]) -> ModuleType:
        """Import and return the module of a layer.

        Args:
            layer: one of `layers`.

        Raises:
            ImportError: the framework is not installed.
        """
        return importlib.import_module(self.module if layer == LAYERS[0] else self.transposed)

"""`Native`: the interface through which ``convpolicy verify`` runs a real framework.

A `Native` names a module with the following functions. All arrays are NumPy arrays in the axes and under the parameter names of the
framework.

- ``version() -> str`` returns the installed version.
- ``seed(number)`` (optional) seeds the framework. Leave it out if the framework draws no weights.
- ``build(spec, arguments) -> layer`` builds the framework's Conv1d. ``arguments`` may contain ``padding``, ``padding_mode`` and
  ``bias``, as a user writes them.
- ``parameters(layer) -> {name: array}`` reads the parameters.
- ``give(layer, parameters)`` writes the parameters.
- ``run(layer, data) -> array`` returns the output.
- ``PADDINGS`` and ``PADDING_MODES`` (optional) list arguments to compare in addition to the names of the policy.
- ``LAYERS_IN_A_ROW`` (optional, default 2) is the number of layers drawn after each seed.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import ClassVar

import attrs

from convpolicy.parts.part import Part

MARK = "convpolicy-row "  # prefix of rows on stdout, which frameworks also print to


@attrs.frozen(eq=False)
class Native(Part):
    """A real framework with which ``convpolicy verify`` compares a policy.

    Args:
        name: name of the policy.
        module: import path of the module that runs the framework, in a separate process. See `convpolicy.verification.native` for
            its functions.
        environment: environment variables of this process.
    """

    kind: ClassVar[str] = "native framework"
    module: str = attrs.field()
    environment: Mapping[str, str] = attrs.field(factory=dict, kw_only=True)

    def load(self) -> ModuleType:
        """Import and return the module.

        Raises:
            ImportError: the framework is not installed.
        """
        return importlib.import_module(self.module)

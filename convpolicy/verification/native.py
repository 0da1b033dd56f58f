"""The real frameworks behind one small interface, for `convpolicy verify` and nothing else.

A `Native` names a module with these functions; arrays are NumPy's, in the framework's own axes and under its own names:

- ``version() -> str``
- ``seed(number)`` (optional): the framework's own seeding function; a framework that draws no weights has none
- ``build(spec, words) -> layer``: its own Conv1d with weights, from sizes and the arguments a user would write in ``words``:
  ``padding``, ``padding_mode``, ``bias``
- ``parameters(layer) -> {name: array}``
- ``give(layer, parameters)``: write them
- ``run(layer, data) -> array``
- ``PADDINGS``, ``PADDING_MODES`` (optional): arguments to try beside the policy's own words
- ``LAYERS_IN_A_ROW`` (optional, 2): how many layers one seed draws in a row
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import ClassVar

import attrs

from convpolicy.parts.part import Part

MARK = "convpolicy-row "  # before every row that `natives.claims` prints; frameworks print much else


@attrs.frozen(eq=False)
class Native(Part):
    """The real framework that a policy claims to be.

    Args:
        name: the policy's.
        module: import path of the module that runs it, imported in a separate process; see `convpolicy.verification.native`.
        environment: variables that this process needs.
    """

    kind: ClassVar[str] = "native framework"
    module: str = attrs.field()
    environment: Mapping[str, str] = attrs.field(factory=dict, kw_only=True)

    def load(self) -> ModuleType:
        """Import the module.

        Raises:
            ImportError: the framework is not installed.
        """
        return importlib.import_module(self.module)

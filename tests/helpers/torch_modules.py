"""The inputs of torch's own module tests, from the installed torch."""

from __future__ import annotations

import importlib.util
import sys
import types
import unittest

import torch


def info_of(layer_class):
    """Torch's `ModuleInfo` of a class: inputs with and without a batch, and what its tests may expect of it."""
    if (
        "expecttest" not in sys.modules and importlib.util.find_spec("expecttest") is None
    ):  # torch's helpers derive a class from its one, for other tests
        sys.modules["expecttest"] = types.ModuleType("expecttest")
        sys.modules["expecttest"].TestCase = unittest.TestCase
    from torch.testing._internal.common_modules import module_db

    torch.backends.__allow_nonbracketed_mutation_flag = True  # which torch's helpers take away from everybody
    (info,) = (info for info in module_db if info.module_cls is layer_class)
    return info

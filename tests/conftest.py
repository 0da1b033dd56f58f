"""The core's own tests see no installed plugin; those of test_plugin_loading.py say which they want."""

from __future__ import annotations

import os

pytest_plugins = ["pytester"]  # a suite within a test, for the conformance kit

os.environ.setdefault("CONVPOLICY_LOAD_PLUGINS", "")

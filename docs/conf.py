"""How the site is built: ``sphinx-build -W -n --keep-going docs site``, or ``nox -s site``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

import convpolicy

project = "convpolicy"
author = "The convpolicy authors"
project_copyright = author
version = release = convpolicy.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "pictures",
    "gallery",
    "commands",
    "explorer_page",
    "repository",
]
exclude_patterns = ["extensions", "static"]
default_role = "code"  # `Policy` in a docstring
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # types of signatures; names of parts and frameworks are not pages

myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 4

autodoc_typehints = "none"  # the signature and the section Args say it
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = "convpolicy"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
html_show_sphinx = False

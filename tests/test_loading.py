"""What an import brings along, and what is said of a framework that is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FRAMEWORKS = ("torch", "mindspore", "tensorflow", "keras", "jax", "flax", "paddle", "matplotlib")
WATCHED = (*FRAMEWORKS, "click", "rich", "pluggy", "tomlkit", "hypothesis", "pytest")
LAYER = "convpolicy.Conv1d(2, 3, 3, padding='causal', policy='flax', seed=0)(numpy.ones((1, 2, 5), 'float32'))"


def loaded(tmp_path: Path, *codes: str) -> list[set[str]]:
    """Run codes in a fresh Python where every framework can be imported, as an empty module; return the watched ones after each."""
    for name in FRAMEWORKS:
        (tmp_path / f"{name}.py").touch()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]), "CONVPOLICY_LOAD_PLUGINS": ""}
    code = "import sys\n" + "\n".join(f"{code}\nprint(*sys.modules)" for code in codes)
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    return [set(WATCHED) & set(line.split()) for line in result.stdout.splitlines()]


USES = [
    f"import convpolicy, numpy; {LAYER}",
    "convpolicy.policy('mindspore').plan(4, length=9)",
    "convpolicy.port(convpolicy.Conv1d(1, 1, 1), to='numpy')",
    "convpolicy.compare('torch', 'mindspore', kernel_size=4, length=9)",
    "[backend.is_installed() for backend in convpolicy.backends().values()]",
    "convpolicy.translate('nn.Conv1d(2, 3, 3)')",
    "convpolicy.policy('torch').to_dict()",
    "convpolicy.policy('torch').save('p.json'); convpolicy.load_policy('p.json')",
]


@pytest.mark.parametrize(
    ("codes", "brought"),
    [
        (["import convpolicy", "import convpolicy.reference, convpolicy.comparison.drawing"], set()),
        (USES, {"pluggy"}),
        (["import convpolicy; convpolicy.policy('torch').save('p.toml')"], {"pluggy", "tomlkit"}),
        (["import convpolicy.cli.group; convpolicy.cli.group.build()"], {"pluggy", "click", "rich"}),
        (["import convpolicy.testing"], {"pluggy", "hypothesis"}),
        (["import convpolicy.testing as kit; kit.parametrize_with_checks([])"], {"pluggy", "hypothesis", "pytest"}),
    ],
    ids=["nothing", "uses", "toml", "command line", "kit", "kit in pytest"],
)
def test_what_is_loaded(tmp_path, codes, brought):
    """Importing convpolicy loads none of them; each use loads what it needs, and nothing but a framework's layer a framework."""
    assert loaded(tmp_path, *codes) == [brought] * len(codes)


def test_what_is_loaded_is_noticed(tmp_path):
    """The check above can fail: one import of any of them is seen, also one that forgives a missing module."""
    forgiven = [f"try:\n    import {name}\nexcept ImportError:\n    pass" for name in WATCHED]
    seen = loaded(tmp_path, "import convpolicy", *forgiven)
    assert seen[0] == set()
    assert all(name in after and name not in before for name, before, after in zip(WATCHED, seen, seen[1:]))


ABSENT = """
import sys
import convpolicy
sys.modules[{framework!r}] = None  # as if not installed
try:
    convpolicy.Conv1d(1, 1, 1, backend={framework!r})
except convpolicy.ConvPolicyError as error:
    print(isinstance(error, LookupError), error)
print(convpolicy.Conv1d(1, 1, 1, weight_init=0.5).weight)
"""


@pytest.mark.parametrize("framework", ["torch", "mindspore", "paddle"])
def test_a_missing_framework_names_its_installation(framework):
    """Without the framework its backend says how to install it, as a LookupError; the NumPy backend works."""
    code = ABSENT.format(framework=framework)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [
        f"True backend {framework!r} needs {framework}, which is not installed; run: pip install 'convpolicy[{framework}]'.",
        "[[[0.5]]]",
    ]

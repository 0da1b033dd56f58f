"""What importing brings along, in which direction modules import each other, and that every file can be read in one sitting.

The order of the modules is the table of docs/architecture.md. Every import counts but those for type checkers only, and but names
imported as strings: the plugins of the registry and what ``convpolicy.__getattr__`` brings on demand.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
MOST_LINES = 300

# -- what is loaded -------------------------------------------------------------------------------------------------------

FRAMEWORKS = ("torch", "mindspore", "tensorflow", "jax", "matplotlib")
WATCHED = (*FRAMEWORKS, "click", "rich", "pluggy", "cattrs", "tomlkit", "hypothesis", "pytest")
LAYER = "convpolicy.Conv1d(2, 3, 3, padding='causal', policy='flax', seed=0)(numpy.ones((1, 2, 5), 'float32'))"


def loaded(tmp_path: Path, code: str) -> set[str]:
    """Run code in a fresh Python where every framework can be imported, as an empty module; return the watched ones it has."""
    for name in FRAMEWORKS:
        (tmp_path / f"{name}.py").touch()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]), "CONVPOLICY_LOAD_PLUGINS": ""}
    code += "\nimport sys\nprint(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    return set(WATCHED) & set(result.stdout.split())


@pytest.mark.parametrize(
    ("code", "brought"),
    [
        ("import convpolicy", set()),
        ("import convpolicy.reference, convpolicy.comparison.drawing", set()),
        (f"import convpolicy, numpy; {LAYER}", {"pluggy"}),
        ("import convpolicy; convpolicy.policy('mindspore').plan(4, length=9)", {"pluggy"}),
        ("import convpolicy, numpy; convpolicy.port(convpolicy.Conv1d(1, 1, 1), to='numpy')", {"pluggy"}),
        ("import convpolicy; convpolicy.compare('torch', 'mindspore', kernel_size=4, length=9)", {"pluggy"}),
        ("import convpolicy; [backend.is_installed() for backend in convpolicy.backends().values()]", {"pluggy"}),
        ("import convpolicy; convpolicy.translate('nn.Conv1d(2, 3, 3)')", {"pluggy"}),
        ("import convpolicy; convpolicy.policy('torch').to_dict()", {"pluggy", "cattrs"}),
        ("import convpolicy; convpolicy.policy('torch').save('p.json'); convpolicy.load_policy('p.json')", {"pluggy", "cattrs"}),
        ("import convpolicy; convpolicy.policy('torch').save('p.toml')", {"pluggy", "cattrs", "tomlkit"}),
        ("import convpolicy.cli; convpolicy.cli.build()", {"pluggy", "cattrs", "click", "rich"}),
        ("import convpolicy.testing", {"pluggy", "cattrs", "hypothesis"}),
        ("import convpolicy.testing as kit; kit.parametrize_with_checks([])", {"pluggy", "cattrs", "hypothesis", "pytest"}),
    ],
)
def test_what_is_loaded(tmp_path, code, brought):
    """Importing convpolicy loads none of them; each use loads what it needs, and nothing but a framework's layer a framework."""
    assert loaded(tmp_path, code) == brought


@pytest.mark.parametrize("name", WATCHED)
def test_what_is_loaded_is_noticed(tmp_path, name):
    """The check above can fail: one import of any of them is seen, also one that forgives a missing module."""
    assert name in loaded(tmp_path, f"import convpolicy\ntry:\n    import {name}\nexcept ImportError:\n    pass")


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


@pytest.mark.parametrize("framework", ["torch", "mindspore"])
def test_a_missing_framework_names_its_installation(framework):
    """Without the framework its backend says how to install it, as a LookupError; the NumPy backend works."""
    code = ABSENT.format(framework=framework)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [
        f"True backend {framework!r} needs {framework}, which is not installed; run: pip install 'convpolicy[{framework}]'.",
        "[[[0.5]]]",
    ]


# -- the direction of imports ---------------------------------------------------------------------------------------------

HOMES = {  # package -> the modules that may import it, as patterns; the standard library may be imported anywhere
    "numpy": r"(?!errors$|arithmetic$).*",
    "attrs": r"(?!errors$|arithmetic$|reference$).*",
    "pluggy": "hookspecs",
    **dict.fromkeys(("cattrs", "tomlkit"), "policy_files"),
    "click": r"cli(\..*)?",
    "rich": r"cli(\..*)?|bars",
    "jinja2": r"cli\.new_plugin",
    "torch": r"builtin\.torch_.*|natives\..*|conversion\.torch_files",
    "mindspore": r"builtin\.mindspore_.*|natives\..*|conversion\.mindspore_files",
    **{name: rf"natives\.{name}" for name in ("keras", "paddle")},
    **dict.fromkeys(("flax", "jax"), r"natives\.flax_.*"),
    "packaging": r"policy|testing\.policies",
    "hypothesis": r"testing\..*",
    "pytest": r"testing\.parametrize",
    "safetensors": r"weights|conversion\.safetensors_files",
    "h5py": r"conversion\.h5_files",
}
LATE = {  # imported inside functions only, to keep `import convpolicy` light
    ("registry", "convpolicy.extensions.hooks"),
    ("policy_files", "tomlkit"),
    ("policy", "packaging.specifiers"),
    ("policy", "packaging.version"),
    ("tuning", "convpolicy.progress"),
    ("weights", "safetensors"),
    ("weights", "safetensors.numpy"),
    ("testing.policies", "packaging.specifiers"),
    ("testing.parametrize", "pytest"),
    ("cli.new_plugin", "jinja2"),
    ("policy", "convpolicy.core.plain_data"),
    ("policy", "convpolicy.layers.chain"),
}
JUDGES = {(judge, "reference") for judge in ("natives.cases", "diagnosis.computation", "builtin.torch_tuning")}  # need its bound
DOWN = {
    ("policy", "chains"),
    ("policy", "policy_files"),
}  # Policy.save hands over to the module below; inside functions, see LATE


class Import(NamedTuple):
    """One module imported by a module of the package; ``late`` inside a function."""

    module: str
    target: str
    late: bool


def imports(module: str, source: str, modules: set[str]) -> Iterator[Import]:
    """Yield every import of a module but those under ``if TYPE_CHECKING``."""

    def visit(node: ast.AST, late: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(module, alias.name, late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = f"convpolicy.{module}".split(".")[: -node.level or None] if node.level else []
            base = ".".join([*parents, *filter(None, [node.module])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield Import(module, inner if inner.removeprefix("convpolicy.") in modules else base, late)
        inside = late or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        children = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            children = node.orelse
        for child in children:
            yield from visit(child, inside)

    yield from visit(ast.parse(source), late=False)


def fault(found: Import, order: list[str]) -> str:
    """Return what is wrong with an import, or nothing."""
    module, target, late = found
    package, _, inner = target.partition(".")
    about = f"{module} imports {target}"
    if (module, target) in LATE and not late:
        return f"{about} outside a function"
    if package != "convpolicy":
        home = ".*" if package in sys.stdlib_module_names else HOMES.get(package, "nowhere")
        return "" if re.fullmatch(home, module) else f"{about}, which belongs elsewhere"
    above, here = inner.split(".")[0], module.split(".")[0]
    if here == "cli":
        return f"{about}, which is its own plugin's" if above == "builtin" else ""
    if (here, above) == ("testing", "builtin"):
        return f"{about}; it checks what is registered"
    if here == "__main__":
        return "" if above == "cli" else f"{about}; it only starts the command line"
    if here == "__init__":
        return f"{about}, which is loaded when used" if above in ("builtin", "cli", "reference", "") else ""
    if here == "reference":
        return "" if above == "errors" else f"{about}; it shares no code"
    if (module, inner) in JUDGES or (above == "reference" and here == "testing"):
        return ""
    if here == above and here != "builtin":  # the modules of one package
        return ""
    if here == above == "builtin":
        ours, theirs = (name.split(".")[1].split("_")[0] for name in (module, inner))  # the modules of one backend
        return "" if ours == theirs and theirs in ("torch", "mindspore") else f"{about}; built-in plugins do not know each other"
    if above not in order or order.index(above) >= order.index(here):
        return "" if (module, inner) in DOWN else f"{about}, which is not above it"
    return ""


def documented_order() -> list[str]:
    """Return the modules in the order of the table of docs/architecture.md."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?`) \|", text[text.index("| module | holds |") :].split("\n\n")[0], re.MULTILINE)
    return [name.rstrip("/") for row in rows for name in re.findall(r"`(.*?)`", row)]


def sources() -> dict[str, str]:
    """Return every module of the package, dotted, and its text; a package is named as the module it is."""
    paths = {path.relative_to(ROOT / "convpolicy").with_suffix(""): path for path in (ROOT / "convpolicy").rglob("*.py")}
    names = {".".join(path.parts).removesuffix(".__init__"): file for path, file in paths.items()}
    return {name: file.read_text(encoding="utf-8") for name, file in names.items()}


def faults(modules: dict[str, str]) -> list[str]:
    """Return what is wrong with the imports of all these modules."""
    found = [item for module, text in modules.items() for item in imports(module, text, {*sources(), *modules})]
    return [message for item in found if (message := fault(item, documented_order()))]


def test_imports_point_up():
    """Every module stands in the documented order and imports only what stands above it; each outside package has its home."""
    modules = sources()
    assert {name.split(".")[0] for name in modules} == {*documented_order(), "__init__", "__main__", "reference"}
    assert faults(modules) == []


def test_no_exception_is_stale():
    """Every exception above is made use of."""
    found = {item[:2] for module, text in sources().items() for item in imports(module, text, set(sources()))}
    assert found >= LATE
    assert found >= {(module, f"convpolicy.{target}") for module, target in DOWN}
    assert {target.split(".")[0] for _, target in found} >= {*HOMES, "convpolicy"}


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("errors", "from convpolicy.core.policy import Policy"),
        ("plan", "from convpolicy import policy"),
        ("plan", "def late():\n    from convpolicy.core.policy import Policy"),
        ("backends", "class Late:\n    from convpolicy.core.policy import Policy"),
        ("padding", "from .registry import current"),
        ("padding", "from . import registry"),
        ("builtin.layouts", "from ..cli import commands"),
        ("parts", "import convpolicy"),
        ("comparison", "from convpolicy.comparison.drawing import draw"),
        ("policy", "from convpolicy import policy_files"),
        ("factory", "from convpolicy.builtin import numpy_layer"),
        ("factory", "try:\n    import torch\nexcept ImportError:\n    pass"),
        ("factory", "def late():\n    import mindspore.nn"),
        ("builtin.padding_rules", "import torch"),
        ("builtin.backends", "from convpolicy.builtin import torch_layer"),
        ("builtin.layouts", "from convpolicy.builtin import padding_rules"),
        ("policy_files", "import tomlkit"),
        ("drawing", "from rich import print"),
        ("comparison", "import click"),
        ("arithmetic", "import numpy as np"),
        ("plan", "import scipy.stats"),
        ("policy", "from convpolicy import reference"),
        ("reference", "from convpolicy.parts.padding import PaddingMode"),
        ("policy", "from convpolicy.testing import check_policy"),
        ("testing.common", "import pytest"),
        ("testing.backends", "from convpolicy.builtin import numpy_layer"),
        ("policy", "import hypothesis"),
        ("__init__", "from convpolicy.builtin import torch_layer"),
        ("backends", "if TYPE_CHECKING:\n    import attrs\nelse:\n    from convpolicy.core.policy import Policy"),
    ],
)
def test_a_wrong_import_is_noticed(module, text):
    """The check above can fail: a downward, foreign or heavy import is found wherever it stands and however it is written."""
    assert len(faults({module: text})) == 1


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("backends", "if TYPE_CHECKING:\n    from convpolicy.core.policy import Policy"),
        ("policy", "def save():\n    from convpolicy import policy_files"),
        ("policy", "from . import registry\nfrom .plan import Plan\nimport os.path"),
    ],
)
def test_a_right_import_passes(module, text):
    """What is for type checkers only, late on purpose, or from above is no fault."""
    assert faults({module: text}) == []


# -- the length of files --------------------------------------------------------------------------------------------------


def too_long(folder: Path) -> list[str]:
    """Return the Python files of a folder that have more lines than can be read in one sitting."""
    return sorted(path.name for path in folder.rglob("*.py") if len(path.read_text(encoding="utf-8").splitlines()) > MOST_LINES)


def test_every_file_is_short(tmp_path):
    """No file of the library, tests, examples or benchmarks exceeds the limit, and one that did would be named."""
    for folder in ("convpolicy", "tests", "examples", "benchmarks"):
        assert too_long(ROOT / folder) == []
    (tmp_path / "short.py").write_text("x = 1\n" * MOST_LINES)
    (tmp_path / "long.py").write_text("x = 1\n" * (MOST_LINES + 1))
    assert too_long(tmp_path) == ["long.py"]

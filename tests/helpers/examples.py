"""The examples: their scripts, what each prints, what it imports and where it is run."""

from __future__ import annotations

from helpers.paths import EXAMPLES

SCRIPTS = sorted(EXAMPLES.glob("**/[0-9]*.py"))
NEEDS = {  # script, or its folder -> the frameworks that it imports; the others: NumPy
    "09_move_a_model": ("torch", "mindspore", "keras"),
    "10_a_whole_codec": ("torch", "transformers"),
    "13_stream_a_codec": ("torch", "transformers"),
    "mindspore_page": ("torch", "mindspore"),
}
PAPERS = {  # script -> file of tests/papers that runs it, in the environment of requirements/papers.txt
    "11_published_weights": "test_spliceai.py",
    "14_one_long_sequence": "test_enformer.py",
}


def name(script):
    """The path of a script in examples/, without its suffix."""
    return script.relative_to(EXAMPLES).with_suffix("").as_posix()


def needs(script):
    """The frameworks that a script imports."""
    return NEEDS.get(name(script).partition("/")[0], ())


def expected(script):
    """What a script prints."""
    return (EXAMPLES / "expected" / f"{name(script)}.txt").read_text(encoding="utf-8")

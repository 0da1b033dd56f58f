"""What a notebook shows of each object: a picture or a table as HTML, and a short line of text."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import convpolicy as cp
from convpolicy.conversion.results import Conversion, Converted
from convpolicy.layers.ported import Ported, PortedModel
from convpolicy.tuning import Tuning
from convpolicy.verification import Claim, Verification

MOST = 700  # characters of text in a cell
DATA = np.random.default_rng(0).standard_normal((1, 4, 9)).astype("float32")


def layer(**words):
    """A layer of the NumPy backend."""
    return cp.Conv1d(4, 8, 3, seed=0, **words)


OBJECTS = {  # what -> an object, and words that its HTML contains
    "plan": (lambda: cp.policy("torch").evolve(padding=2, padding_mode="reflect").plan(3, length=8), "copy of the sample"),
    "comparison": (lambda: cp.compare("torch", "keras", kernel_size=4, stride=2, length=10), "weight axes"),
    "comparison of one with itself": (lambda: cp.compare("torch", "torch", kernel_size=4, length=10), "do the same"),
    "chain": (lambda: cp.chain([("torch", 10, 5), ("torch", 3, 2)]), "receptive field 20"),
    "streaming": (lambda: cp.streaming([layer(padding=1), cp.Conv1d(8, 2, 4, 2)]), "1.pending</td>"),
    "policy": (lambda: cp.policy("mindspore"), "random_stream"),
    "policy of a paper": (lambda: cp.policy("paper/encodec"), "weight_norm"),
    "capture": (lambda: cp.capture(layer()), "(8, 4, 3)"),
    "diagnosis": (lambda: cp.why(layer(), layer(padding=1), DATA), "the change that helps"),
    "parts": (cp.padding_rules, "same_upper"),
    "verification": (lambda: Verification((Claim("torch", "2.13.0", "padding 'same'", "exact", 3, "<b>"),)), "&lt;b&gt;"),
    "conversion": (
        lambda: Conversion(Path("m.npz"), "torch", "keras", (Converted("a", "b", (3, 4, 8), "float32", "WIO"),), ("lost",)),
        "lost",
    ),
    "ported model": (lambda: PortedModel({}, (Ported("encoder.0", "Conv1d", "it is hooked"),), {}), "encoder.0"),
    "tuning": (lambda: Tuning(()), "the model has no Conv1d"),
    "modes": (cp.padding_modes, "1234, left 2, right 2 -&gt; 32|1234|32"),
}


class Balanced(HTMLParser):
    """Checks that every element ends."""

    def __init__(self):
        super().__init__()
        self.open, self.tags = [], set()

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.add(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("what", OBJECTS)
def test_each_object_shows_itself(what):
    """Its HTML is balanced, contains a picture or a table, needs no script and no address, and its text is short."""
    build, words = OBJECTS[what]
    shown = build()
    html, parser = shown._repr_html_(), Balanced()
    parser.feed(html)
    assert not parser.open
    assert words in html
    assert parser.tags & {"svg", "table", "pre"}
    assert "script" not in parser.tags
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "").replace("https://", "") or what == "policy of a paper"
    assert len(repr(shown)) < MOST
    assert "\n" not in repr(shown)
    assert str(shown)


def test_a_comparison_draws_both_plans():
    """One above the other, once where they are equal; without a plan the picture is empty."""
    for b, titles in (("mindspore", ["torch", "mindspore"]), ("keras", ["torch and keras"])):
        found = cp.compare("torch", b, kernel_size=4, stride=2, length=10)
        root = ET.fromstring(found.to_svg())
        bold = [text.text for text in root.iter() if text.get("font-weight") == "bold"]
        assert bold == titles
    refused = cp.compare("keras", "tensorflow", kernel_size=3, stride=2, dilation=2, length=9)
    assert (refused.to_svg(), refused.plans) == ("", (None, None))
    assert "refused" in refused._repr_html_() or "do the same" in refused._repr_html_()


def test_what_a_plugin_says_is_escaped():
    """A description with markup stands there as text."""
    mode = cp.PaddingMode("loud", lambda at, n: at * 0, description="<script>alert(1)</script>.")
    plugin = type("Loud", (), {"convpolicy_padding_modes": staticmethod(cp.hookimpl(lambda: [mode]))})
    cp.register(plugin, "loud")
    try:
        assert "<script>" not in cp.padding_modes()._repr_html_()
    finally:
        cp.unregister("loud")

"""The site is built without a warning, names everything that there is, and fits a phone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from helpers.browser import chromium
from helpers.explorer import plans_of
from helpers.once import once
from helpers.paths import ROOT

import convpolicy as cp
from convpolicy.cli import group
from convpolicy.explorer import plans

pytestmark = pytest.mark.needs("sphinx", "furo", "myst_parser", "sphinx_copybutton", "sphinx_design")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, which takes half a minute to build."""
    return once("site", tmp_path_factory, lambda: built(tmp_path_factory.mktemp("site") / "html"))


def built(folder):
    """Build the site in a folder and return it; a warning of Sphinx is an error."""
    words = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-n",
        "-W",
        "--keep-going",
        "-d",
        folder.parent / "trees",
        ROOT / "docs",
        folder,
    ]
    environment = {**os.environ, "CONVPOLICY_LOAD_PLUGINS": ""}
    result = subprocess.run(words, env=environment, capture_output=True, text=True, encoding="utf-8", check=False, timeout=300)
    assert result.returncode == 0, result.stderr
    assert not result.stderr
    return folder


class Anchors(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Collect what an element refers to and is referred to by."""
        values = dict(attrs)
        self.links |= {values[name] for name in ("href", "src") if values.get(name)}
        self.anchors |= {values[name] for name in ("id", "name") if values.get(name)}


def test_every_link_leads_somewhere(site):
    """Each relative link of each page names a file of the site, and an anchor in it; raw HTML of the directives too."""
    pages = {
        path.resolve(): Anchors(path.read_text(encoding="utf-8")) for path in site.rglob("*.html") if path.name != "explore.html"
    }
    broken = []
    for path, page in pages.items():
        for link in page.links:
            name, _hash, anchor = unquote(link).partition("#")
            if name.startswith(("http", "data:", "mailto:")):
                continue
            target = (path.parent / name.partition("?")[0]).resolve() if name else path
            if not target.exists() or (anchor and target in pages and anchor not in pages[target].anchors):
                broken.append((path.relative_to(site).as_posix(), link))
    assert len(pages) > 50
    assert not broken


def test_nothing_is_missing(site):
    """The reference has every public name and command, the gallery a picture of every rule and mode that is not an alias; the explorer is there."""
    api = (site / "reference" / "api.html").read_text(encoding="utf-8")
    assert [name for name in cp.__all__ if f'id="convpolicy.{name}"' not in api] == []
    commands = (site / "reference" / "command_line.html").read_text(encoding="utf-8")
    assert [name for name in group.build().commands if f'id="command-{name}"' not in commands] == []
    gallery = (site / "gallery.html").read_text(encoding="utf-8")
    kinds = {"padding-rule": cp.padding_rules(), "padding-mode": cp.padding_modes(), "crop-rule": cp.crop_rules()}
    cards = [
        f"{kind}-{name}" for kind, parts in kinds.items() for name, part in parts.items() if not getattr(part, "alias_of", None)
    ]
    assert [card for card in cards if f'id="{card.replace("_", "-")}"' not in gallery] == []
    assert gallery.count('role="img"') == len(cards)


def test_the_explorer(site):
    """The page of default sizes is one file under 500 KB with all plans, scripts and styles, that loads nothing."""
    path = site / "explore.html"
    assert 100_000 < path.stat().st_size < 500_000
    page = path.read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=|@import|url\((?!#)|fetch\(|https?://(?!www\.w3\.org)", page)
    found = plans_of(page)
    assert found["ranges"] == {name: list(pair) for name, pair in plans.Ranges()._asdict().items()}
    assert {policy["name"] for policy in found["policies"]} == set(cp.policies())


@pytest.mark.needs("playwright", "chromium")
def test_pages_fit_their_window(site):
    """No page scrolls sideways at the width of a phone, a tablet or a desk; the gallery's buttons show what they say."""
    pages = sorted(path for path in site.rglob("*.html") if path.name not in ("genindex.html", "search.html"))
    with chromium() as browser:
        window = browser.new_page()
        wide = []
        for path in pages:
            window.goto(path.as_uri(), wait_until="load")
            for width in (390, 820, 1440):
                window.set_viewport_size({"width": width, "height": 900})
                if window.evaluate("document.documentElement.scrollWidth") > width:
                    wide.append((width, path.relative_to(site).as_posix()))
        assert not wide
        window.goto((site / "gallery.html").as_uri())
        window.click("button[data-tag=causal]")
        shown = window.eval_on_selector_all(".card:not([hidden]) h3", "cards => cards.map(card => card.firstChild.data.trim())")
    everything = {**cp.padding_rules(), **cp.padding_modes()}
    assert set(shown) == {
        name for name, part in everything.items() if "causal" in part.declares and not getattr(part, "alias_of", None)
    }

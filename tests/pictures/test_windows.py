"""Pictures of plans: what stands in every cell is what is convolved, every window is where the plan says, and it is well-formed."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convpolicy as cp
from convpolicy.pictures import views
from convpolicy.pictures.columns import columns, kept
from convpolicy.pictures.windows import MARGIN, MOST_COLUMNS, picture

TORCH = cp.policy("torch")
MODES = [
    "zeros",
    "reflect",
    "replicate",
    "circular",
    "symmetric",
    "odd",
    "extrapolate",
    ("odd", "zeros"),
    cp.Choice("constant", value=1.5),
]
PLANS = st.builds(
    lambda mode, pads, kernel, stride, dilation, length: TORCH.evolve(padding=pads, padding_mode=mode).plan(
        kernel, stride, dilation, length=length
    ),
    st.sampled_from(MODES),
    st.tuples(st.integers(-2, 3), st.integers(-2, 3)),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(5, 60),
)
SVG = "{http://www.w3.org/2000/svg}"


def parsed(svg):
    """Return the root element, which parsing proves to be well-formed."""
    return ET.fromstring(svg)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(PLANS)
def test_every_column_is_what_is_convolved(plan):
    """The terms of each column, added up on random data, are the padded input; cut samples stand where they are cut."""
    data = np.random.default_rng(plan.length).standard_normal(plan.length)
    found = columns(plan)
    numbers = [
        sum(share * data[source] for share, source in cell.terms) if cell.kind != "constant" else float(cell.text)
        for _position, cell in sorted(found.items())
        if cell.kind != "cut"
    ]
    assert np.allclose(numbers, plan.padded(data[None])[0], rtol=1e-12, atol=1e-12)
    assert sum(cell.kind == "cut" for cell in found.values()) == sum(plan.cut)
    assert all(found[position].text == str(position + 1) for position in range(plan.length))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(PLANS)
def test_every_window_has_its_taps(plan):
    """Each bar has a dot at every tap that is shown, on the middle of that tap's cell, and the picture reads as XML."""
    svg = picture({"": plan})
    root = parsed(svg)
    dots = [float(dot.get("cx")) for dot in root.iter(f"{SVG}circle")][:-1]  # the last one is the legend's
    shown = kept(sorted(columns(plan)), MOST_COLUMNS)
    outputs = [output for output in kept(range(plan.length_out), 8) if output is not None]
    expected = []
    for output in outputs:
        taps = [plan.position(output, tap) for tap in range(plan.kernel_size)]
        places = [shown.index(tap) if tap in shown else shown.index(None) for tap in taps]
        expected += sorted({MARGIN + (place + 0.5) * 30 for place in places})
    assert dots == expected
    assert root.find(f"{SVG}title").text == str(plan)
    assert len(svg) < 60_000


def test_arcs_lead_to_the_samples():
    """One arc from each added element to each sample it is made of, in the colour of its kind."""
    plan = TORCH.evolve(padding=(2, 1), padding_mode="reflect").plan(3, length=6)
    paths = [path.get("d") for path in parsed(picture({"": plan})).iter(f"{SVG}path") if path.get("fill") == "none"]
    ends = [tuple(float(n) for n in (re.match(r"M([\d.]+) ", d)[1], re.search(r"([\d.]+) [\d.]+$", d)[1])) for d in paths]

    def middle(position):
        return MARGIN + (position + 2 + 0.5) * 30

    assert sorted(ends) == sorted((middle(at), middle(source)) for at, source in ((-2, 2), (-1, 1), (6, 4)))


def outlines(root):
    """The outlined rectangles of a picture, in order."""
    return [rect for rect in root.iter(f"{SVG}rect") if rect.get("stroke-width") == "2.5"]


def test_two_plans_on_one_ruler_show_what_differs():
    """The cells that only one of the plans has are outlined in it, and no others; both titles are there."""
    torch = TORCH.evolve(padding=1).plan(4, length=6)
    keras = cp.policy("keras").evolve(padding="same").plan(4, length=6)
    for plans in ({"torch": torch, "keras": keras}, {"keras": keras, "torch": torch}):
        root = parsed(picture(plans))
        cell, legend = outlines(root)  # the second zero on the right, which Keras alone has, and the legend
        assert (float(cell.get("x")), legend.get("width")) == (MARGIN + 8 * 30, "12")
        texts = [text.text for text in root.iter(f"{SVG}text")]
        assert {"torch", "keras", "differs between the plans"} <= set(texts)
    alike = parsed(picture({"a": torch, "b": torch}))
    assert not outlines(alike)
    assert "differs between the plans" not in [text.text for text in alike.iter(f"{SVG}text")]


def test_a_long_input_is_abbreviated():
    """Of a million samples thirty cells are drawn at most, first and last, and an ellipsis between them."""
    plan = TORCH.evolve(padding=(3, 2), padding_mode="circular").plan(3, length=1_000_000)
    root = parsed(picture({"": plan}))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"999998", "999999", "1000000", "1", "…"} <= set(texts)
    assert sum(rect.get("height") == "26" for rect in root.iter(f"{SVG}rect")) <= MOST_COLUMNS


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (cp.Choice("constant", value=[1.0, 2.0]), "Added on the left: c, c."),
        (cp.Choice("constant", value=0.0, learned=True), "Added on the left: w, w."),
        (cp.Choice("constant", value=-1.5), "Added on the left: -1.5, -1.5."),
        ("odd", "Added on the left: 2·1 - 3, 2·1 - 2."),
        ("reflect", "Added on the left: 3, 2."),
    ],
)
def test_the_text_alternative(mode, words):
    """The description says in words what the cells contain and what the first and the last output read."""
    said = parsed(picture({"": TORCH.evolve(padding=(2, 0), padding_mode=mode).plan(3, length=5)})).find(f"{SVG}desc").text
    assert words in said
    assert "Output 0 reads positions -1 to 1. Output 4 reads positions 3 to 5." in said


@pytest.mark.parametrize(("value", "drawn"), [(1.5, "3"), ([1.0, 2.0], "2·c"), (0.0, "0")])
def test_a_share_of_the_constant(value, drawn):
    """An element that is twice the constant is drawn so, not as the constant."""
    twice = cp.PaddingMode(
        "twice", lambda at, n: [(2.0, np.full_like(at, -1))], params={"value": cp.Param(0.0, kind="values")}, description="Twice."
    )
    plugin = type("Twice", (), {"convpolicy_padding_modes": staticmethod(cp.hookimpl(lambda: [twice]))})
    cp.register(plugin, "twice")
    try:
        plan = TORCH.evolve(padding=(1, 0), padding_mode=cp.Choice("twice", value=value)).plan(2, length=4)
        said = parsed(picture({"": plan})).find(f"{SVG}desc").text
    finally:
        cp.unregister("twice")
    assert f"Added on the left: {drawn}." in said


def test_only_what_is_shown_is_made(monkeypatch):
    """A picture of a long input makes the columns that it shows, and no others."""
    made = []
    monkeypatch.setattr(views, "columns", lambda plan, positions: made.append(positions) or columns(plan, positions))
    picture({"": TORCH.evolve(padding=(3, 2), padding_mode="circular").plan(3, length=100_000)})
    assert sum(map(len, made)) <= MOST_COLUMNS + 2 * views.MOST_DESCRIBED

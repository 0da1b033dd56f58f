"""The file that `translate_page(…).text` returns: every byte around the layers is kept, whatever the file looks like."""

from __future__ import annotations

from helpers.rewritten import Hole, assemble, judged
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import convpolicy as cp

CALLS = {
    "torch": ["nn.Conv1d(4, 8, 3)", "nn.Conv1d(  4, # in\n  8,\n\t3,\n padding = 1,)", "nn.Conv1d(d, 2 * d, 5, padding=pad(d), bias=False)",
              "torch.nn.Conv1d(4, 8, 3).half()", "nn.ConvTranspose1d(4, 8, kernel_size=4, stride=2)", "F.conv1d(x, (w\n + 1), None, 2)",
              "F.conv1d(F.conv1d(x, w, padding=1), w)"],
    "keras": ["layers.Conv1D(8, 3, 2, 'same', input_shape=(9, 4))", "layers.Conv1D( 8, # out\n 3, input_dim=2, activation='relu',)",
              "layers.DepthwiseConv1D(3, input_dim=2)", "tf.nn.conv1d(x, w, 1, 'SAME')"],
}  # fmt: skip
OTHERS = {
    "torch": ["nn.BatchNorm1d(3)", "F.conv_transpose1d(x, w)", "nn.Conv1d(*sizes)", "nn.LazyConv1d(8, 3)"],
    "keras": ["layers.Dense(3)", "layers.SeparableConv1D(3, 3)", "layers.Conv1D(*sizes)", "layers.Conv1D(8, 3)"],
}
HEADS = {
    "torch": ["import torch\nfrom torch import nn\nimport torch.nn.functional as F\n",
              ('#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n"""Docs: nn.Conv1d(1, 2, 3)\n"""\nfrom __future__ import annotations\nimport torch, os; from torch import nn\n'
              "try:\n    import keras\nexcept ImportError:\n    keras = None\nimport torch.nn.functional as F  # noqa\nnn_ = 3\n"),
              "# a licence\n\nimport torch; nn = torch.nn; F = nn.functional\n", "from torch import nn\nimport torch, torch.nn.functional as F\nown = 1\n\n\n"],
    "keras": ["import tensorflow as tf\nfrom tensorflow.keras import layers\n", '"""Docs."""; import keras\nlayers = keras.layers; import tensorflow as tf\n'],
}  # fmt: skip
AROUND = [  # templates of statements: {n} a number, {t} any text, {i} an indentation; CALL is the layer
    "c{n} = CALL  # end{n} {t}\n",
    "x{n} = wrap{n}(CALL, end{n})  # {t}\n",
    'y{n}: "Hint[int]" = pair{n}(1, CALL, end{n}); z{n} = "{t}"\n',
    "@deco{n}\ndef f{n}(a: int = 3, *, b: 'B' = (CALL, end{n})) -> None:\n{i}'''{t}\n  {t}'''\n{i}return  {{1:2}}\n",
    "class K{n}(Base):\n{i}# {t}\n{i}def __init__(self, d, /, *a, **k):\n{i}{i}self.c = CALL  # end{n}\n\n{i}{i}if  self.c :  pass\n",
    "s{n} = f'{{a!r:>{{w}}}} {t}' + g(CALL, end{n})\n",
    "v{n} = \\\n{i}h(CALL, end{n})\n",
    'm{n} = g("""{t}\n# {t}\n""", CALL, end{n})\n',
    "q{n} = nn_Sequential(\n{i}CALL, end{n},  # {t}\n{i}other,\n  )\n",
    "if a :\tb = [CALL, end{n}]\nelse: pass\n",
    "{t0}\x0c\n# {t}\n",
    "k{n} = [e for e in r if\n\n   (CALL, end{n})]\n",
]
LEFT = [
    'm{n} = g("""{t}\n {t}\n""", OTHER)\n',
    "v{n} = \\\n{i}h(OTHER)\n",
    "o{n} = OTHER  # {t}\n",
    "def g{n}(a=f'{{OTHER}}'): return OTHER  # {t}\n",
    "p{n} = (OTHER, isinstance(x, {t0}int))\n",
]
TEXT = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Zl", "Zp"], blacklist_characters="\"'\\{}"), max_size=12)


@st.composite
def files(draw):
    """(source, target, pieces): a file of one framework, with holes where its layers are."""
    source = draw(st.sampled_from(sorted(CALLS)))
    target = draw(st.sampled_from(sorted({"torch", "keras", "mindspore", "paddle", "flax"} - {source})))
    indent, ends = draw(st.sampled_from(["    ", "\t", "  "])), draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    pieces = [draw(st.sampled_from(["", "\ufeff"])), draw(st.sampled_from(HEADS[source]))]
    for number in range(draw(st.integers(1, 6))):
        template = draw(st.sampled_from(AROUND + LEFT)) if number else AROUND[draw(st.integers(0, 2))]
        text = template.format(n=number, t=draw(TEXT), t0="", i=indent)
        text = text.replace("OTHER", draw(st.sampled_from(OTHERS[source])))
        before, hole, after = text.partition("CALL")
        pieces += [before, Hole(draw(st.sampled_from(CALLS[source]))), after] if hole else [before]
    last = pieces.pop()
    pieces.append(last.removesuffix("\n") if draw(st.booleans()) else last)
    return source, target, [Hole(p.call.replace("\n", ends)) if isinstance(p, Hole) else p.replace("\n", ends) for p in pieces]


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(files())
def test_every_other_byte_is_kept(case):
    """Whatever stands around the layers: the pieces are there in order, only known additions between them, and all of it parses."""
    source, target, pieces = case
    text = assemble(pieces)
    page = cp.translate_page(text, source, target)
    judge = judged(pieces, page.text)
    asked = [piece.call for piece in pieces if isinstance(piece, Hole)]
    assert len(judge.replaced) == len(asked)
    kept = [code for code, call in zip(judge.replaced, asked) if code == call]
    assert len(kept) <= sum(not _is_expressible(call, target) for call in asked), (kept, target)


def _is_expressible(call, target):
    """Whether a target can have this call: some must compute a size twice, some have no name for a padding."""
    return not ("pad(d)" in call and target in ("keras", "flax"))

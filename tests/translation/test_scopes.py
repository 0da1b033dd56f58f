"""The scopes of a file are Python's own: the standard library's `symtable` is the judge, on the standard library's modules."""

from __future__ import annotations

import ast
import collections
import importlib.util
import symtable
from pathlib import Path

import pytest

from convpolicy.translation.bindings import Page
from convpolicy.translation.scopes import Scope

MODULES = ("dataclasses", "enum", "typing", "ast", "inspect", "asyncio.tasks", "contextlib", "argparse", "difflib", "statistics")
HARD = """
import a.b, c.d as e
from . import f
from g import *
def one(p, /, q, *r, s=(t := 1), **u):
    global v, w
    v = [x for x in q if (y := x)]
    def two():
        nonlocal q
        q = 1
        class three:
            z = q
            def four(self): return z, (lambda aa, *bb: (aa, cc))
        for dd, (ee, *ff) in p: pass
        with open(p) as gg, open(q) as (hh, ii): del dd
        try: pass
        except E as jj: jj
        kk: int
        ll: int = 1
        match p:
            case [mm, *nn]: pass
            case {"a": oo, **pp}: pass
            case C(x=qq) as rr: pass
        return {ss: {tt for tt in uu} for ss, uu in p}, (vv for vv in (ww for ww in p))
async def five():
    async for xx in p: yy += 1
    async with p as zz: import m.n; from o import q as r
"""


def tables(table):
    """Every table of names, the outermost first."""
    yield table
    for child in table.get_children():
        yield from tables(child)


def of_python(text):
    """(kind, name, bound names) of every scope, counted."""
    counts = collections.Counter()
    every = list(tables(symtable.symtable(text, "page", "exec")))
    shared = [s.get_name() for table in every[1:] for s in table.get_symbols() if s.is_declared_global() and binds(s)]
    for table in every:
        kind = str(getattr(table.get_type(), "value", table.get_type()))
        if kind in ("module", "function", "class"):
            bound = [s.get_name() for s in table.get_symbols() if (s.is_local() or kind == "module") and binds(s)]
            bound += shared if kind == "module" else []
            counts[kind, named(table.get_name()), plain(bound)] += 1
    return counts


def binds(symbol):
    """Whether the scope itself binds a name, as an annotation alone does too."""
    return symbol.is_assigned() or symbol.is_imported() or symbol.is_parameter() or symbol.is_annotated()


def of_page(text):
    """The same of the page's scopes that read a name."""
    page = Page.of(ast.parse(text))
    scopes = {id(page.module): page.module}
    for use in page.uses:
        inside = use.scope
        while inside is not None:
            scopes[id(inside)] = inside
            inside = inside.parent
    counts = collections.Counter()
    for inside in scopes.values():
        kind = "function" if inside.kind == "comprehension" else inside.kind
        bound = [name for name in inside.bindings if name not in inside.declared]
        counts[kind, named(inside.name), plain(bound)] += 1
    return counts


def named(name):
    """Comprehensions, lambdas and the module have names of their own in each; they are told apart by what they bind."""
    return "" if name in ("top", "lambda", "a lambda", "listcomp", "setcomp", "dictcomp", "genexpr") else name


def plain(names):
    """Without the names that Python adds or mangles."""
    return frozenset(name for name in names if not name.startswith((".", "__")) and "__" not in name.strip("_"))


def texts():
    """Ten modules of the standard library, and a page of everything that binds a name."""
    yield "hard", HARD
    for name in MODULES:
        yield name, Path(importlib.util.find_spec(name).origin).read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "text"), list(texts()), ids=["hard", *MODULES])
def test_scopes_bind_what_python_binds(name, text):
    """Every scope that reads a name binds exactly the names that Python's own compiler says."""
    page, python = of_page(text), of_python(text)
    assert not page - python, (page - python, python - page)
    assert sum(page.values()) > 5


@pytest.mark.parametrize("wrong", [
    lambda self, name, binding: self.bindings.setdefault(name, []).append(binding),  # ignores global
    lambda self, name, binding: self.module.bindings.setdefault(name, []).append(binding),  # one table for the whole file
])  # fmt: skip
def test_wrong_scopes_are_noticed(monkeypatch, wrong):
    """A page that ignores ``global``, and one that has a single table for all scopes, differ from Python."""
    monkeypatch.setattr(Scope, "bind", wrong)
    assert of_page(HARD) - of_python(HARD)


def test_who_reads_what():
    """A class's names are read in its body alone; ``global`` and ``nonlocal`` name outer ones; a comprehension's walrus goes out."""
    text = "x = 1\nclass A:\n    x = 2\n    y = x\n    def f(self):\n        return x\ndef g():\n    x = 3\n    def h():\n        nonlocal x\n        x = 4\n        return [x for _ in x]\n"
    page = Page.of(ast.parse(text))
    owners = [use.scope.owner("x") for use in page.uses if use.text == "x"]
    assert [(owner.kind, owner.name) for owner in owners] == [
        ("class", "A"),
        ("module", ""),
        ("function", "g"),
        ("function", "g"),
    ]
    assert [binding.line for binding in owners[2].bindings["x"]] == [8, 11]

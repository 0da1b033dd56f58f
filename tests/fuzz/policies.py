"""Policy files, mutated in their values and in their text: a sentence, or a policy that a file gives back and that can be used."""

from __future__ import annotations

import copy
import json
import pathlib
import random
from typing import Any

import tomlkit

import convpolicy as cp

NAME = "policies"
WORDS = ("schema", "name", "padding", "padding_mode", "weight_init", "bias_init", "layout", "padding_names", "mode_names", "init_names",
         "paper", "weight_norm", "overflow", "values", "value", "left", "std", "fan", "", "é", "a" * 300, "\x1b[2J", "\u202e")  # fmt: skip
VALUES: tuple[Any, ...] = (
    0, 1, 2, 3, -1, 2**63, 10**4300, 1.5, -0.0, 1e308, 5e-324, float("nan"), float("inf"), True, False, None, "", "same", "valid",
    "torch", "reflect", "periodic", "orthogonal", "OIW", "NWC", [], [1, 2], [[1], [2, 3]], [[[0.5]]], {}, {"name": "explicit", "left": 2},
    {"name": "constant", "value": 1e999}, {"name": 3}, {"name": "array", "values": [[[1, 2]]]}, ["a"] * 50, "x" * 5000, ">=2,<3", "1.2.3",
)  # fmt: skip
PIECES = ("=", "[", "]", "{", "}", '"', "'", ",", "\n", ".", "#", "\\", '"""', "'''", "[[a]]", "1979-05-27", "0x", "9" * 4400, "1e999", "\\ud800",
          "\0", "\x7f", "\ufeff", "é", "inf", "nan", "true", "null", "padding = 1\n", '"name": "b",', "[paper]\n", "[paper.numbers]\n")  # fmt: skip


def changed(draw: random.Random, data: Any) -> Any:
    """Return plain data with one value, anywhere in it, changed, removed, renamed or doubled."""
    if isinstance(data, dict) and data and draw.random() < 0.9:
        data, key = dict(data), draw.choice(list(data))
        choice = draw.random()
        if choice < 0.5:
            data[key] = changed(draw, data[key])
        elif choice < 0.65:
            del data[key]
        elif choice < 0.8:
            data[draw.choice(WORDS)] = data.pop(key)
        else:
            data[draw.choice(WORDS)] = draw.choice(VALUES)
        return data
    if isinstance(data, list) and data and draw.random() < 0.7:
        place = draw.randrange(len(data))
        return [*data[:place], changed(draw, data[place]), *data[place + draw.randint(0, 1) :]]
    return copy.deepcopy(draw.choice(VALUES))


def written(draw: random.Random, data: Any, suffix: str) -> str:
    """Return the text of a file, or of one as near to it as the format has."""
    if suffix == ".json":
        try:
            return json.dumps(data, ensure_ascii=draw.random() < 0.5)
        except ValueError:  # an integer too long to write
            return "{"
    try:
        return tomlkit.dumps(data if isinstance(data, dict) else {"a": data})
    except Exception:  # None, which TOML has not
        return "schema = 1\n"


def torn(draw: random.Random, text: str) -> str:
    """Return a text with pieces put in, taken out or doubled."""
    for _ in range(draw.choice((0, 0, 0, 0, 0, 1, 2))):
        start = draw.randrange(len(text) + 1)
        end = start + draw.randint(0, 12)
        text = text[:start] + draw.choice((draw.choice(PIECES), "", 2 * text[start:end], text[end : end + 40])) + text[end:]
    return text


def case(draw: random.Random, folder: pathlib.Path) -> bool:
    """Load one file, and use what it gives.

    Raises:
        AssertionError: a policy that its own file does not give back.
    """
    suffix, data = draw.choice((".toml", ".json")), cp.policy(draw.choice(cp.policies())).to_dict()
    for _ in range(draw.choice((0, 1, 1, 2, 3))):
        data = changed(draw, data)
    content = torn(draw, written(draw, data, suffix)).encode("utf-8", "surrogatepass")
    if draw.random() < 0.05:
        content = content[: draw.randrange(len(content) + 1)] + bytes([draw.randrange(256)])
    path = folder / f"p{suffix}"
    path.write_bytes(content)
    try:
        policy = cp.load_policy(path)
    except (cp.ConvPolicyError, OSError) as error:
        said(error)
        return False
    for other in (".toml", ".json"):
        try:
            policy.save(folder / f"again{other}")
        except cp.ConvPolicyError as error:
            said(error)
            continue
        again = cp.load_policy(folder / f"again{other}")
        assert (again, hash(again)) == (policy, hash(policy)), content
    kernel, stride, length = draw.randint(1, 5), draw.randint(1, 3), draw.randint(0, 12)
    for use in (
        lambda: policy.plan(kernel, stride, length=length),
        lambda: policy.initial(2, 4, kernel, seed=draw.randrange(9)),
        lambda: cp.compare(policy, "torch", kernel_size=kernel, stride=stride, length=length),
        lambda: str(policy),
    ):
        try:
            use()
        except cp.ConvPolicyError as error:
            said(error)
    return True


def said(error: Exception) -> None:
    """Hold an error to its form: one line, which no terminal obeys.

    Raises:
        AssertionError: it is longer, or has control characters.
    """
    text = str(error)
    assert "\n" not in text, text
    assert len(text) < 20_000, text[:500]

"""Policies of published models: one TOML file each in this folder, read on first use."""

from __future__ import annotations

from functools import partial
from importlib.resources import files

from convpolicy.core.policy import Policy
from convpolicy.registry.deferred import Deferred
from convpolicy.registry.marks import hookimpl

PREFIX = "paper/"
SUFFIX = ".toml"


def _read(file_name: str) -> Policy:
    from convpolicy.core.named import read_policy  # imported late, with tomlkit, for the first policy of a paper

    text = files(__name__).joinpath(file_name).read_text(encoding="utf-8")
    policy: Policy = read_policy(text, file_name)
    return policy


@hookimpl
def convpolicy_policies() -> list[Deferred]:
    """Return the policies of published models; their files are read on first use."""
    names = sorted(file.name for file in files(__name__).iterdir() if file.name.endswith(SUFFIX))
    return [Deferred("policy", PREFIX + name.removesuffix(SUFFIX), partial(_read, name)) for name in names]

"""`verify`: every installed framework against the policies that claim to be it, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs

from convpolicy import registry
from convpolicy.core.named import policy as named_policy
from convpolicy.errors import InvalidValueError, shown
from convpolicy.verification.native import MARK, Native

FAILED = ("differs", "crashed")
LAST_WORDS = 300  # characters of a crashed process's stderr that a report keeps


@attrs.frozen
class Claim:
    """One claim of one policy, measured.

    Attributes:
        policy: its name.
        version: of the installed framework, empty when it is not installed.
        claim: what was compared.
        verdict: ``exact``, ``within tolerance``, ``differs``, ``not installed``, ``not checked`` or ``crashed``.
        cases: sizes compared.
        detail: how far, or what differs.
    """

    policy: str
    version: str
    claim: str
    verdict: str
    cases: int
    detail: str


@attrs.frozen(repr=False)
class Verification:
    """Every claim measured on this machine."""

    claims: tuple[Claim, ...]

    @property
    def failed(self) -> tuple[Claim, ...]:
        """The claims that do not hold here."""
        return tuple(claim for claim in self.claims if claim.verdict in FAILED)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, ready for JSON."""
        return {"failed": len(self.failed), "claims": [attrs.asdict(claim) for claim in self.claims]}

    def _repr_html_(self) -> str:
        from convpolicy.pictures.table import table  # here: only to show it

        rows = [(claim.policy, claim.version, claim.claim, claim.verdict, claim.detail) for claim in self.claims]
        return table(("policy", "version", "claim", "verdict", "detail"), rows, repr(self))

    def __repr__(self) -> str:
        return f"Verification({len(self.claims)} claims, {len(self.failed)} of them failed)"

    def __str__(self) -> str:
        return "\n".join(
            f"{claim.policy} {claim.version}: {claim.claim}: {claim.verdict}" + (f" ({claim.detail})" if claim.detail else "")
            for claim in self.claims
        )


def verify(
    policies: Iterable[str] | None = None,
    backends: Iterable[str] | None = None,
    *,
    progress: Callable[[Claim], None] | None = None,
) -> Verification:
    """Run the installed frameworks against the policies that claim to be them.

    Args:
        policies: names; None for every policy that claims a framework.
        backends: also compare the layers these backends build with the framework's own; None for ``numpy`` and the
            framework's own backend.
        progress: called with every claim as soon as it is measured.

    Returns:
        A printable `Verification`. A framework that is not installed, or crashes, is a row and not the end.

    Raises:
        UnknownNameError: an unknown policy or backend.
        InvalidValueError: a policy that claims no framework.
    """
    natives = registry.current().parts("native framework")
    wanted = list(natives) if policies is None else [named_policy(name).name for name in policies]
    for name in wanted:
        if name not in natives:
            raise InvalidValueError(
                f"policies must claim a framework that can be run, got {shown(name)}; pick from {', '.join(natives)}."
            )
    chosen = None if backends is None else [registry.current().get("backend", name).name for name in backends]
    claims = []
    for name in wanted:
        for claim in _measured(natives[name], ["numpy", *_own_backends(natives[name])] if chosen is None else chosen):
            claims.append(claim)
            if progress is not None:
                progress(claim)
    return Verification(tuple(claims))


def _own_backends(native: Native) -> list[str]:
    """Return the backends that run in the process of a policy's framework."""
    framework = named_policy(native.name).framework
    parts = registry.current().parts("backend").values()
    return [part.name for part in parts if part.framework == framework and part.environment == native.environment]


def _command(name: str, backends: list[str]) -> list[str]:
    return [sys.executable, "-m", "convpolicy.verification.claims", name, *backends]


def _measured(native: Native, backends: list[str]) -> Iterator[Claim]:
    version = ""
    for found in rows(_command(native.name, backends), native.environment):
        version = found.pop("version", version)
        if crash := found.pop("crash", None):
            yield Claim(native.name, version, "process", "crashed", 0, crash)
        elif found:
            yield Claim(native.name, version, **found)


def rows(command: list[str], environment: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Run a process and yield the rows it prints behind `MARK`, as they come; a last one with ``crash`` if it fails."""
    with subprocess.Popen(  # noqa: S603 - this Python, this package, and names checked before
        command,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        errors: list[str] = []
        reader = threading.Thread(target=errors.extend, args=(process.stderr,))  # a full pipe would stop the process
        reader.start()
        for line in process.stdout:
            if line.startswith(MARK):
                yield json.loads(line.removeprefix(MARK))
        reader.join()
    if process.returncode:
        said = " ".join("".join(errors).split())[-LAST_WORDS:]
        yield {"crash": f"exit status {process.returncode}: {said}"}

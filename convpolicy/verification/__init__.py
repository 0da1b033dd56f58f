"""`verify`: compare policies with the installed frameworks, each framework in a separate process."""

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
MOST_STDERR = 300  # last characters of the stderr of a crashed process that a report contains


@attrs.frozen
class Claim:
    """Result of one comparison of a policy with its framework.

    Attributes:
        policy: name of the policy.
        version: installed version of the framework. Empty if the framework is not installed.
        claim: the property that was compared, e.g. ``"padding by default"``.
        verdict: ``exact``, ``within tolerance``, ``differs``, ``not installed``, ``not checked`` or ``crashed``.
        cases: number of layer configurations compared.
        detail: the difference between policy and framework, or the reason for the verdict.
    """

    policy: str
    version: str
    claim: str
    verdict: str
    cases: int
    detail: str


@attrs.frozen(repr=False)
class Verification:
    """Report of `verify` for this machine.

    Print the object to see one line per claim.
    """

    claims: tuple[Claim, ...]

    @property
    def failed(self) -> tuple[Claim, ...]:
        """The claims with the verdict ``differs`` or ``crashed``."""
        return tuple(claim for claim in self.claims if claim.verdict in FAILED)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
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
    """Compare policies with the installed frameworks.

    The real layers of each framework run in a separate process. `verify` compares them with the policy, and with the layers that
    backends build for the policy. It compares:

    - default arguments
    - padding
    - outputs
    - initial weights

    Claims about the framework's transposed convolution start with ``"transposed: "``. They are made for the policies whose framework
    has a module for it; see `Native`.

    Args:
        policies: names of policies. None selects the policies that describe a framework.
        backends: names of the backends whose layers are compared. None selects ``numpy`` and the backend of the framework.
        progress: function that is called with each `Claim` as soon as its result is known.

    Returns:
        A `Verification`. If a framework crashes or is not installed, a claim has the verdict ``crashed`` or ``not installed``.

    Raises:
        UnknownNameError: a policy or backend is not registered.
        InvalidValueError: a policy does not describe a framework.
    """
    natives = registry.current().parts("native framework")
    names = list(natives) if policies is None else [named_policy(name).name for name in policies]
    for name in names:
        if name not in natives:
            raise InvalidValueError(
                f"policies must be policies of a framework, got {shown(name)}; pick from {', '.join(natives)}."
            )
    chosen = None if backends is None else [registry.current().get("backend", name).name for name in backends]
    claims = []
    for name in names:
        for claim in _measured(natives[name], ["numpy", *_own_backends(natives[name])] if chosen is None else chosen):
            claims.append(claim)
            if progress is not None:
                progress(claim)
    return Verification(tuple(claims))


def _own_backends(native: Native) -> list[str]:
    """Return the names of the backends of a policy's framework that run in its process."""
    framework = named_policy(native.name).framework
    parts = registry.current().parts("backend").values()
    return [part.name for part in parts if part.framework == framework and part.environment == native.environment]


def _command(name: str, backends: list[str]) -> list[str]:
    return [sys.executable, "-m", "convpolicy.verification.claims", name, *backends]


def _measured(native: Native, backends: list[str]) -> Iterator[Claim]:
    version = ""
    for row in rows(_command(native.name, backends), native.environment):
        version = row.pop("version", version)
        if crash := row.pop("crash", None):
            yield Claim(native.name, version, "process", "crashed", 0, crash)
        elif row:
            yield Claim(native.name, version, **row)


def rows(command: list[str], environment: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Run a process and yield the rows that it prints after `MARK`; if it fails, the last row has the key ``crash``."""
    with subprocess.Popen(  # noqa: S603 - this Python, this package, and names that were checked
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
        reader = threading.Thread(target=errors.extend, args=(process.stderr,))  # a full pipe would block the process
        reader.start()
        for line in process.stdout:
            if line.startswith(MARK):
                yield json.loads(line.removeprefix(MARK))
        reader.join()
    if process.returncode:
        message = " ".join("".join(errors).split())[-MOST_STDERR:]
        yield {"crash": f"exit status {process.returncode}: {message}"}

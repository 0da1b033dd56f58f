"""Comparison of the code that a dialect writes with what it reads back; no framework is needed."""

from __future__ import annotations

import math
from typing import Any

import attrs

from convpolicy.parts.distribution import Distribution
from convpolicy.testing.common import refuses, require
from convpolicy.testing.dialect_cases import LENGTHS, policy_of
from convpolicy.translation.dialect import Dialect
from convpolicy.translation.distributions import distribution_of, in_numbers
from convpolicy.translation.reading import SIZES, Request
from convpolicy.translation.snippets import Snippet
from convpolicy.translation.values import code_of


def judge(dialect: Dialect, request: Request, snippet: Snippet, result: Request, about: str) -> None:
    """Require that the layer read back is the one that was written, apart from differences stated in a comment."""
    target = dialect.target_class(request.layer)
    for name in SIZES:
        _same(name, request.values[name], result.values[name], about)
    _same("bias", request.bias, result.bias, about)
    notes = (*snippet.notes, *result.notes)
    if not any("dtype" in note for note in notes):
        _same("dtype", request.dtype or "float32", result.dtype or "float32", about)
    if result.activation is not None or "activation" in target.names:
        _same("activation", request.activation, result.activation, about)
    padding = target.padding(request)
    if not any(note.startswith("pads:") for note in result.notes):
        same = _same_crop if request.transposed else _same_pads
        same(request, result, about, around=bool(padding.before or padding.after))
    own = policy_of(dialect, request.layer)
    for role in ("weight", "bias") if request.bias is not False else ("weight",):
        tensor = getattr(own.part("layout")[0], role)
        if not any(
            "initial" in note or f".{tensor}" in note for note in result.notes
        ):  # otherwise a comment states the difference
            default = any(note.startswith(f"initial {role}:") for note in snippet.notes)
            _same_values(role, attrs.evolve(request, policy=own) if default else request, result, about)


def _same(name: str, expected: Any, actual: Any, about: str) -> None:
    one, two = (value if isinstance(value, (str, type(None))) else code_of(value) for value in (expected, actual))
    require(one == two, f"it writes {name} {one}, but reads it back as {two}, {about}.")


def _lengths(request: Request) -> tuple[int, ...]:
    return (request.length,) if request.length is not None else LENGTHS


def _same_crop(request: Request, result: Request, about: str, *, around: bool) -> None:
    """Compare what is cut at several lengths; with layers around it, the transposed convolution must cut nothing."""
    spec = request.spec
    nothing = ((0, 0, "zeros"), (0, min(spec.effective_kernel - spec.stride, 0), "zeros"))  # the second appends zeros
    for length in _lengths(request):
        expected, actual = (_cut(each, length) for each in (request, result))
        if expected is None:
            continue
        where = " in layers around the convolution" if around else ""
        require(
            actual in (nothing if around else (expected,)),
            f"it writes the crop{where}, but the convolution itself cuts (left, right, mode) {actual} instead of "
            f"{nothing[0] if around else expected} at length {length}, {about}.",
        )


def _cut(request: Request, length: int) -> tuple[Any, ...] | None:
    plan = _plan(request, length)
    return None if plan is None else (plan.left, plan.right, plan.mode if max(plan.left, plan.right) > 0 else "zeros")


def _plan(request: Request, length: int) -> Any:
    spec = request.spec
    return refuses(lambda: request.policy.plan(spec.kernel_size, spec.stride, spec.dilation, length=length))


def _same_pads(request: Request, result: Request, about: str, *, around: bool) -> None:
    """Compare the padding at several lengths; if a layer before the convolution pads, the convolution must not."""
    for length in _lengths(request):
        expected = (0, 0, None) if around else _added(request, length)
        actual = _added(result, length)
        if expected is None:
            continue
        where = " in a layer before the convolution" if around else ""
        require(
            actual == expected,
            f"it writes the padding{where}, but the convolution itself pads (left, right, mode) {actual} instead of {expected} at length {length}, "
            f"{about}.",
        )


def _added(request: Request, length: int) -> tuple[Any, ...] | None:
    plan = _plan(request, length)
    if plan is None:
        return None
    mode = request.policy.padding_mode
    description = (mode.name, tuple((name, value) for name, value in mode.params if name != "overflow"))
    return plan.left, plan.right, description if plan.left > 0 or plan.right > 0 else None


def _same_values(role: str, request: Request, result: Request, about: str) -> None:
    one, two = (distribution_of(each.policy, role) for each in (request, result))
    if one is not None and two is not None and one.kind != two.kind:
        one, two = in_numbers(one, request), in_numbers(two, result)
    require(
        one is not None and two is not None and _alike(one, two),
        f"it writes the initial {role} {_shown(one)}, but reads it back as {_shown(two)}, {about}; write a comment if it differs.",
    )


def _shown(distribution: Distribution | None) -> str:
    return "of unknown distribution" if distribution is None else f"{distribution.kind} {dict(distribution.parameters)}"


def _alike(one: Distribution, two: Distribution) -> bool:
    if one.kind != two.kind or set(one.parameters) != set(two.parameters):
        return False
    pairs = [(one.parameters[name], two.parameters[name]) for name in one.parameters]
    return all(
        math.isclose(a, b, abs_tol=1e-12) if isinstance(a, float) and isinstance(b, float) else code_of(a) == code_of(b)
        for a, b in pairs
    )

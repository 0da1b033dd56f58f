"""Test layers for dialects, and the comparison of the code they write with what they read back; no framework is needed."""

from __future__ import annotations

import ast
import builtins
import math
from typing import Any, NamedTuple

import attrs
from hypothesis import strategies as some

from convpolicy.core.named import policy as named_policy
from convpolicy.parts.choice import Choice
from convpolicy.parts.distribution import Distribution
from convpolicy.testing.common import refuses, require
from convpolicy.testing.ladder import ConformanceError
from convpolicy.translation.calls import Context
from convpolicy.translation.dialect import Dialect
from convpolicy.translation.distributions import distribution_of, in_numbers
from convpolicy.translation.pages import known_paths
from convpolicy.translation.reading import SIZES, Request
from convpolicy.translation.source_file import Pair, SourceFile
from convpolicy.translation.values import Expression, code_of
from convpolicy.translation.writing import Snippet, write

CHANNELS = 4
LENGTHS = (9, 10, 11, 12)  # input lengths at which paddings are compared
FEW = 7  # samples, for layers with a known input length
PADDINGS = (
    0, 1, 2, (1, 2), (2, 0), "valid", "same_upper", "same_lower", "torch_same", "same_static", "half", "full", "causal", "semicausal",
    Choice("crop", left=1, right=1), Choice("crop", left=0, right=2),
)  # fmt: skip
MODES = (
    "zeros", "reflect", "replicate", "circular", "symmetric", Choice("constant", value=1.5), "odd",
    Choice("circular", overflow="periodic"), Choice("per_side", left="reflect", right="zeros"),
)  # fmt: skip
INITIALIZERS = (
    "uniform", Choice("uniform", low=-0.1, high=0.3), Choice("normal", std=0.5), Choice("normal", mean=1.0, std=0.25),
    Choice("truncated_normal", std=0.5), Choice("truncated_normal", mean=1.0, std=0.5, lower=-1.0, upper=3.0), "zeros", "ones",
    Choice("constant", value=0.5), "he_normal", "he_uniform", "xavier_normal", "xavier_uniform", "lecun_normal", "he_truncated_normal",
    Choice("variance_scaling", fan="fan_out", gain=1.5, distribution="uniform"),
    Choice("variance_scaling", fan="fan_avg", gain=2.0, distribution="truncated_normal"), "orthogonal",
    Choice("orthogonal", gain=2.0), "dirac",
)  # fmt: skip
DTYPES = (None, "float32", "float64", "float16", "bfloat16")
ACTIVATIONS = (None, "relu", "tanh", "gelu", "no_such_function")
NAME = "conv"  # the variable that the layer is assigned to


class LayerCase(NamedTuple):
    """One layer to write; ``str()`` is used in messages."""

    kernel: int
    stride: int
    dilation: int
    groups: int
    bias: Any
    padding: Any
    mode: Any
    weight_init: Any
    bias_init: Any
    dtype: str | None
    activation: str | None
    length: int | None
    channels: Any

    def __str__(self) -> str:
        arguments = [f"{name}={value}" for name, value in self._asdict().items() if value is not None]
        return f"a layer with {', '.join(arguments)}"

    def request(self, dialect: Dialect) -> Request | None:
        """Return the request, or None if there is no such layer."""
        request: Request | None = refuses(lambda: self._request(dialect))
        return request

    def _request(self, dialect: Dialect) -> Request:
        parts = {"padding": self.padding, "padding_mode": self.mode, "weight_init": self.weight_init, "bias_init": self.bias_init}
        policy = named_policy(dialect.policy).evolve(**parts, bias=bool(self.bias))
        policy.modes()  # raises for modes that cannot be combined
        values = (self.channels, 2 * CHANNELS, self.kernel, self.stride, self.dilation, self.groups)
        return Request(
            dialect.name, dict(zip(SIZES, values)), policy, bias=self.bias, length=self.length, activation=self.activation,
            dtype=self.dtype,
        )  # fmt: skip


PLAIN = LayerCase(3, 1, 1, 1, True, 0, "zeros", "uniform", "uniform", None, None, None, CHANNELS)
SINGLES = (  # the plain layer with one change each
    *(PLAIN._replace(padding=padding) for padding in PADDINGS),
    *(PLAIN._replace(mode=mode, padding=padding) for mode in MODES for padding in (1, (1, 2))),
    *(PLAIN._replace(weight_init=initial) for initial in INITIALIZERS),
    *(PLAIN._replace(bias_init=initial) for initial in INITIALIZERS),
    *(PLAIN._replace(dtype=dtype) for dtype in DTYPES),
    *(PLAIN._replace(activation=activation) for activation in ACTIVATIONS),
    PLAIN._replace(stride=2),
    PLAIN._replace(dilation=2),
    PLAIN._replace(groups=2),
    PLAIN._replace(bias=False),
)
CASES = some.builds(
    LayerCase,
    some.integers(1, 5),
    some.integers(1, 3),
    some.integers(1, 3),
    some.sampled_from((1, 2)),
    some.booleans(),
    some.sampled_from(PADDINGS),
    some.sampled_from(MODES),
    some.sampled_from(INITIALIZERS),
    some.sampled_from(INITIALIZERS),
    some.sampled_from(DTYPES),
    some.sampled_from(ACTIVATIONS),
    some.sampled_from((None, FEW)),
    some.sampled_from((CHANNELS, Expression("channels"))),
)


def written(dialect: Dialect, case: LayerCase) -> tuple[Request, Snippet] | None:
    """Return the request of a layer and the code that the dialect writes, or None if it refuses the layer."""
    request = case.request(dialect)
    snippet: Snippet | None = None if request is None else refuses(lambda: write(request, dialect, NAME))
    return None if request is None or snippet is None else (request, snippet)


def plainly(dialect: Dialect, case: LayerCase) -> LayerCase:
    """Return the layer with the initializers of the dialect's policy, which need no code."""
    policy = named_policy(dialect.policy)
    return case._replace(weight_init=policy.weight_init, bias_init=policy.bias_init)


def read(dialect: Dialect, code: str, in_channels: Any = CHANNELS) -> list[Request]:
    """Return one request per call in a file of a dialect.

    Args:
        dialect: the dialect.
        code: text of the file.
        in_channels: number of input channels, for classes whose calls do not contain it.

    Raises:
        ConvPolicyError: a call is refused, or the file has none.
    """
    context = Context(dialect=dialect, framework=dialect.name, policy=named_policy(dialect.policy))
    pair = Pair(context, dialect, known_paths([dialect], dialect))
    return SourceFile.of(code, pair).requests(in_channels)


def unbound(tree: ast.Module) -> set[str]:
    """Return the names that code uses and does not define."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    bound = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    bound |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    bound |= {node.name for node in ast.walk(tree) if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    bound |= {(alias.asname or alias.name).partition(".")[0] for alias in imports(tree)}
    return {node.id for node in names if isinstance(node.ctx, ast.Load)} - bound - set(vars(builtins))


def imports(tree: ast.Module) -> list[ast.alias]:
    """Return everything that code imports."""
    return [alias for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom)) for alias in node.names]


# -- the meaning of what was written --------------------------------------------------------------------------------------


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
    before = bool(target.padding(request).before)
    if not any(note.startswith("pads:") for note in result.notes):
        _same_pads(request, result, about, before=before)
    for role in ("weight", "bias") if request.bias is not False else ("weight",):
        tensor = getattr(named_policy(dialect.policy).part("layout")[0], role)
        if not any(
            "initial" in note or f".{tensor}" in note for note in result.notes
        ):  # otherwise a comment states the difference
            default = any(note.startswith(f"initial {role}:") for note in snippet.notes)
            _same_values(role, attrs.evolve(request, policy=named_policy(dialect.policy)) if default else request, result, about)


def _same(name: str, expected: Any, actual: Any, about: str) -> None:
    one, two = (value if isinstance(value, (str, type(None))) else code_of(value) for value in (expected, actual))
    require(one == two, f"it writes {name} {one}, but reads it back as {two}, {about}.")


def _same_pads(request: Request, result: Request, about: str, *, before: bool) -> None:
    """Compare the padding at several lengths; if a layer before the convolution pads, the convolution must not."""
    for length in (request.length,) if request.length is not None else LENGTHS:
        expected = (0, 0, None) if before else _added(request, length)
        actual = _added(result, length)
        if expected is None:
            continue
        where = " in a layer before the convolution" if before else ""
        require(
            actual == expected,
            f"it writes the padding{where}, but the convolution itself pads (left, right, mode) {actual} instead of {expected} at length {length}, "
            f"{about}.",
        )


def _added(request: Request, length: int) -> tuple[Any, ...] | None:
    policy = request.policy
    plan = refuses(lambda: policy.plan(request.spec.kernel_size, request.spec.stride, request.spec.dilation, length=length))
    if plan is None:
        return None
    mode = policy.padding_mode
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


def parsed(code: str, about: str) -> ast.Module:
    """Return the syntax tree of code that a dialect wrote.

    Raises:
        ConformanceError: the code is not valid Python; the message contains the line.
    """
    try:
        return ast.parse(code)
    except SyntaxError as error:
        raise ConformanceError(f"it writes {error.text!r}, which is not valid Python: {error.msg}, {about}.") from error

"""Test layers for dialects, and how they are written and read; `dialect_judge` compares them. No framework is needed."""

from __future__ import annotations

import ast
import builtins
from typing import Any, NamedTuple

from hypothesis import strategies as some

from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.named import policy as named_policy
from convpolicy.parts.choice import Choice
from convpolicy.testing.common import refuses
from convpolicy.testing.ladder import ConformanceError
from convpolicy.translation.calls import Context
from convpolicy.translation.dialect import Dialect
from convpolicy.translation.pages import known_paths
from convpolicy.translation.reading import CONV, CONV_TRANSPOSE, SIZES, Request
from convpolicy.translation.snippets import Snippet
from convpolicy.translation.source_file import Pair, SourceFile
from convpolicy.translation.values import Expression
from convpolicy.translation.writing import write

CHANNELS = 4
LENGTHS = (9, 10, 11, 12)  # input lengths at which paddings are compared
FEW = 7  # samples, for layers with a known input length
PADDINGS = (
    0, 1, 2, (1, 2), (2, 0), "valid", "same_upper", "same_lower", "torch_same", "same_static", "half", "full", "causal", "semicausal",
    Choice("crop", left=1, right=1), Choice("crop", left=0, right=2),
)  # fmt: skip
CROPS = (
    0, 1, (1, 2), (2, 1), (2, 0), (0, -1), (-1, 0), "at_least_stride", "same_upper", "same_lower", "symmetric", "causal",
    Choice("explicit", left=1, right=1, output_padding=1), Choice("explicit", output_padding=1),
)  # fmt: skip
CROP_MODES = ("zeros", "circular")
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
    layer: str = CONV

    def __str__(self) -> str:
        arguments = [f"{name}={value}" for name, value in self._asdict().items() if value is not None]
        return f"a layer with {', '.join(arguments)}"

    def request(self, dialect: Dialect) -> Request | None:
        """Return the request, or None if there is no such layer."""
        request: Request | None = refuses(lambda: self._request(dialect))
        return request

    def _request(self, dialect: Dialect) -> Request:
        parts = {"padding": self.padding, "padding_mode": self.mode, "weight_init": self.weight_init, "bias_init": self.bias_init}
        policy = policy_of(dialect, self.layer).evolve(**parts, bias=bool(self.bias))
        policy.modes()  # raises for modes that cannot be combined
        values = (self.channels, 2 * CHANNELS, self.kernel, self.stride, self.dilation, self.groups)
        return Request(
            dialect.name, dict(zip(SIZES, values)), policy, bias=self.bias, length=self.length, activation=self.activation,
            dtype=self.dtype,
        )  # fmt: skip


PLAIN = LayerCase(3, 1, 1, 1, True, 0, "zeros", "uniform", "uniform", None, None, None, CHANNELS)
PLAINS = {CONV: PLAIN, CONV_TRANSPOSE: PLAIN._replace(stride=2, layer=CONV_TRANSPOSE)}  # kind of layer -> plain layer
RULES = {CONV: PADDINGS, CONV_TRANSPOSE: CROPS}
MODES_OF = {CONV: MODES, CONV_TRANSPOSE: CROP_MODES}


def policy_of(dialect: Dialect, layer: str) -> LayerPolicy:
    """Return the policy of a kind of layer of a dialect."""
    policy = named_policy(dialect.policy)
    return policy.half() if layer == CONV_TRANSPOSE else policy


def _singles(plain: LayerCase) -> tuple[LayerCase, ...]:
    """Return the plain layer with one change each."""
    rules, modes = RULES[plain.layer], MODES_OF[plain.layer]
    return (
        *(plain._replace(padding=padding) for padding in rules),
        *(plain._replace(mode=mode, padding=padding) for mode in modes for padding in (1, (1, 2), "same_upper")),
        *(plain._replace(weight_init=initial) for initial in INITIALIZERS),
        *(plain._replace(bias_init=initial) for initial in INITIALIZERS),
        *(plain._replace(dtype=dtype) for dtype in DTYPES),
        *(plain._replace(activation=activation) for activation in ACTIVATIONS),
        plain._replace(stride=plain.stride + 1),
        plain._replace(kernel=1, stride=3),
        plain._replace(dilation=2),
        plain._replace(groups=2),
        plain._replace(bias=False),
    )


def _cases(layer: str) -> some.SearchStrategy[LayerCase]:
    """Return random layers of a kind."""
    return some.builds(
        LayerCase,
        some.integers(1, 5),
        some.integers(1, 3),
        some.integers(1, 3),
        some.sampled_from((1, 2)),
        some.booleans(),
        some.sampled_from(RULES[layer]),
        some.sampled_from(MODES_OF[layer]),
        some.sampled_from(INITIALIZERS),
        some.sampled_from(INITIALIZERS),
        some.sampled_from(DTYPES),
        some.sampled_from(ACTIVATIONS),
        some.sampled_from((None, FEW)),
        some.sampled_from((CHANNELS, Expression("channels"))),
        some.just(layer),
    )


SINGLES = {layer: _singles(plain) for layer, plain in PLAINS.items()}
CASES = {layer: _cases(layer) for layer in PLAINS}


def written(dialect: Dialect, case: LayerCase) -> tuple[Request, Snippet] | None:
    """Return the request of a layer and the code that the dialect writes, or None if it refuses the layer."""
    request = case.request(dialect)
    snippet: Snippet | None = None if request is None else refuses(lambda: write(request, dialect, NAME))
    return None if request is None or snippet is None else (request, snippet)


def plainly(dialect: Dialect, case: LayerCase) -> LayerCase:
    """Return the layer with the initializers of the dialect's policy, which need no code."""
    policy = policy_of(dialect, case.layer)
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


def parsed(code: str, about: str) -> ast.Module:
    """Return the syntax tree of code that a dialect wrote.

    Raises:
        ConformanceError: the code is not valid Python; the message contains the line.
    """
    try:
        return ast.parse(code)
    except SyntaxError as error:
        raise ConformanceError(f"it writes {error.text!r}, which is not valid Python: {error.msg}, {about}.") from error

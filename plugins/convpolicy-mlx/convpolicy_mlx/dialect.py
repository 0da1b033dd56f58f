"""The dialect ``mlx``: how ``translate`` reads and writes ``mlx.nn.Conv1d`` and ``mlx.nn.ConvTranspose1d``."""

from __future__ import annotations

from collections.abc import Mapping

from convpolicy import Choice, InvalidValueError
from convpolicy.arithmetic import integer
from convpolicy.translation.crops import CropCode, around, as_padding
from convpolicy.translation.dialect import Dialect, Reader, SourceClass, TargetClass, Writer
from convpolicy.translation.meaning import Meaning, both_sides
from convpolicy.translation.paddings import Padding, SamePad, require_mode, same_padding
from convpolicy.translation.reading import CONV_TRANSPOSE, REQUIRED, Request, size
from convpolicy.translation.values import Expression, Value, atom, code_of
from convpolicy_mlx.initial_code import initial
from convpolicy_mlx.surroundings import SURROUNDINGS

BELOW_KERNEL = "padding is assumed to be below the effective kernel, because its value is not known here"
NUMBERS = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups")
MODES = {"zeros": "", "replicate": ', mode="edge"', "reflect": ', mode="reflect"', "symmetric": ', mode="symmetric"'}
SAME = SamePad(base="nn.Module", call="__call__", axis="1", pad="mx.pad(x, [(0, 0), (left, total - left), (0, 0)])")


def meaning(arguments: Mapping[str, Value]) -> Meaning:
    """Read ``padding`` as a number of zeros on both sides.

    Raises:
        InvalidValueError: a tuple, with which MLX does not run, or a negative padding, which crops; the message contains the value.
    """
    _require_numbers(arguments, NUMBERS, "mlx.nn.Conv1d")
    padding = arguments["padding"]
    if isinstance(padding, int) and padding < 0:
        raise InvalidValueError(
            f"padding must be 0 or more, got {padding}, which crops the input in MLX; slice the input instead."
        )
    return both_sides(arguments)


def transposed_meaning(arguments: Mapping[str, Value]) -> Meaning:
    """Read ``padding`` and ``output_padding``, which cut samples on both sides.

    Raises:
        InvalidTypeError, InvalidValueError: a tuple, or another value that is no integer; the message contains the value.
    """
    _require_numbers(arguments, (*NUMBERS[:-1], "output_padding"), "mlx.nn.ConvTranspose1d")
    padding, more = (size(name, arguments[name]) for name in ("padding", "output_padding"))
    if isinstance(padding, Expression) or isinstance(more, Expression):
        return Meaning(padding=padding, output_padding=more, notes=(BELOW_KERNEL,))
    padding, more = integer("padding", padding), integer("output_padding", more)
    if padding == more == 0:
        return Meaning(policy={"padding": "explicit"})
    return Meaning(policy={"padding": Choice("mlx_explicit", padding=padding, output_padding=more)})


def _require_numbers(arguments: Mapping[str, Value], names: tuple[str, ...], title: str) -> None:
    for name in names:
        if isinstance(arguments[name], (tuple, list)):
            raise InvalidValueError(
                f"{name} must be an integer, got {code_of(arguments[name])}, which {title} refuses; write the number alone."
            )


def padding(request: Request) -> Padding:
    """Return the ``padding`` argument for equal zero pads, and a pad layer for any other padding.

    Raises:
        InvalidValueError: a padding mode that MLX does not have, or negative pads; the message contains them.
    """
    require_mode(request, "mlx", (*MODES, "circular"))
    pads = request.pads()
    if pads == (0, 0):
        return Padding()
    if pads is None:
        return same_padding(request, SAME, {})
    if request.mode == "zeros" and pads[0] == pads[1]:
        return Padding({"padding": pads[0]})
    left, right = pads
    if request.mode == "circular":
        code = f"lambda x: mx.take(x, mx.arange({_negative(left)}, {_after(right)}) % x.shape[1], axis=1)"
    else:
        code = f"lambda x: mx.pad(x, [(0, 0), {code_of((left, right))}, (0, 0)]{MODES[request.mode]})"
    return Padding({}, (code,), periodic=request.mode != "replicate")  # MLX mirrors and repeats as often as a wide pad needs


def crop(request: Request) -> Padding:
    """Return ``padding`` and ``output_padding``, or layers around a transposed convolution that cuts nothing.

    With a padding of at least the effective kernel, MLX crops the input and computes something else, as measured on 0.32.
    """
    arguments = as_padding(request)
    is_known = request.is_known("kernel_size", "dilation")
    if arguments is None or not is_known or not _is_below(arguments[0], request.spec.effective_kernel):
        return around(request, CROP)
    return Padding({name: value for name, value in zip(("padding", "output_padding"), arguments) if value != 0})


def _is_below(padding: Value, bound: int) -> bool:
    return isinstance(padding, int) and padding < bound


def _negative(left: Value) -> str:
    return f"-{atom(left)}" if isinstance(left, Expression) else repr(-left)


def _after(right: Value) -> str:
    return "x.shape[1]" if right == 0 else f"x.shape[1] + {atom(right)}"


CROP = CropCode(
    crop="lambda x: x[:, {bounds}]",
    pad="lambda x: mx.pad(x, [(0, 0), ({}, {}), (0, 0)])",
    circular=("lambda x: mx.take(x, mx.arange(-{}, x.shape[1] + {}) % x.shape[1], axis=1)", ()),
    periodic=True,
    base="nn.Module",
    call="__call__",
    axis="1",
    slice=":, left:stop",
)
READER = Reader(
    classes=(
        SourceClass(
            title="mlx.nn.Conv1d",
            paths=("mlx.nn.layers.Conv1d", "mlx.nn.layers.convolution.Conv1d"),
            parameters={
                "in_channels": REQUIRED,
                "out_channels": REQUIRED,
                "kernel_size": REQUIRED,
                "stride": 1,
                "padding": 0,
                "dilation": 1,
                "groups": 1,
                "bias": True,
            },
            positional=8,
            meaning=meaning,
        ),
        SourceClass(
            title="mlx.nn.ConvTranspose1d",
            paths=("mlx.nn.layers.ConvTranspose1d", "mlx.nn.layers.convolution_transpose.ConvTranspose1d"),
            parameters={
                "in_channels": REQUIRED,
                "out_channels": REQUIRED,
                "kernel_size": REQUIRED,
                "stride": 1,
                "padding": 0,
                "dilation": 1,
                "output_padding": 0,
                "bias": True,
            },
            positional=8,
            meaning=transposed_meaning,
            layer=CONV_TRANSPOSE,
        ),
    ),
    modules={"mlx": "mlx", "nn": "mlx.nn", "mx": "mlx.core"},
    surroundings=SURROUNDINGS,
)
WRITER = Writer(
    classes=(
        TargetClass(code="nn.Conv1d", names={name: name for name in ("stride", "dilation", "groups", "bias")}, padding=padding),
        TargetClass(
            code="nn.ConvTranspose1d",
            names={name: name for name in ("stride", "dilation", "bias")},
            padding=crop,
            layer=CONV_TRANSPOSE,
        ),
    ),
    imports={"mx": "import mlx.core as mx", "nn": "import mlx.nn as nn"},
    initial=initial,
    sequence="nn.Sequential({})",
    item="{name}.layers[{number}]",
    has_bias='"bias" in {}',
    dtype="mx.{}",
    dtype_statement="{layer}.set_dtype({dtype})",
    activations={
        "relu": "nn.ReLU()",
        "relu6": "nn.ReLU6()",
        "sigmoid": "nn.Sigmoid()",
        "tanh": "nn.Tanh()",
        "elu": "nn.ELU()",
        "selu": "lambda x: 1.0507009873554805 * nn.elu(x, 1.6732632423543772)",  # nn.SELU rounds both to 6 digits
        "silu": "nn.SiLU()",
        "swish": "nn.SiLU()",
        "gelu": "nn.GELU()",
        "softplus": "nn.Softplus()",
        "leaky_relu": "nn.LeakyReLU(0.2)",
        "softmax": "nn.Softmax()",
    },
)


def dialect() -> Dialect:
    """Return the dialect ``mlx``."""
    return Dialect("mlx", reader=READER, writer=WRITER, description="mlx.nn.Conv1d and mlx.nn.ConvTranspose1d, read and written.")

"""The dialect ``torch``: how ``translate`` reads torch code. `dialect_written` writes it."""

from __future__ import annotations

from convpolicy.frameworks.shared_code import SIZES, WITH_MODE, WITH_OUTPUT_PADDING, number_or_word
from convpolicy.frameworks.torch.dialect_written import WRITER
from convpolicy.frameworks.torch.surroundings import SURROUNDINGS
from convpolicy.translation.dialect import Dialect, Reader, SourceClass
from convpolicy.translation.reading import CONV_TRANSPOSE, REQUIRED

LAZY_SIZES = {name: value for name, value in SIZES.items() if name != "in_channels"}
READER = Reader(
    classes=(
        SourceClass(
            title="torch.nn.Conv1d",
            paths=("torch.nn.modules.Conv1d", "torch.nn.modules.conv.Conv1d"),
            parameters={**SIZES, **WITH_MODE, "device": None, "dtype": None},
            positional=11,
            meaning=number_or_word,
        ),
        SourceClass(
            title="torch.nn.ConvTranspose1d",
            paths=("torch.nn.modules.ConvTranspose1d", "torch.nn.modules.conv.ConvTranspose1d"),
            parameters={**SIZES, **WITH_OUTPUT_PADDING, "device": None, "dtype": None},
            positional=12,
            refused={"padding_mode": "torch.nn.ConvTranspose1d allows only 'zeros'"},
            layer=CONV_TRANSPOSE,
        ),
        SourceClass(
            title="torch.nn.LazyConv1d",
            paths=("torch.nn.modules.LazyConv1d", "torch.nn.modules.conv.LazyConv1d"),
            parameters={**LAZY_SIZES, **WITH_MODE, "device": None, "dtype": None},
            positional=10,
            meaning=number_or_word,
        ),
        SourceClass(
            title="torch.nn.LazyConvTranspose1d",
            paths=("torch.nn.modules.LazyConvTranspose1d", "torch.nn.modules.conv.LazyConvTranspose1d"),
            parameters={**LAZY_SIZES, **WITH_OUTPUT_PADDING, "device": None, "dtype": None},
            positional=11,
            refused={"padding_mode": "torch.nn.LazyConvTranspose1d allows only 'zeros'"},
            layer=CONV_TRANSPOSE,
        ),
    ),
    others=(
        SourceClass(
            title="torch.nn.functional.conv1d",
            paths=("torch.conv1d",),
            parameters={
                "input": REQUIRED,
                "weight": REQUIRED,
                "bias": None,
                "stride": 1,
                "padding": 0,
                "dilation": 1,
                "groups": 1,
            },
            positional=7,
            meaning=lambda arguments: number_or_word({**arguments, "padding_mode": "zeros"}),
            data=("input", "weight", "bias"),
        ),
    ),
    modules={"torch": "torch", "nn": "torch.nn", "F": "torch.nn.functional", "init": "torch.nn.init"},
    dtypes={"float": "float64"},  # Python's float
    surroundings=SURROUNDINGS,
)


def dialect() -> Dialect:
    """Return the dialect ``torch``."""
    return Dialect(
        "torch", reader=READER, writer=WRITER, description="torch.nn.Conv1d and torch.nn.ConvTranspose1d, read and written."
    )

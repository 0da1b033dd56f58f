"""The dialect ``torch``: how ``translate`` reads torch code. `dialect_written` writes it."""

from __future__ import annotations

from convpolicy.frameworks.shared_code import SIZES, WITH_MODE, WITH_OUTPUT_PADDING, number_or_word
from convpolicy.frameworks.torch.dialect_written import WRITER
from convpolicy.frameworks.torch.surroundings import SURROUNDINGS
from convpolicy.translation.dialect import Dialect, Reader, SourceClass
from convpolicy.translation.reading import CONV_TRANSPOSE

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

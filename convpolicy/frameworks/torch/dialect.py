"""The dialect ``torch``: how ``translate`` reads torch code. `dialect_written` writes it."""

from __future__ import annotations

from convpolicy.frameworks.shared_code import SIZES, WITH_MODE, number_or_word
from convpolicy.frameworks.torch.dialect_written import WRITER
from convpolicy.frameworks.torch.surroundings import SURROUNDINGS
from convpolicy.translation.dialect import Dialect, Reader, SourceClass

READER = Reader(
    classes=(
        SourceClass(
            title="torch.nn.Conv1d",
            paths=("torch.nn.modules.Conv1d", "torch.nn.modules.conv.Conv1d"),
            parameters={**SIZES, **WITH_MODE, "device": None, "dtype": None},
            positional=11,
            meaning=number_or_word,
        ),
    ),
    modules={"torch": "torch", "nn": "torch.nn", "F": "torch.nn.functional", "init": "torch.nn.init"},
    dtypes={"float": "float64"},  # Python's float
    surroundings=SURROUNDINGS,
)


def dialect() -> Dialect:
    """Return the dialect ``torch``."""
    return Dialect("torch", reader=READER, writer=WRITER, description="torch.nn.Conv1d, read and written.")

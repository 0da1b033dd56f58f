"""Words of the command line turned into what the library takes."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
from numpy.typing import NDArray

from convpolicy.core.named import load_policy
from convpolicy.core.policy import Policy
from convpolicy.errors import InvalidValueError
from convpolicy.files.data import FORMATS
from convpolicy.parts.arguments import as_padding_mode
from convpolicy.parts.choice import Choice

Command = TypeVar("Command", bound=Callable[..., Any])
_CHOICE = re.compile(r"([^()=,]+)(?:\((.*)\))?", re.DOTALL)


def layout_or_policy(word: str) -> str | Policy:
    """Return the policy in a file when the word ends as one does; else the word, a policy's or layout's name."""
    return load_policy(word) if Path(word).suffix in FORMATS else word


def padding(word: str) -> Any:
    """Read ``2``, ``3,1``, ``same`` or ``same_static(odd_side=left)``."""
    if re.fullmatch(r"[-+\d\s,]+", word):
        try:
            numbers = [int(number) for number in word.split(",")]
        except ValueError:
            raise InvalidValueError(f"padding must be whole numbers such as 2 or 3,1, got {word!r}; write it so.") from None
        return numbers[0] if len(numbers) == 1 else tuple(numbers)
    return choice("padding", word) if "(" in word else word  # a plain word may be the framework's own


def choice(argument: str, word: str) -> Choice:
    """Read ``reflect`` or ``reflect(overflow=periodic)``, as tables print a part.

    Raises:
        InvalidValueError: it does not read so; holds the argument and the word.
    """
    match = _CHOICE.fullmatch(word.strip())
    if match is None:
        raise InvalidValueError(f"{argument} must read as name or name(parameter=value, …), got {word!r}; write it so.")
    params = {}
    for setting in filter(None, map(str.strip, split(match[2] or ""))):
        name, equals, text = (part.strip() for part in setting.partition("="))
        if not equals or not name.isidentifier() or not text:
            raise InvalidValueError(f"{argument}: {setting.strip()!r} in {word!r} must read as parameter=value; write it so.")
        if name in params:
            raise InvalidValueError(f"{argument}: {name!r} stands twice in {word!r}; write it once.")
        params[name] = choice(f"{argument}: {name}", text) if "(" in text else value(text)
    return Choice(match[1].strip(), **params)


def padding_mode(word: str) -> Choice:
    """Read a mode as `choice` does, or two of them, left and right: ``reflect,zeros``."""
    modes = [choice("padding_mode", mode) for mode in split(word)]
    return as_padding_mode(modes[0] if len(modes) == 1 else modes)


def split(words: str, separator: str = ",") -> list[str]:
    """Split at the commas, or another sign, outside brackets."""
    parts, depth = [""], 0
    for sign in words:
        depth += (sign in "([") - (sign in ")]")
        if sign == separator and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    return parts


def value(word: str) -> Any:
    """Read a number, True or False; anything else is a name."""
    try:
        return float(word) if word.lstrip("+-") in ("nan", "inf") else ast.literal_eval(word)
    except (ValueError, SyntaxError, RecursionError, MemoryError):  # the last two of thousands of signs or brackets
        return word


def array(option: str, path: Path) -> NDArray[Any]:
    """Read one array; a pickle is refused."""
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, MemoryError) as error:
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        raise InvalidValueError(
            f"{option} must be a .npy file of numbers, got {str(path)!r}: {reason}; use numpy.save."
        ) from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise InvalidValueError(f"{option} must be a .npy file of one array, got the archive {str(path)!r}; use numpy.save.")
    return array


KERNEL_SIZE = 4  # an even kernel needs an odd total of padding, on which frameworks differ
LENGTH = 10


def kernel_size(command: Command) -> Command:
    """Add ``--kernel-size``."""
    return click.option("--kernel-size", default=KERNEL_SIZE, show_default=True, type=int, help="Taps of the kernel.")(command)


def sizes(command: Command) -> Command:
    """Add the options for one size and input length; each has a default."""
    for option in (
        click.option("--length", default=LENGTH, show_default=True, type=int, help="Input length in samples."),
        click.option("--dilation", default=1, show_default=True, type=int, help="Samples from tap to tap."),
        click.option("--stride", default=1, show_default=True, type=int, help="Samples from window to window."),
        kernel_size,
    ):
        command = option(command)
    return command


def as_json(command: Command) -> Command:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(command)

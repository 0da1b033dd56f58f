"""Arguments and options of the command line, parsed to Python values."""

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


def layout_or_policy(text: str) -> str | Policy:
    """Load the policy if the text is the name of a policy file, else return the text as the name of a policy or layout."""
    return load_policy(text) if Path(text).suffix in FORMATS else text


def padding(text: str) -> Any:
    """Parse ``2``, ``3,1``, ``same`` or ``same_static(odd_side=left)``."""
    if re.fullmatch(r"[-+\d\s,]+", text):
        try:
            numbers = [int(number) for number in text.split(",")]
        except ValueError:
            raise InvalidValueError(f"padding must be integers, got {text!r}; write for example 2 or 3,1.") from None
        return numbers[0] if len(numbers) == 1 else tuple(numbers)
    return choice("padding", text) if "(" in text else text  # a plain name may be one of the policy's framework


def choice(argument: str, text: str) -> Choice:
    """Parse ``reflect`` or ``reflect(overflow=periodic)``, the form in which tables print a part.

    Raises:
        InvalidValueError: the text has another form.
    """
    match = _CHOICE.fullmatch(text.strip())
    if match is None:
        raise InvalidValueError(f"{argument} must be a name or name(parameter=value, …), got {text!r}; write it in this form.")
    params = {}
    for setting in filter(None, map(str.strip, split(match[2] or ""))):
        name, equals, param = (part.strip() for part in setting.partition("="))
        if not equals or not name.isidentifier() or not param:
            raise InvalidValueError(
                f"{argument}: {setting!r} in {text!r} must have the form parameter=value; write it in this form."
            )
        if name in params:
            raise InvalidValueError(f"{argument}: {name!r} occurs twice in {text!r}; write it once.")
        params[name] = choice(f"{argument}: {name}", param) if "(" in param else value(param)
    return Choice(match[1].strip(), **params)


def padding_mode(text: str) -> Choice:
    """Parse one padding mode, or two for left and right: ``reflect,zeros``; see `choice`."""
    modes = [choice("padding_mode", mode) for mode in split(text)]
    return as_padding_mode(modes[0] if len(modes) == 1 else modes)


def split(text: str, separator: str = ",") -> list[str]:
    """Split a text at separators outside brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([") - (character in ")]")
        if character == separator and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def value(text: str) -> Any:
    """Parse a number, True or False; any other text is returned as a name."""
    try:
        return float(text) if text.lstrip("+-") in ("nan", "inf") else ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):  # the last two for thousands of signs or brackets
        return text


def array(option: str, path: Path) -> NDArray[Any]:
    """Read one array from a ``.npy`` file; pickles are refused."""
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, MemoryError) as error:
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        raise InvalidValueError(
            f"{option} must be a .npy file of numbers, got {str(path)!r}: {reason}; write it with numpy.save."
        ) from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise InvalidValueError(
            f"{option} must be a .npy file of one array, got the archive {str(path)!r}; write it with numpy.save."
        )
    return array


KERNEL_SIZE = 4  # an even kernel needs an odd amount of padding, which frameworks split differently
LENGTH = 10


def kernel_size(command: Command) -> Command:
    """Add the option ``--kernel-size``."""
    return click.option("--kernel-size", default=KERNEL_SIZE, show_default=True, type=int, help="Number of taps.")(command)


def sizes(command: Command) -> Command:
    """Add the options ``--length``, ``--dilation``, ``--stride`` and ``--kernel-size``, each with a default."""
    for option in (
        click.option("--length", default=LENGTH, show_default=True, type=int, help="Input length in samples."),
        click.option("--dilation", default=1, show_default=True, type=int, help="Samples between taps."),
        click.option("--stride", default=1, show_default=True, type=int, help="Samples between windows."),
        kernel_size,
    ):
        command = option(command)
    return command


def transposed(command: Command) -> Command:
    """Add the option ``--transposed``."""
    return click.option("--transposed", is_flag=True, help="The transposed convolution of the policy.")(command)


def as_json(command: Command) -> Command:
    """Add the option ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(command)

"""Models that the command line gets as ``MODULE:NAME``."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

from convpolicy.errors import ConvPolicyError, InvalidValueError, nearest, raised


def imported(option: str, text: str) -> Any:
    """Return the object that a text names, or what it returns if it is a function or a class.

    Args:
        option: name of the option, used in messages.
        text: ``MODULE:NAME``; the module is imported from the current folder or from what is installed.

    Raises:
        InvalidValueError: the text has another form, the module cannot be imported, it has no such name, or the function fails.
    """
    module, colon, name = text.partition(":")
    if not colon or not module or not name:
        raise InvalidValueError(
            f"{option} must name a model or a function in a module, got {text!r}; write for example models:build."
        )
    sys.path.insert(0, str(Path.cwd()))
    try:
        value: Any = importlib.import_module(module)
        for part in name.split("."):
            if not hasattr(value, part):
                known = [known for known in vars(value) if not known.startswith("_")] if hasattr(value, "__dict__") else []
                raise InvalidValueError(
                    f"{option}: {module} has no {name!r}; name a model or a function of it.{nearest(part, known)}"
                )
            value = getattr(value, part)
        called = inspect.isroutine(value) or inspect.isclass(value) or isinstance(value, functools.partial)
        return value() if called else value
    except ConvPolicyError:
        raise
    except ImportError as error:
        raise InvalidValueError(f"{option}: {module!r} cannot be imported: {error}; run this command in its folder.") from error
    except Exception as error:
        raise InvalidValueError(
            f"{option}: {text!r} failed: {raised(error)}; correct it, or name a function without arguments."
        ) from error
    finally:
        sys.path.remove(str(Path.cwd()))

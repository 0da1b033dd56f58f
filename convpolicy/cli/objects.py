"""Python objects on the command line: ``module:name``, the name of an object or of a function without arguments that makes it."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any

from convpolicy.core.named import policies
from convpolicy.errors import InvalidValueError, nearest

_OBJECT = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_]\w*)")


def is_object(text: str) -> bool:
    """Return True for ``module:name``. ``keras:same`` is a policy and its padding."""
    match = _OBJECT.fullmatch(text)
    return match is not None and match[1] not in policies()


def object_of(text: str) -> Any:
    """Import the object that a text names. A function without arguments, such as a class, is called.

    Raises:
        InvalidValueError: the text has another form, the module cannot be imported, or it has no such name.
    """
    match = _OBJECT.fullmatch(text)
    if match is None:
        raise InvalidValueError(f"MODULE:NAME must name an object in a module, got {text!r}; write for example models:build.")
    module, name = match.groups()
    sys.path.insert(0, str(Path.cwd()))
    try:
        imported = importlib.import_module(module)
    except ImportError as error:
        raise InvalidValueError(f"MODULE must be importable, got {module!r}: {error}; run this command in its folder.") from error
    finally:
        sys.path.remove(str(Path.cwd()))
    if not hasattr(imported, name):
        known = [key for key in vars(imported) if not key.startswith("_")]
        raise InvalidValueError(f"NAME must be in {module}, got {name!r}; name an object of it.{nearest(name, known)}")
    found = getattr(imported, name)
    return found() if inspect.isclass(found) or (inspect.isfunction(found) and not inspect.signature(found).parameters) else found

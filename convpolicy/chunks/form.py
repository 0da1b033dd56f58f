"""`StreamingForm`: how modules of a class take their input in chunks, for models in which no other rule knows the class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import attrs

from convpolicy.errors import InvalidTypeError, InvalidValueError, PluginError, raised
from convpolicy.layers.wrapper import part_for
from convpolicy.parts.part import Part

KIND = "streaming form"
METHODS = ("initial", "step", "end")


def _full_name(form: Any, _field: Any, name: Any) -> None:
    if not isinstance(name, str) or "." not in name or not all(part.isidentifier() for part in name.split(".")):
        raise InvalidValueError(
            f"the name of a streaming form must be the full name of a class, such as 'package.module.Attention', got {name!r}; pass one."
        )


def _function(form: Any, field: Any, value: Any) -> None:
    if not callable(value):
        raise InvalidTypeError(f"{field.name} of streaming form {form.name!r} must be a function, got {value!r}; pass one.")


@attrs.frozen(eq=False)
class StreamingForm(Part):
    """How modules of one class take their input in chunks.

    `streaming` uses it for modules of exactly this class in a model.

    Args:
        name: full name of the class, e.g. ``"package.module.CausalAttention"``.
        build: ``module -> object`` with three methods. A chunk is the first argument of the module's call, with fewer samples.

            - ``initial(batch)`` returns the state before the first sample: a dictionary of arrays, whose first axis is the batch.
            - ``step(chunk, state)`` returns the outputs that a chunk of 0 samples or more completes and the next state. It does not
              change the old state.
            - ``end(state)`` returns the outputs that are left.

            The outputs have the axes of the chunk; only the number of channels may differ. If the module returns a tuple, both methods
            return a tuple of the same length; if it returns an object with named results, a dictionary. A result that the model does
            not use may be None. A module whose outputs come later than its samples also has
            ``outputs(count)``, the number of outputs after that many samples, and an attribute ``ratio``, the number of samples per
            output, unless it is 1. An attribute ``axes``, such as ``("batch", "time", "channels")``, refuses chunks with other axes.

            The function raises ValueError with the reason if the module cannot be streamed.
    """

    kind: ClassVar[str] = KIND
    name: str = attrs.field(validator=_full_name)
    build: Callable[[Any], Any] = attrs.field(validator=_function)

    def built(self, module: Any) -> Any:
        """Return the object for a module.

        Raises:
            ValueError: the module cannot be streamed. The message is the reason.
            PluginError: ``build`` fails, or its result has not the three methods.
        """
        try:
            form = self.build(module)
        except ValueError:
            raise
        except Exception as error:
            raise PluginError(f"streaming form {self.name!r} ({self.provider}) failed: {raised(error)}.") from error
        missing = [name for name in METHODS if not callable(getattr(form, name, None))]
        if missing:
            raise PluginError(
                f"streaming form {self.name!r} ({self.provider}) must build an object with the methods {', '.join(METHODS)}, got one of "
                f"class {type(form).__name__} without {', '.join(missing)}; add them."
            )
        return form


def form_of(module: Any) -> StreamingForm | None:
    """Return the streaming form of the class of a module, or None."""
    form: StreamingForm | None = part_for(KIND, module)
    return form

"""`Initializer`: the distribution of a new weight or bias, drawn from a random stream."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.arithmetic import Fans
from convpolicy.errors import ConvPolicyError, InvalidValueError, PluginError, raised, said
from convpolicy.parts.choice import Choice
from convpolicy.parts.distribution import Distribution
from convpolicy.parts.part import Part, first_sentence
from convpolicy.parts.stream import Draws

# uniform ±√(1/fan_in); two frameworks write it as He uniform with a negative slope of √5
FAN_IN_UNIFORM = Choice("he_uniform", negative_slope=math.sqrt(5))


@attrs.frozen
class Target:
    """The tensor that an initializer fills.

    Args:
        shape: ``(out, in/groups, kernel)`` for a weight, ``(out,)`` for a bias.
        fans: fan-in and fan-out of the weight. A bias has the fans of the weight of its layer.
        groups: groups of the convolution.
    """

    shape: tuple[int, ...]
    fans: Fans
    groups: int = 1


@attrs.frozen(eq=False)
class Initializer(Part):
    """A rule for the initial values of a weight or bias.

    Args:
        name: unique name.
        draw: function ``(draws, target, **params) -> array``. The array has the shape ``target.shape``. See `Draws` and `Target`.
        check: function ``(target, **params) -> None``. It raises ValueError if a target or a parameter is not allowed. It runs
            before the layer is built and before its weights are drawn.
        distribution: function ``(**params) -> Distribution`` that describes the result of ``draw``. ``translate`` uses the
            description to write code of another framework. If an initializer has no such function, translated code uses the
            default initializer of the target framework and contains a comment about it.
        params: see `Part`.
    """

    kind: ClassVar[str] = "initializer"
    draw: Callable[..., Any] = attrs.field()
    check: Callable[..., None] | None = attrs.field(default=None, kw_only=True)
    distribution: Callable[..., Distribution] | None = attrs.field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not self.description:
            object.__setattr__(self, "description", first_sentence(self.draw))

    def require(self, target: Target, arguments: Mapping[str, Any]) -> None:
        """Refuse a target or parameters that the initializer does not allow.

        Raises:
            InvalidValueError: the check refuses the target or a parameter. The message contains the reason of the check.
            PluginError: the function ``check`` fails.
        """
        try:
            if self.check is not None:
                self.check(target, **arguments)
        except ConvPolicyError:
            raise
        except ValueError as error:
            raise InvalidValueError(f"initializer {self.name!r}: {said(error)}") from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise PluginError(
                f"initializer {self.name!r} ({self.provider}): check failed for shape {target.shape}: {raised(error)}."
            ) from error

    def fill(self, draws: Draws, target: Target, arguments: Mapping[str, Any]) -> NDArray[Any]:
        """Return values of ``target.shape``, in the floating-point dtype of the stream.

        Raises:
            InvalidValueError: the initializer refuses the target. The message contains the reason.
            PluginError: the initializer fails, or returns an array of another shape.
        """
        self.require(target, arguments)
        try:
            values = np.asarray(self.draw(draws, target, **arguments))
        except ConvPolicyError:
            raise
        except ValueError as error:
            raise InvalidValueError(f"initializer {self.name!r}: {said(error)}") from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            text = said(error) or type(error).__name__
            raise PluginError(f"initializer {self.name!r} ({self.provider}) failed for shape {target.shape}: {text}") from error
        if values.dtype.kind not in "fiu":
            raise PluginError(f"initializer {self.name!r} ({self.provider}) must return numbers, got dtype {values.dtype}.")
        if values.shape != target.shape:
            raise PluginError(
                f"initializer {self.name!r} ({self.provider}) must return shape {target.shape}, got {values.shape}."
            )
        return values if values.flags.writeable else np.array(values)  # a broadcast view is copied: weights must be writable

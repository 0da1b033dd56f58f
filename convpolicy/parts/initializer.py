"""Initial values: a distribution and a scale rule, drawn from a random stream that is a part of its own."""

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

# uniform ±√(1/fan_in), which two frameworks write as He's with a negative slope of √5
FAN_IN_UNIFORM = Choice("he_uniform", negative_slope=math.sqrt(5))


@attrs.frozen
class Target:
    """The tensor to fill.

    Args:
        shape: ``(out, in/groups, kernel)`` for a weight, ``(out,)`` for a bias.
        fans: of the weight, also when the target is the bias.
        groups: groups of the convolution.
    """

    shape: tuple[int, ...]
    fans: Fans
    groups: int = 1


@attrs.frozen(eq=False)
class Initializer(Part):
    """How the numbers of a fresh weight or bias are drawn.

    Args:
        name: unique name.
        draw: ``(draws, target, **params) -> array`` of ``target.shape``; see `Draws` and `Target`.
        check: ``(target, **params) -> None``, run before anything is built or drawn; raises ValueError for a target or
            parameters that do not go together.
        distribution: ``(**params) -> Distribution``, what ``draw`` draws, so that ``translate`` can write it as code of another
            framework; without it translated code has the target's default and a comment.
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
        """Refuse a target or parameters that do not go together.

        Raises:
            InvalidValueError: holds the initializer's own sentence.
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
        """Return values of ``target.shape``, in the floating-point dtype that the stream draws.

        Raises:
            InvalidValueError: the initializer refuses this shape; holds its own sentence.
            PluginError: it fails, or returns another shape.
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
        return values if values.flags.writeable else np.array(values)  # a broadcast view: a layer writes into its weights

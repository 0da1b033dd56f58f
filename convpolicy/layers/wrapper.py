"""`Wrapper`: a class whose modules contain one convolution and pad or cut around it, described by changes of a policy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import attrs

from convpolicy import registry
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import ConvPolicyError, InvalidTypeError, InvalidValueError, PluginError, raised
from convpolicy.layers.backend import Backend
from convpolicy.parts.part import Part

KIND = "wrapper"


def _full_name(wrapper: Any, _field: Any, name: Any) -> None:
    if not isinstance(name, str) or not all(part.isidentifier() for part in f"{name}.".split(".")[:-1]) or "." not in name:
        raise InvalidValueError(
            f"the name of a wrapper must be the full name of a class, such as 'package.module.CausalConv1d', got {name!r}; pass one."
        )


def _path_or_function(wrapper: Any, field: Any, value: Any) -> None:
    if not isinstance(value, str) and not callable(value):
        raise InvalidTypeError(f"{field.name} of wrapper {wrapper.name!r} must be text or a function, got {value!r}; pass one.")


def _function(wrapper: Any, field: Any, value: Any) -> None:
    if not callable(value):
        raise InvalidTypeError(f"{field.name} of wrapper {wrapper.name!r} must be a function, got {value!r}; pass one.")


@attrs.frozen(eq=False)
class Wrapper(Part):
    """A class whose modules contain one convolution and pad or cut around it.

    Only modules of exactly this class are recognized, not those of a subclass.

    Args:
        name: full name of the class, e.g. ``"transformers.models.encodec.modeling_encodec.EncodecConv1d"``.
        convolution: path of the convolution in the module, e.g. ``"conv.conv"``. For a class that is the convolution itself, a
            function ``module -> convolution`` that returns the same weights as a layer of the framework's own class.
        changes: ``module -> mapping``, the changes that `Policy.evolve` makes to the policy of the convolution, e.g.
            ``{"padding": Choice("causal")}``. The function raises ValueError with the reason if no policy describes the module.
        more: what the module computes besides the padding and the convolution, as text after "it", e.g. ``"applies an activation"``,
            or a function ``module -> text``. An empty text means nothing: then `capture` accepts the module itself.
        examples: ``() -> modules`` of the class, for the conformance kit (`convpolicy.testing`), which compares them with what is read
            from them. With None, the kit checks only the names.
    """

    kind: ClassVar[str] = KIND
    name: str = attrs.field(validator=_full_name)
    convolution: str | Callable[[Any], Any] = attrs.field(validator=_path_or_function)
    changes: Callable[[Any], Mapping[str, Any]] = attrs.field(validator=_function)
    more: str | Callable[[Any], str] = attrs.field(default="", kw_only=True, validator=_path_or_function)
    examples: Callable[[], Iterable[Any]] | None = attrs.field(default=None, kw_only=True)

    def convolution_in(self, module: Any) -> Any:
        """Return the convolution of a module."""
        if not isinstance(self.convolution, str):
            return self.convolution(module)
        for name in self.convolution.split("."):
            module = getattr(module, name)
        return module

    def more_of(self, module: Any) -> str:
        """Return what a module computes besides the padding and the convolution; empty for nothing."""
        try:
            return self.more if isinstance(self.more, str) else self.more(module)
        except Exception as error:
            raise self._fault(error) from error

    def read(self, module: Any, backends: Iterable[Backend]) -> tuple[Any, dict[str, Any]]:
        """Return the convolution of a module and the changes of its policy.

        Args:
            module: a module of the class.
            backends: the backends that may have built it.

        Raises:
            InvalidValueError: no policy describes the module, or a call of it may not run the forward method of its class.
            PluginError: a function of the wrapper fails.
        """
        for backend in backends:
            if reason := backend.patched(module):
                raise _refusal(module, reason)
        try:
            return self.convolution_in(module), dict(self.changes(module))
        except ConvPolicyError:
            raise
        except ValueError as error:
            raise _refusal(module, str(error)) from error
        except Exception as error:
            raise self._fault(error) from error

    def changed(self, module: Any, policy: LayerPolicy, spec: ConvSpec, changes: Mapping[str, Any]) -> LayerPolicy:
        """Return the policy of a module: that of its convolution with the changes.

        Raises:
            InvalidValueError: the policy does not allow the changes, or the sizes.
        """
        try:
            policy = policy.evolve(**changes)
            policy.static_pads(spec.kernel_size, spec.stride, spec.dilation)  # raises for sizes that the rule does not allow
        except ConvPolicyError as error:
            raise _refusal(module, str(error)) from error
        return policy

    def _fault(self, error: Exception) -> PluginError:
        return PluginError(f"wrapper {self.name!r} ({self.provider}) failed: {raised(error)}.")


def _refusal(module: Any, reason: str) -> InvalidValueError:
    name = type(module).__qualname__
    return InvalidValueError(
        f"layer {name} cannot be captured exactly: {reason.rstrip('.')}; port its convolution and what is around it by hand."
    )


def wrapper_of(module: Any) -> Wrapper | None:
    """Return the wrapper that describes the class of a module, or None; see `part_for`."""
    wrapper: Wrapper | None = part_for(KIND, module)
    return wrapper


def part_for(kind: str, module: Any) -> Any:
    """Return the part of a kind that has the name of the class of a module, or None.

    A class that its framework derives from another, as torch does for weight normalization, stands for the other.
    """
    parts = registry.current().parts(kind)
    classes = type(module).__mro__[:2]
    for each in classes if classes[0].__module__.partition(".")[0] in frameworks() else classes[:1]:
        name = f"{each.__module__}.{each.__qualname__}"
        if name in parts:
            return parts[name]
    return None


@registry.cached(maxsize=1)
def frameworks() -> frozenset[str]:
    """Return the import names of the frameworks of all backends."""
    return frozenset(backend.framework for backend in registry.current().working("backend").values())

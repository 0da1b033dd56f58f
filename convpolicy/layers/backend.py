"""What a backend is: a registered part that turns a `LayerRequest` into a native layer of its framework."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy import registry
from convpolicy.arithmetic import SIDES
from convpolicy.core.plan import ConvSpec, Plan, require_a_window
from convpolicy.core.policy import Policy
from convpolicy.errors import InvalidValueError, MissingFrameworkError, shown
from convpolicy.parts.part import Part, declared
from convpolicy.parts.side import require_channels, value_of
from convpolicy.parts.stream import Stream

EXECUTIONS = ("exact", "fast")
LEARNED = "padding_value"  # name of the parameter that a learned constant is


@attrs.frozen(cache_hash=True)
class LayerRequest:
    """Everything a backend needs to build a layer, checked; plain data, so a layer may keep and pickle it.

    Args:
        spec: sizes.
        policy: with every override of the call already in it.
        dtype: canonical name, e.g. ``"float32"``.
        execution: ``"exact"`` or ``"fast"``.
    """

    spec: ConvSpec
    policy: Policy
    dtype: str = "float32"
    execution: str = "exact"

    def draw(self, stream: Stream) -> dict[str, NDArray[Any] | None]:
        """Return weight (out, in/groups, kernel) and bias (out,), or None, in the layer's dtype; see `Policy.draw`."""
        return self.policy.draw(self.spec, stream, self.dtype)

    def static_pads(self) -> tuple[int, int] | None:
        """Return ``(left, right)`` when every length gets the same pads, else None."""
        return self.policy.static_pads(self.spec.kernel_size, self.spec.stride, self.spec.dilation)

    def learned(self) -> NDArray[np.float64] | None:
        """Return what the learned constant starts from, a scalar () or (in_channels,), or None where no constant is learned.

        Raises:
            InvalidValueError: two sides that would learn two constants, which have one name.
        """
        learning = [(mode, words) for mode, words in self.policy.modes() if words.get("learned")]
        if not learning:
            return None
        values = {value_of(words, side) for _mode, words in learning for side in SIDES}
        if len(values) > 1:
            raise InvalidValueError(
                f"padding_mode must learn one constant, {LEARNED!r}, got {str(self.policy.padding_mode)!r}, which has one for each side; "
                f"give both sides the same value."
            )
        return np.array(values.pop(), dtype=np.float64)

    def require_constants(self) -> None:
        """Refuse constants per channel of another number than the input's channels, and learned ones that cannot be.

        Raises:
            InvalidValueError: holds both numbers, or the reason.
        """
        for _mode, words in self.policy.modes():
            for side in SIDES:
                require_channels(value_of(words, side), self.spec.in_channels)
        self.learned()

    def plan(self, length: int) -> Plan:
        """Say exactly what will be done to an input of one length in samples.

        Raises:
            InvalidTypeError, InvalidValueError: a bad length, a mode that does not reach, or an input that holds no window.
        """
        spec = self.spec
        return require_a_window(self.policy.plan(spec.kernel_size, spec.stride, spec.dilation, length=length))


def _of_a_backend(words: Iterable[str]) -> frozenset[str]:
    return declared(words, ("no-empty-batch",))


def _text_of(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # anything may come as a dtype
        return ""


def _float32() -> str:
    return "float32"


def _call(layer: Any, data: NDArray[Any]) -> NDArray[Any]:
    output: NDArray[Any] = layer(data)
    return output


def _read(layer: Any) -> dict[str, NDArray[Any] | None]:
    return {"weight": layer.weight, "bias": layer.bias}


def _write(layer: Any, values: Mapping[str, NDArray[Any] | None]) -> None:
    for name, value in values.items():
        if value is not None:
            getattr(layer, name)[...] = value


@attrs.frozen(eq=False)
class Backend(Part):
    """Where layers run.

    Args:
        name: unique name.
        build: ``(request, stream, device) -> native layer``; imports its framework inside. ``stream`` is what the initial
            values are drawn from, or None: the framework's own global random state decides; ``device`` is whatever the
            framework calls a device, or None.
        dtypes: canonical names of the dtypes it computes in.
        default_dtype: ``() -> canonical name`` of what the framework builds layers in where nothing else is said, as its user set it.
        framework: import name of the framework.
        install: what ``pip install`` installs for it, for the message when the framework is missing; empty: ``framework``.
        layout: name of the layout in which its layers store their weights.
        run: ``(layer, data) -> output``, NumPy arrays (batch, channels, length) whatever axes the framework has; calls the
            layer with the array when not given. Here and below numbers of a bfloat16 layer are float32 arrays that bfloat16 holds.
        parameters: ``layer -> {"weight": (out, in/groups, kernel), "bias": (out,) or None}``, NumPy arrays; reads ``.weight``
            and ``.bias`` when not given.
        assign: ``(layer, {"weight": …, "bias": …}) -> None``, arrays of the same axes written into the layer; writes into
            ``.weight`` and ``.bias`` when not given.
        capture: ``layer -> Capture``, or None for anything but a 1-D convolution of this framework; see `convpolicy.layers.capture`.
        convolutions: ``(model, every_path) -> iterator of Convolution``, or None for anything but a model of this framework; see
            `convpolicy.layers.whole_models`. None when the framework's models are not walked.
        gradients: ``(layer, data, upstream) -> {"input": …, "weight": …, "bias": … or None}``, NumPy arrays of the gradients of
            ``sum(output * upstream)``; None when the backend does not differentiate.
        tune: ``(model, example inputs, execution, rounds, progress) -> Tuning``, and ``untune``: ``model -> paths``; see
            `convpolicy.tuning`. None when a backend's models cannot be tuned.
        declares: what its layers cannot do, for the conformance kit: ``"no-empty-batch"``, an input of no items.
        learns: True where a layer can hold a learned constant, `LayerRequest.learned`, as one more parameter, ``padding_value``;
            ``parameters``, ``assign`` and ``gradients`` then have it by that name.
        wrappers: names that wrappers of a model put before or into the names of its parameters in a file, e.g. ``("module",)``.
        environment: variables that the framework needs to be set before it is imported; for ``convpolicy verify``.
    """

    kind: ClassVar[str] = "backend"
    build: Callable[[LayerRequest, Stream | None, Any], Any] = attrs.field()
    dtypes: tuple[str, ...] = attrs.field(default=("float32", "float64"), kw_only=True)
    default_dtype: Callable[[], str] = attrs.field(default=_float32, kw_only=True)
    framework: str = attrs.field(default="numpy", kw_only=True)
    install: str = attrs.field(default="", kw_only=True)
    layout: str = attrs.field(default="OIW", kw_only=True)
    run: Callable[[Any, NDArray[Any]], NDArray[Any]] = attrs.field(default=_call, kw_only=True)
    parameters: Callable[[Any], dict[str, NDArray[Any] | None]] = attrs.field(default=_read, kw_only=True)
    assign: Callable[[Any, Mapping[str, NDArray[Any] | None]], None] = attrs.field(default=_write, kw_only=True)
    capture: Callable[[Any], Any] | None = attrs.field(default=None, kw_only=True)
    gradients: Callable[[Any, NDArray[Any], NDArray[Any]], dict[str, NDArray[Any] | None]] | None = attrs.field(
        default=None, kw_only=True
    )
    convolutions: Callable[[Any, bool], Any] | None = attrs.field(default=None, kw_only=True)
    tune: Callable[[Any, Any, str, int, Callable[[str, int, int], None]], Any] | None = attrs.field(default=None, kw_only=True)
    untune: Callable[[Any], tuple[str, ...]] | None = attrs.field(default=None, kw_only=True)
    declares: frozenset[str] = attrs.field(default=frozenset(), kw_only=True, converter=_of_a_backend)
    learns: bool = attrs.field(default=False, kw_only=True)
    wrappers: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    environment: Mapping[str, str] = attrs.field(factory=dict, kw_only=True)

    def is_installed(self) -> bool:
        """Return True when the framework can be found, without importing it."""
        import importlib.util  # here: a fiftieth of importing the package

        return importlib.util.find_spec(self.framework) is not None

    def layer(self, request: LayerRequest, stream: Stream | None, device: Any) -> Any:
        """Build the layer.

        Raises:
            MissingFrameworkError: the framework is not installed; holds the install command.
        """
        try:
            return self.build(request, stream, device)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] != self.framework:
                raise
            raise MissingFrameworkError(
                f"backend {self.name!r} needs {self.framework}, which is not installed; run: pip install "
                f"'{self.install or self.framework}'."
            ) from error

    def require_learning(self, request: LayerRequest) -> None:
        """Refuse a learned constant where layers have no parameter for it.

        Raises:
            InvalidValueError: holds the backends that have one.
        """
        if self.learns or request.learned() is None:
            return
        able = ", ".join(sorted(name for name, other in registry.current().parts("backend").items() if other.learns))
        raise InvalidValueError(
            f"padding_mode must not be learned on backend {self.name!r}, whose layers have no parameter for it, got "
            f"{str(request.policy.padding_mode)!r}; pick one of: {able}, or leave learned out."
        )

    def check_dtype(self, dtype: Any) -> str:
        """Return the canonical name of a dtype, however the caller spelt it.

        Args:
            dtype: a name, a NumPy dtype, or a framework's own dtype object.

        Raises:
            InvalidValueError: not a dtype of this backend; holds those it has.
        """
        name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", None) or _text_of(dtype)
        name = str(name).rpartition(".")[2].lower()
        if name not in self.dtypes:
            raise InvalidValueError(
                f"dtype must be one of {', '.join(self.dtypes)} for backend {self.name!r}, got {shown(dtype)}; pick one."
            )
        return name

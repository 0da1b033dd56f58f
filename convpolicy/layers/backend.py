"""`Backend`: a registered part that builds native layers of one framework from a `LayerRequest`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy import registry
from convpolicy.arithmetic import SIDES
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.plan import require_a_window
from convpolicy.core.spec import ConvSpec
from convpolicy.errors import InvalidValueError, MissingFrameworkError, shown
from convpolicy.parts.part import Part, declared
from convpolicy.parts.side import require_channels, value_of
from convpolicy.parts.stream import Stream

EXECUTIONS = ("exact", "fast", "auto")
LEARNED = "padding_value"  # parameter name of a learned constant


@attrs.frozen(cache_hash=True)
class LayerRequest:
    """Description of a layer that a backend builds.

    The values are already checked. The object is plain data. A layer can store and pickle the object.

    Args:
        spec: sizes of the layer.
        policy: the policy, including the changes that arguments of `Conv1d` make. For a transposed convolution, a
            `TransposedPolicy`.
        dtype: canonical name of the dtype, e.g. ``"float32"``.
        execution: ``"exact"``, ``"fast"`` or ``"auto"``. A backend that does not measure treats ``"auto"`` like ``"fast"``.
    """

    spec: ConvSpec
    policy: LayerPolicy
    dtype: str = "float32"
    execution: str = "exact"

    def draw(self, stream: Stream) -> dict[str, NDArray[Any] | None]:
        """Draw the initial weight of ``spec.weight_shape`` and bias (out,) or None in the dtype of the layer."""
        return self.policy.draw(self.spec, stream, self.dtype)

    def static_pads(self) -> tuple[int, int] | None:
        """Return the padding ``(left, right)``, or what is cut, or None if it depends on the input length."""
        return self.policy.static_pads(self.spec.kernel_size, self.spec.stride, self.spec.dilation)

    def learned(self) -> NDArray[np.float64] | None:
        """Return the initial value of the learned constant, or None if no constant is learned.

        A learned constant is a padding value that training changes. The shape of the result is () or (in_channels,).

        Raises:
            InvalidValueError: the two sides have different learned constants. A layer can store one learned constant.
        """
        learning = [(mode, params) for mode, params in self.policy.modes() if params.get("learned")]
        if not learning:
            return None
        values = {value_of(params, side) for _mode, params in learning for side in SIDES}
        if len(values) > 1:
            raise InvalidValueError(
                f"padding_mode must learn one constant, {LEARNED!r}, got {str(self.policy.padding_mode)!r} with a different one on each "
                f"side; use the same value on both sides."
            )
        return np.array(values.pop(), dtype=np.float64)

    def require_constants(self) -> None:
        """Check that constants per channel match the number of input channels, and that a learned constant is possible.

        Raises:
            InvalidValueError: the number of constants differs from the number of input channels, or `learned` raises the error.
        """
        for _mode, params in self.policy.modes():
            for side in SIDES:
                require_channels(value_of(params, side), self.spec.in_channels)
        self.learned()

    def plan(self, length: int) -> Any:
        """Return the plan for an input length in samples, a `Plan` or a `TransposedPlan`.

        Raises:
            InvalidTypeError, InvalidValueError: one of the following:

                - The length is not a positive integer.
                - The padding mode cannot fill the padding.
                - The padded input is shorter than one window, or everything is cut.
        """
        spec = self.spec
        return require_a_window(self.policy.plan(spec.kernel_size, spec.stride, spec.dilation, length=length))


def _limits(names: Iterable[str]) -> frozenset[str]:
    return declared(names, ("no-empty-batch",))


def _text_of(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # a caller may pass any object as a dtype
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


def _is_not_patched(module: Any) -> str:
    return ""


@attrs.frozen(eq=False)
class Backend(Part):
    """A framework in which layers run.

    Weights and data of a bfloat16 layer are passed as float32 arrays. bfloat16 represents their values exactly.

    Args:
        name: unique name.
        build: ``(request, stream, device) -> native layer``. Import the framework inside this function. Draw the initial values
            from ``stream``. If ``stream`` is None, use the framework's global random state. ``device`` is a device of the framework,
            or None.
        build_transposed: the same for transposed convolutions (``request.spec.transposed``). A backend without them has None here.
        dtypes: canonical names of the supported dtypes.
        default_dtype: ``() -> canonical name`` of the framework's current default dtype.
        framework: import name of the framework.
        install: argument of ``pip install`` in the message for a missing framework. An empty text means the value of ``framework``.
        layout: name of the layout in which layers of the backend store their weights.
        transposed_layout: the same for transposed convolutions.
        run: ``(layer, data) -> output``. Both arrays are NumPy arrays (batch, channels, length). The function converts them if the
            framework uses another axis order. The default function calls the layer with the array.
        parameters: ``layer -> {"weight": (out, in/groups, kernel), "bias": (out,) or None}``, as NumPy arrays. The weight of a
            transposed convolution is (in, out/groups, kernel). The default function reads ``.weight`` and ``.bias``.
        assign: ``(layer, {"weight": …, "bias": …}) -> None``. It writes arrays of the same shapes into the layer. The default
            function writes into ``.weight`` and ``.bias``.
        capture: ``layer -> Capture``. The function returns None for an object that is not a 1-D convolution of this framework.
            See `convpolicy.layers.capture`.
        convolutions: ``(model, every_path) -> iterator of Convolution``. The function returns None for an object that is not a
            model of this framework. See `convpolicy.layers.whole_models`. A backend without support for models has None here.
        patched: ``module -> text``, the reason why a call of a module may not run the forward method of its class, such as a hook.
            An empty text means that it runs that method. See `Wrapper`.
        gradients: ``(layer, data, upstream) -> {"input": …, "weight": …, "bias": … or None}``. The values are NumPy arrays, the
            gradients of ``sum(output * upstream)``. A backend without gradients has None here.
        reader: ``model -> convpolicy.models.reader.Reader``, for `why` of whole models. The function returns None for an object that
            is not a model of this framework. A backend without support for whole models has None here.
        tensors: ``(model, suffix of the file) -> convpolicy.conversion.models.kinds.ModelTensors``, for ``convert(…, model=…)``. The
            function returns None for an object that is not a model of this framework.
        schemes: ``() -> tuple of convpolicy.conversion.models.kinds.Scheme``, the names of parameters in files of this framework. It
            must not import the framework.
        tune: ``(model, example inputs, execution, rounds, progress, freeze) -> Tuning``; see `convpolicy.tuning`. A backend
            without support for tuning has None here.
        untune: ``model -> paths``. It reverts ``tune``.
        arrays: ``(layer, spec) -> convpolicy.chunks.arrays.Arrays``, for `streaming`. The layer is a convolution that ``capture``
            accepts. A backend without streaming has None here.
        streamed_model: ``(model, execution) -> (convpolicy.chunks.stage.Stage, input samples per output)``, for `streaming` of whole
            models. The function returns None for an object that is not a model of this framework, or that is one convolution. A
            backend without support for models has None here.
        sharded: ``(module, mesh, dim, length, parts, order, documents, blocks, check, overlap) -> module``, for `shard`; all but the
            first three are passed by keyword. A backend that does not run over several processes has None here.
        declares: limits of the backend's layers, for the conformance kit (`convpolicy.testing`). ``"no-empty-batch"`` means that an
            input with a batch size of 0 fails.
        learns: True if a layer can store a learned constant (`LayerRequest.learned`) as the parameter ``padding_value``. The
            functions ``parameters``, ``assign`` and ``gradients`` then also use the name ``padding_value``.
        wrappers: names that wrappers of a model add to parameter names in a file, e.g. ``("module",)``.
        environment: environment variables for ``convpolicy verify``. They must be set before the framework is imported.
    """

    kind: ClassVar[str] = "backend"
    build: Callable[[LayerRequest, Stream | None, Any], Any] = attrs.field()
    build_transposed: Callable[[LayerRequest, Stream | None, Any], Any] | None = attrs.field(default=None, kw_only=True)
    dtypes: tuple[str, ...] = attrs.field(default=("float32", "float64"), kw_only=True)
    default_dtype: Callable[[], str] = attrs.field(default=_float32, kw_only=True)
    framework: str = attrs.field(default="numpy", kw_only=True)
    install: str = attrs.field(default="", kw_only=True)
    layout: str = attrs.field(default="OIW", kw_only=True)
    transposed_layout: str = attrs.field(default="IOW", kw_only=True)
    run: Callable[[Any, NDArray[Any]], NDArray[Any]] = attrs.field(default=_call, kw_only=True)
    parameters: Callable[[Any], dict[str, NDArray[Any] | None]] = attrs.field(default=_read, kw_only=True)
    assign: Callable[[Any, Mapping[str, NDArray[Any] | None]], None] = attrs.field(default=_write, kw_only=True)
    capture: Callable[[Any], Any] | None = attrs.field(default=None, kw_only=True)
    gradients: Callable[[Any, NDArray[Any], NDArray[Any]], dict[str, NDArray[Any] | None]] | None = attrs.field(
        default=None, kw_only=True
    )
    convolutions: Callable[[Any, bool], Any] | None = attrs.field(default=None, kw_only=True)
    patched: Callable[[Any], str] = attrs.field(default=_is_not_patched, kw_only=True)
    reader: Callable[[Any], Any] | None = attrs.field(default=None, kw_only=True)
    tensors: Callable[[Any, str], Any] | None = attrs.field(default=None, kw_only=True)
    schemes: Callable[[], Iterable[Any]] | None = attrs.field(default=None, kw_only=True)
    tune: Callable[[Any, Any, str, int, Callable[[str, int, int], None], bool], Any] | None = attrs.field(
        default=None, kw_only=True
    )
    untune: Callable[[Any], tuple[str, ...]] | None = attrs.field(default=None, kw_only=True)
    arrays: Callable[[Any, ConvSpec], Any] | None = attrs.field(default=None, kw_only=True)
    streamed_model: Callable[[Any, str], Any] | None = attrs.field(default=None, kw_only=True)
    sharded: Callable[..., Any] | None = attrs.field(default=None, kw_only=True)
    declares: frozenset[str] = attrs.field(default=frozenset(), kw_only=True, converter=_limits)
    learns: bool = attrs.field(default=False, kw_only=True)
    wrappers: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    environment: Mapping[str, str] = attrs.field(factory=dict, kw_only=True)

    def is_installed(self) -> bool:
        """Return True if the framework is installed. The framework is not imported."""
        import importlib.util  # imported here, because it would be a fiftieth of the package's import time

        return importlib.util.find_spec(self.framework) is not None

    def layer(self, request: LayerRequest, stream: Stream | None, device: Any) -> Any:
        """Build a native layer.

        Args:
            request: the layer to build.
            stream: random stream of the initial values. None uses the framework's global random state.
            device: a device of the framework, or None.

        Raises:
            MissingFrameworkError: the framework is not installed. The message contains the install command.
        """
        build = self.build_transposed if request.spec.transposed else self.build
        if build is None:
            able = ", ".join(
                sorted(name for name, other in registry.current().parts("backend").items() if other.build_transposed)
            )
            raise InvalidValueError(f"backend must have transposed convolutions, got {self.name!r}; pick one of: {able}.")
        try:
            return build(request, stream, device)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] != self.framework:
                raise
            raise MissingFrameworkError(
                f"backend {self.name!r} needs {self.framework}, which is not installed; run: pip install "
                f"'{self.install or self.framework}'."
            ) from error

    def require_learning(self, request: LayerRequest) -> None:
        """Check that layers of this backend can store the learned constant of a request. A request may have no such constant.

        Raises:
            InvalidValueError: the layers cannot store a learned constant. The message lists backends whose layers can.
        """
        if self.learns or request.learned() is None:
            return
        able = ", ".join(sorted(name for name, other in registry.current().parts("backend").items() if other.learns))
        raise InvalidValueError(
            f"padding_mode must not be learned on backend {self.name!r}, whose layers have no parameter for it, got "
            f"{str(request.policy.padding_mode)!r}; pick one of: {able}, or leave learned out."
        )

    def check_dtype(self, dtype: Any) -> str:
        """Return the canonical name of a dtype.

        Args:
            dtype: a name, a NumPy dtype, or a dtype object of a framework.

        Raises:
            InvalidValueError: the backend does not support the dtype. The message lists the supported dtypes.
        """
        name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", None) or _text_of(dtype)
        name = str(name).rpartition(".")[2].lower()
        if name not in self.dtypes:
            raise InvalidValueError(
                f"dtype must be one of {', '.join(self.dtypes)} for backend {self.name!r}, got {shown(dtype)}; pick one."
            )
        return name

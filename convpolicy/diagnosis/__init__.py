"""`why`: what differs between two layers or two whole models, found by trying changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from convpolicy.diagnosis.models.report import ModelDiagnosis
from convpolicy.diagnosis.models.whole import why_models
from convpolicy.diagnosis.one_layer import why_layers
from convpolicy.diagnosis.report import Alternative, Cause, Diagnosis, Difference
from convpolicy.models.readers import are_models

__all__ = ["Alternative", "Cause", "Diagnosis", "Difference", "ModelDiagnosis", "why"]


def why(a: Any, b: Any, x: Any, *, names: Mapping[str, str] | None = None, progress: Callable[[str], None] | None = None) -> Any:
    """Explain why two layers, or two whole models, give different outputs.

    Of two layers, ``why`` finds the smallest change that makes one reproduce the output of the other. It calls each layer once and
    compares the outputs. It does not trust the attributes of a layer: if the output of a layer contradicts its attributes, ``why``
    ignores the attributes.

    Of two models, ``why`` runs each model once and then each module of ``b`` alone, on the input that its partner in ``a`` received.
    So the error of a module is separated from the error that it inherits. Both models are left as they were.

    Args:
        a: the first layer or model, in one of these forms:

            - a native layer (a Conv1d or ConvTranspose1d of a framework) or a `Capture`
            - a model of a framework
            - a function that takes a NumPy array. Of two layers, it receives ``x`` (batch, channels, length) in the dtype of ``x``
              and returns the output. Of two models, it returns a dict from name to array, in the order of the computation.
            - the output of a layer, as an array (batch, out, length_out)
        b: the second layer or model, in one of the same forms. `capture` must accept at least one of two layers. ``fix`` of the
            answer for models changes this one.
        x: the input. Of layers, an array (batch, channels, length) of real numbers, which ``why`` converts to the axis order and the
            dtype of each layer. Of models, an array, or a pair of inputs, one for each model; an input of several tensors is a dict
            from argument name to array. An array of floating numbers with three or more axes has its channels on axis 1, as in
            PyTorch. Integers, such as tokens, stay integers.
        names: path of a module in ``a`` -> path in ``b``, for models whose modules are not matched well by order, kind and shapes.
        progress: function that is called with the path of each module of a model while it runs.

    Returns:
        A `Diagnosis` of two layers, a `ModelDiagnosis` of two models. Print it to read the explanation.

    Raises:
        InvalidTypeError, InvalidValueError: one of the following. The message names the argument, the value and the fix.

            - ``x`` or an output has the wrong axes or is not finite.
            - The layers have different numbers of channels.
            - `capture` accepts neither layer, and the two are not models.
            - A model cannot be run on ``x``, or no module of one has a partner in the other.
            - ``names`` contains an unknown path.
    """
    if are_models(a, b):
        return why_models(a, b, x, names=names, progress=progress)
    return why_layers(a, b, x)

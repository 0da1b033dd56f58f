"""The line of code that changes a setting of a cell. Where MindSpore keeps a setting in a primitive, the line replaces it."""

from __future__ import annotations

from typing import Any

from mindspore import mint, nn

from convpolicy.frameworks.mindspore.capture import CASTS
from convpolicy.frameworks.mindspore.resampling import one
from convpolicy.models.functions import place

# Kind and setting -> the attribute of the cell and its value, for attributes that ``construct`` reads.
ATTRIBUTES: dict[tuple[str, str], str] = {
    ("group norm", "eps"): "eps = {!r}",
    ("group norm", "groups"): "num_groups = {!r}",
    ("upsampling", "factor"): "scale_factor = {!r}",
    ("upsampling", "align_corners"): "align_corners = {!r}",
    ("upsampling", "function"): "mode = {!r}",
    ("padding", "value"): "value = {!r}",
    ("dropout", "rate"): "p = {!r}",
}
FUNCTIONS = {  # function -> its cell
    "gelu": "GELU(approximate=False)",
    "gelu by tanh": "GELU()",
    "gelu by sigmoid": "FastGelu()",
    "relu": "ReLU()",
    "relu6": "ReLU6()",
    "silu": "SiLU()",
    "sigmoid": "Sigmoid()",
    "tanh": "Tanh()",
    "hard tanh": "Hardtanh()",
    "hard sigmoid": "HSigmoid()",
    "hard swish": "HSwish()",
    "elu": "ELU()",
    "selu": "SeLU()",
    "leaky relu": "LeakyReLU()",
    "softsign": "Softsign()",
    "mish": "Mish()",
    "log sigmoid": "LogSigmoid()",
    "identity": "Identity()",
}
AXES = {nn.Softmax: "Softmax", nn.LogSoftmax: "LogSoftmax"}
ARRAYS = {"scale": "gamma", "shift": "beta", "mean": "moving_mean", "variance": "moving_variance"}
MINT_ARRAYS = {"scale": "weight", "shift": "bias", "mean": "running_mean", "variance": "running_var"}
ROLES = ("weight", "bias", *ARRAYS)


def fix(cell: Any, path: str, kind: str, setting: str, value: Any) -> str:
    """Return a line that changes a setting of the cell at a path of ``model``; empty if there is none."""
    where = place(path)
    if setting in ROLES:
        return f"{where}.{_array(cell, setting)}.set_data(…)  # the values of a"
    if value is None:
        return ""
    if setting == "dtype":
        return _dtype(cell, where, value)
    if (kind, setting) == ("batch norm", "batch_statistics"):
        if getattr(cell, "use_batch_statistics", None) is None:
            return f"{where}.set_train({value})"
        return f"{where}.use_batch_statistics = {value}"
    if (kind, setting) == ("dropout", "active"):
        return f"{where}.set_train({value})"
    if setting == "eps" and kind in ("batch norm", "layer norm"):
        return _eps(cell, where, kind, value)
    if (kind, setting) == ("batch norm", "momentum"):
        return f"{where}.momentum = {1 - value!r}" if hasattr(cell, "running_mean") else _batch_norm(cell, where, 1 - value)
    if kind == "activation":
        return _activation(cell, where, setting, value) if path else ""
    if kind == "pooling":
        return _pooling(cell, where, setting, value) if path else ""
    line = ATTRIBUTES.get((kind, setting))
    return f"{where}.{line.format(value)}" if line else ""


def _array(cell: Any, role: str) -> str:
    if isinstance(cell, nn.Embedding):
        return "embedding_table"
    if isinstance(cell, nn.PReLU):
        return "w"
    return ARRAYS[role] if role in ARRAYS and hasattr(cell, ARRAYS[role]) else MINT_ARRAYS.get(role, role)


def _dtype(cell: Any, where: str, value: str) -> str:
    if any(getattr(cell, flag, False) for flag in CASTS):
        return f"import mindspore; {where}.to_float(mindspore.{value})"
    return f"import mindspore; [p.set_dtype(mindspore.{value}) for p in {where}.get_parameters()]"


def _eps(cell: Any, where: str, kind: str, value: float) -> str:
    if isinstance(cell, nn.LayerNorm):
        begin = f"{cell.begin_norm_axis}, {cell.begin_params_axis}, {value!r}"
        return f"from mindspore import ops; {where}.layer_norm = ops.LayerNorm({begin})"
    if kind == "batch norm" and hasattr(cell, "bn_infer"):
        primitives = f"{where}.bn_infer, {where}.bn_train"
        momentum = f"momentum={cell.momentum!r}"
        return f"from mindspore import ops; {primitives} = ops.BatchNorm(False, {value!r}), ops.BatchNorm(True, {value!r}, {momentum})"
    return f"{where}.eps = {value!r}"


def _batch_norm(cell: Any, where: str, share: float) -> str:
    primitive = f"ops.BatchNorm(True, {cell.bn_train.epsilon!r}, momentum={share!r})"
    return f"from mindspore import ops; {where}.momentum, {where}.bn_train = {share!r}, {primitive}"


def _activation(cell: Any, where: str, setting: str, value: Any) -> str:
    if setting == "function":
        return f"from mindspore import nn; {where} = nn.{FUNCTIONS[value]}" if value in FUNCTIONS else ""
    if setting == "slope":
        return f"{where}.alpha = {value!r}" if isinstance(cell, (nn.LeakyReLU, mint.nn.ELU)) else ""
    if setting == "axis":
        name = next((name for kind, name in AXES.items() if isinstance(cell, kind)), "")
        return f"from mindspore import nn; {where} = nn.{name}({value!r})" if name else f"{where}.dim = {value!r}"
    return ""


def _pooling(cell: Any, where: str, setting: str, value: Any) -> str:
    """Return a line that replaces a pooling cell, whose settings are in its primitive."""
    inside = (cell.max_pool if hasattr(cell, "max_pool") else cell.avg_pool).init_attrs if hasattr(cell, "pad_mode") else {}
    settings = {
        "function": "max" if isinstance(cell, nn.MaxPool1d) else "average",
        "kernel_size": one(cell.kernel_size),
        "stride": one(cell.stride),
        "padding": (one(inside.get("pads", inside.get("pad", 0))),) * 2,
        "ceil_mode": inside.get("ceil_mode", False),
        "count_padding": inside.get("count_include_pad", True),
        setting: value,
    }
    pads = settings["padding"]
    if not inside or len(set(pads)) > 1:  # of one number only
        return ""
    sizes = (
        f"{settings['kernel_size']}, {settings['stride']}, pad_mode='pad', padding={pads[0]}, ceil_mode={settings['ceil_mode']}"
    )
    if settings["function"] == "max":
        return f"from mindspore import nn; {where} = nn.MaxPool1d({sizes})"
    return f"from mindspore import nn; {where} = nn.AvgPool1d({sizes}, count_include_pad={settings['count_padding']})"

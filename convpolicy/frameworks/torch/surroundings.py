"""Code around torch's Conv1d that ``translate`` knows: containers, wrappers, casts, initializers and similar layers."""

from __future__ import annotations

from convpolicy.parts.choice import Choice
from convpolicy.translation.initializer_words import DIRAC, Named, gain_of, plain, scaled, truncated_at_values
from convpolicy.translation.surroundings import FOLD, Surroundings, functional

GENERATOR = {"generator": None}


def _unsupported(**_arguments: float) -> Choice:
    raise ValueError("no registered initializer draws the same")


def _kaiming(shape: str) -> Named:
    return Named(
        {"a": 0, "mode": "fan_in", "nonlinearity": "leaky_relu"},
        lambda a, mode, nonlinearity: scaled(mode, gain_of(nonlinearity, a), shape),
    )


def _xavier(shape: str) -> Named:
    return Named({"gain": 1.0}, lambda gain: scaled("fan_avg", gain, shape))


FILLERS = {
    "normal": Named({"mean": 0.0, "std": 1.0}, lambda mean, std: Choice("normal", mean=mean, std=std)),
    "uniform": Named({"a": 0.0, "b": 1.0}, lambda a, b: Choice("uniform", low=a, high=b)),
    "trunc_normal": Named({"mean": 0.0, "std": 1.0, "a": -2.0, "b": 2.0}, truncated_at_values),
    "constant": Named({"val": 0.0}, lambda val: Choice("constant", value=val)),
    "zeros": plain("zeros"),
    "ones": plain("ones"),
    "kaiming_normal": _kaiming("normal"),
    "kaiming_uniform": _kaiming("uniform"),
    "xavier_normal": _xavier("normal"),
    "xavier_uniform": _xavier("uniform"),
    "orthogonal": Named({"gain": 1.0}, lambda gain: Choice("orthogonal", gain=gain)),
    "dirac": DIRAC,
    "sparse": Named({"sparsity": 0.1, "std": 0.01}, _unsupported),
    "eye": Named({}, _unsupported),
}
SURROUNDINGS = Surroundings(
    layers=("torch.nn.*",),
    values=("torch.nn.Parameter", "torch.nn.Module", "torch.nn.ParameterList", "torch.nn.ParameterDict", "torch.nn.Buffer"),
    alike={
        "torch.nn.functional.conv_transpose1d": functional("torch.nn.ConvTranspose1d"),
        "torch.conv_transpose1d": functional("torch.nn.ConvTranspose1d"),
    },
    containers=("torch.nn.Sequential", "torch.nn.ModuleList", "torch.nn.ModuleDict"),
    wrappers={
        **dict.fromkeys(
            ("torch.nn.utils.parametrizations.spectral_norm", "torch.nn.utils.spectral_norm"),
            "divides its weight by the largest singular value",
        ),
        "torch.nn.utils.parametrizations.orthogonal": "makes its weight orthogonal",
        "torch.nn.utils.parametrize.register_parametrization": "computes its weight from another",
        **dict.fromkeys(
            (
                "torch.nn.utils.prune.identity",
                "torch.nn.utils.prune.random_unstructured",
                "torch.nn.utils.prune.l1_unstructured",
                "torch.nn.utils.prune.random_structured",
                "torch.nn.utils.prune.ln_structured",
                "torch.nn.utils.prune.custom_from_mask",
            ),
            "multiplies its weight by a mask",
        ),
    },
    remarks={
        "torch.nn.utils.parametrizations.weight_norm": FOLD,
        "torch.nn.utils.weight_norm": FOLD,
        "torch.nn.DataParallel": "it runs the layer on several devices",
        "torch.nn.parallel.DistributedDataParallel": "it runs the layer on several devices",
        "torch.compile": "it compiles the layer",
        "torch.jit.script": "it compiles the layer",
    },
    casts={
        "half": "float16",
        "float": "float32",
        "double": "float64",
        "bfloat16": "bfloat16",
        "to": None,
        "type": None,
    },
    methods={
        "cuda": "move the layer yourself",
        "cpu": "",
        "eval": "",
        "train": "",
        "requires_grad_": "it only matters in training",
    },
    fillers={
        f"torch.nn.init.{name}{end}": named._replace(parameters={**named.parameters, **GENERATOR})
        for name, named in FILLERS.items()
        for end in ("_", "")
    },
    appliers=("apply",),
)

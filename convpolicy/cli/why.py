"""``convpolicy why``: explain why the outputs of two policies, of a policy and a file, or of two models differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import click
import numpy as np
from numpy.typing import NDArray

from convpolicy import progress
from convpolicy.cli import arguments, output
from convpolicy.cli.completion import POLICIES
from convpolicy.cli.objects import is_object, object_of
from convpolicy.cli.policies import policy_of
from convpolicy.conversion import one_layer
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.spec import ConvSpec
from convpolicy.diagnosis import Diagnosis, ModelDiagnosis, why
from convpolicy.errors import InvalidValueError
from convpolicy.layers.capture import Capture

CHANNELS, LENGTH = 8, 65  # of the random input; with an odd length, the stride affects SAME padding
NPY = click.Path(exists=True, dir_okay=False, path_type=Path)


@attrs.frozen
class _Options:
    """Options for layers whose weights are drawn."""

    out_channels: int
    kernel_size: int
    stride: int
    dilation: int
    groups: int
    seed: int
    dtype: str


@click.command("why")
@click.argument("a", metavar="A", shell_complete=POLICIES)
@click.argument("b", metavar="[B]", required=False, shell_complete=POLICIES)
@click.option("--input", "x", type=NPY, help="Input, a .npy file (batch, channels, length); random by default.")
@click.option("--output-b", type=NPY, help="Output of the other layer instead of B, a .npy file (batch, out, length).")
@click.option("--weights-a", metavar="FILE[:PREFIX]", help="Weights of A, a .safetensors file as written by init.")
@click.option("--weights-b", metavar="FILE[:PREFIX]", help="Weights of B; by default those of A.")
@click.option("--own-weights", is_flag=True, help="Draw the initial weights of B instead of copying those of A.")
@click.option("--padding-a", help="Replace the padding of A: 2, 3,1, same, 'same_static(odd_side=left)'.")
@click.option("--padding-b", help="Replace the padding of B.")
@click.option(
    "--padding-mode-a", help="Replace the padding mode of A: reflect, 'constant(value=1.5)', or reflect,zeros for left,right."
)
@click.option("--padding-mode-b", help="Replace the padding mode of B.")
@click.option("--out", "out_channels", default=8, show_default=True, type=int, help="Output channels of drawn weights.")
@arguments.kernel_size
@click.option("--stride", default=1, show_default=True, type=int, help="Samples between windows.")
@click.option("--dilation", default=1, show_default=True, type=int, help="Samples between taps.")
@click.option("--groups", default=1, show_default=True, type=int, help="Groups of drawn weights.")
@click.option("--seed", default=0, show_default=True, type=int, help="Seed of drawn weights.")
@click.option("--dtype", default="float32", show_default=True, help="Dtype of drawn weights.")
@arguments.as_json
def diagnose(
    a: str,
    b: str | None,
    x: Path | None,
    output_b: Path | None,
    weights_a: str | None,
    weights_b: str | None,
    own_weights: bool,
    padding_a: str | None,
    padding_b: str | None,
    padding_mode_a: str | None,
    padding_mode_b: str | None,
    as_json: bool,
    **sizes: Any,
) -> None:
    """Explain why two layers or models differ.

    A and B are policies or policy files. Both layers get the same weights unless you choose others. Or A and B are models, written
    MODULE:NAME, where NAME is a model or a function that builds it; MODULE is imported and run. The exit status is 1 if the outputs
    differ.
    """
    if b is not None and is_object(a) and is_object(b):
        _say(_of_models(a, b, x), as_json=as_json)
        return
    if (b is None) == (output_b is None):
        raise click.UsageError("Pass either B or --output-b FILE.npy.")
    if weights_b is not None and (own_weights or b is None):
        raise click.UsageError("--weights-b needs B and excludes --own-weights.")
    if output_b is not None and x is None:
        raise click.UsageError("--output-b needs --input FILE.npy, the input of that output.")
    options = _Options(**sizes)
    data = _random_input(options.groups) if x is None else arguments.array("--input", x)
    one = _layer(_policy(a, padding_a, padding_mode_a), data, options, weights_a)
    if output_b is not None:
        diagnosis = why(one, arguments.array("--output-b", output_b), data)
    else:
        assert b is not None
        policy = _policy(b, padding_b, padding_mode_b)
        shared = None if own_weights or weights_b is not None else one
        diagnosis = why(one, _layer(policy, data, options, weights_b, shared), data)
    _say(diagnosis, as_json=as_json)


def _say(diagnosis: Diagnosis | ModelDiagnosis, *, as_json: bool) -> None:
    if as_json:
        output.print_json(diagnosis.to_dict())
    else:
        output.say(diagnosis)
    if not diagnosis.equal:
        raise SystemExit(1)


def _of_models(a: str, b: str, x: Path | None) -> Any:
    """Compare two models, or two layers that are not policies."""
    if x is None:
        raise click.UsageError("Models need --input FILE.npy, the input of both.")
    data = arguments.array("--input", x)
    with progress.spinner() as step:
        return why(object_of(a), object_of(b), data, progress=step)


def _random_input(groups: int) -> NDArray[Any]:
    """Return random float32 numbers (2, channels, length); the channels are 8 or the next multiple of the groups."""
    channels = CHANNELS + -CHANNELS % max(groups, 1)
    return np.random.default_rng(0).standard_normal((2, channels, LENGTH), dtype=np.float32)


def _policy(text: str, padding: str | None, mode: str | None) -> LayerPolicy:
    changes: dict[str, Any] = {}
    if padding is not None:
        changes["padding"] = arguments.padding(padding)
    if mode is not None:
        changes["padding_mode"] = arguments.padding_mode(mode)
    return policy_of(text).evolve(**changes)


def _layer(
    policy: LayerPolicy, data: NDArray[Any], options: _Options, file: str | None, shared: Capture | None = None
) -> Capture:
    """Return a layer with the weights of another layer, of a file, or drawn."""
    channels = data.shape[1] if data.ndim == 3 else 0
    drawn: dict[str, Any]
    if shared is not None:
        drawn = {"weight": shared.weight, "bias": shared.bias if policy.bias else None}
        if policy.bias and shared.bias is None:
            drawn["bias"] = _drawn(policy, shared.spec, options)["bias"]
        return Capture(shared.spec, policy.evolve(bias=drawn["bias"] is not None), drawn["weight"], drawn["bias"], shared.dtype)
    if file is not None:
        drawn, dtype = one_layer.load(file, policy)
        out, per, kernel = drawn["weight"].shape
        spec = ConvSpec.of(max(channels, 1), out, kernel, options.stride, options.dilation, max(channels // per, 1))
        if per * spec.groups != channels:
            raise InvalidValueError(
                f"--input must have a multiple of {per} channels for the weights in {file!r}, got shape {data.shape}; pass "
                f"(batch, channels, length)."
            )
    else:
        kernel, stride, dilation = options.kernel_size, options.stride, options.dilation
        spec = ConvSpec.of(max(channels, 1), options.out_channels, kernel, stride, dilation, options.groups)
        drawn, dtype = _drawn(policy, spec, options), options.dtype
    return Capture(spec, policy.evolve(bias=drawn["bias"] is not None), drawn["weight"], drawn["bias"], dtype)


def _drawn(policy: LayerPolicy, spec: ConvSpec, options: _Options) -> dict[str, Any]:
    return policy.initial(spec.in_channels, spec.out_channels, spec.kernel_size, spec.groups, options.seed, dtype=options.dtype)

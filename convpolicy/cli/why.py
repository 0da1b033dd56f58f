"""``convpolicy why``: what makes the outputs of two policies, or of a policy and a file, differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import click
import numpy as np
from numpy.typing import NDArray

from convpolicy.cli import arguments, output
from convpolicy.cli.completion import POLICIES
from convpolicy.cli.policies import policy_of
from convpolicy.conversion import one_layer
from convpolicy.core.plan import ConvSpec
from convpolicy.core.policy import Policy
from convpolicy.diagnosis import why
from convpolicy.errors import InvalidValueError
from convpolicy.layers.capture import Capture

CHANNELS, LENGTH = 8, 65  # of the input where none is given; an odd length shows what a stride does to padding
NPY = click.Path(exists=True, dir_okay=False, path_type=Path)


@attrs.frozen
class _Words:
    """What the command line says of layers whose weights stand in no file."""

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
@click.option("--input", "x", type=NPY, help="A .npy file of shape (batch, channels, length); random numbers if left out.")
@click.option("--output-b", type=NPY, help="Instead of B: a .npy file of what the other layer gave, (batch, out, length).")
@click.option("--weights-a", metavar="FILE[:PREFIX]", help="Weights of A: .safetensors, as `convpolicy init` writes them.")
@click.option("--weights-b", metavar="FILE[:PREFIX]", help="Weights of B; those of A if left out.")
@click.option("--own-weights", is_flag=True, help="B starts from its own initial weights, not from those of A.")
@click.option("--padding-a", help="Instead of A's: 2, 3,1, same, 'same_static(odd_side=left)'.")
@click.option("--padding-b", help="Instead of B's.")
@click.option("--padding-mode-a", help="Instead of A's: reflect, 'constant(value=1.5)'; left,right: reflect,zeros.")
@click.option("--padding-mode-b", help="Instead of B's.")
@click.option("--out", "out_channels", default=8, show_default=True, type=int, help="Output channels, unless read from a file.")
@arguments.kernel_size
@click.option("--stride", default=1, show_default=True, type=int, help="Samples from window to window.")
@click.option("--dilation", default=1, show_default=True, type=int, help="Samples from tap to tap.")
@click.option("--groups", default=1, show_default=True, type=int, help="Where no file of weights says them.")
@click.option("--seed", default=0, show_default=True, type=int, help="What the frameworks would be seeded with.")
@click.option("--dtype", default="float32", show_default=True, help="Of weights that are drawn.")
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
    """Find out why two layers give different outputs.

    A and B are policies or files, and run with the same weights. The exit status is 1 when their outputs differ.
    """
    if (b is None) == (output_b is None):
        raise click.UsageError("Give either B or --output-b FILE.npy.")
    if weights_b is not None and (own_weights or b is None):
        raise click.UsageError("--weights-b needs B, and no --own-weights.")
    if output_b is not None and x is None:
        raise click.UsageError("--output-b needs --input FILE.npy, the input of that output.")
    words = _Words(**sizes)
    data = _random_input(words.groups) if x is None else arguments.array("--input", x)
    one = _layer(_policy(a, padding_a, padding_mode_a), data, words, weights_a)
    if output_b is not None:
        found = why(one, arguments.array("--output-b", output_b), data)
    else:
        assert b is not None
        policy = _policy(b, padding_b, padding_mode_b)
        shared = None if own_weights or weights_b is not None else one
        found = why(one, _layer(policy, data, words, weights_b, shared), data)
    if as_json:
        output.print_json(found.to_dict())
    else:
        output.say(found)
    if not found.equal:
        raise SystemExit(1)


def _random_input(groups: int) -> NDArray[Any]:
    """Return random numbers of shape (2, channels, length), with 8 channels, or the next multiple of the groups."""
    channels = CHANNELS + -CHANNELS % max(groups, 1)
    return np.random.default_rng(0).standard_normal((2, channels, LENGTH), dtype=np.float32)


def _policy(word: str, padding: str | None, mode: str | None) -> Policy:
    changes: dict[str, Any] = {}
    if padding is not None:
        changes["padding"] = arguments.padding(padding)
    if mode is not None:
        changes["padding_mode"] = arguments.padding_mode(mode)
    return policy_of(word).evolve(**changes)


def _layer(policy: Policy, data: NDArray[Any], words: _Words, file: str | None, shared: Capture | None = None) -> Capture:
    """Return a layer with weights from a file, of another layer, or drawn."""
    channels = data.shape[1] if data.ndim == 3 else 0
    drawn: dict[str, Any]
    if shared is not None:
        drawn = {"weight": shared.weight, "bias": shared.bias if policy.bias else None}
        if policy.bias and shared.bias is None:
            drawn["bias"] = _drawn(policy, shared.spec, words)["bias"]
        return Capture(shared.spec, policy.evolve(bias=drawn["bias"] is not None), drawn["weight"], drawn["bias"], shared.dtype)
    if file is not None:
        drawn, dtype = one_layer.load(file, policy)
        out, per, kernel = drawn["weight"].shape
        spec = ConvSpec.of(max(channels, 1), out, kernel, words.stride, words.dilation, max(channels // per, 1))
        if per * spec.groups != channels:
            raise InvalidValueError(
                f"--input must have a multiple of {per} channels, as the weights in {file!r} read, got shape {data.shape}; pass "
                f"(batch, channels, length)."
            )
    else:
        spec = ConvSpec.of(max(channels, 1), words.out_channels, words.kernel_size, words.stride, words.dilation, words.groups)
        drawn, dtype = _drawn(policy, spec, words), words.dtype
    return Capture(spec, policy.evolve(bias=drawn["bias"] is not None), drawn["weight"], drawn["bias"], dtype)


def _drawn(policy: Policy, spec: ConvSpec, words: _Words) -> dict[str, Any]:
    return policy.initial(spec.in_channels, spec.out_channels, spec.kernel_size, spec.groups, words.seed, dtype=words.dtype)

"""Checks of a policy: its parts exist, it can be saved and loaded, its layers follow its plan, and its properties are true."""

from __future__ import annotations

import pickle
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from convpolicy import reference
from convpolicy.arithmetic import full_length, output_length
from convpolicy.core.layer_policy import LayerPolicy
from convpolicy.core.named import load_policy
from convpolicy.core.plain_data import PART_FIELDS
from convpolicy.core.policy import Policy
from convpolicy.core.spec import ConvSpec
from convpolicy.core.transposed_plan import TransposedPlan
from convpolicy.errors import ConvPolicyError
from convpolicy.parts.choice import Choice
from convpolicy.testing.backend_cases import TWO_COMPUTATIONS
from convpolicy.testing.common import SIZES, Sizes, check_names, refuses, require, smallest
from convpolicy.testing.ladder import RUNGS, Check, ConformanceError
from convpolicy.testing.probe import PROPERTIES, declared, layer_of, plan_of

MAX_EXAMPLES = 50
SHAPES = ((4, 8, 3, 1), (4, 8, 3, 2), (4, 4, 1, 4))  # in, out, kernel, groups


def checks(policy: Policy, max_examples: int = MAX_EXAMPLES) -> list[Check]:
    """Return the checks of a policy, lowest rung first, with one for each property that its rule and mode declare.

    If the policy describes transposed convolutions, `Policy.transposed` has the same checks, named ``transposed-…``.
    """
    rows = [*_rows(policy, max_examples), ("file", "shapes and dtypes", partial(_file, policy))]
    if policy.transposed is not None:
        rows += [(f"transposed-{name}", rung, run) for name, rung, run in _rows(policy.transposed, max_examples)]
    return [Check(policy, *check) for check in sorted(rows, key=lambda row: RUNGS.index(row[1]))]


def _rows(policy: LayerPolicy, max_examples: int) -> list[tuple[str, str, Any]]:
    rows: list[tuple[str, str, Any]] = [
        ("names", "names", partial(_names, policy)),
        ("parts", "names", partial(_parts, policy)),
        ("words", "names", partial(_argument_names, policy)),
        ("accepts", "shapes and dtypes", partial(_accepts, policy)),
        ("initial-weights", "shapes and dtypes", partial(_initial, policy)),
        ("values", "values", partial(_each, policy, _values, max_examples)),
    ]
    try:
        properties = declared(policy)
    except ConvPolicyError:  # a part is missing; check "parts" says which
        properties = []
    return rows + [(name, "values", partial(_each, policy, PROPERTIES[name], max_examples)) for name in properties]


def _each(policy: LayerPolicy, check: Any, max_examples: int) -> None:
    def line(sizes: Sizes) -> str:
        kernel, stride, dilation, length = sizes
        sizes_text = f"{kernel}, {stride}, {dilation}, length={length}" + (", transposed=True" if policy.is_transposed else "")
        return f"import convpolicy; print(convpolicy.policy({policy.name!r}).plan({sizes_text}))"

    smallest(partial(check, policy), max_examples, line=line, sizes=SIZES)


# -- names ----------------------------------------------------------------------------------------------------------------


def _names(policy: LayerPolicy) -> None:
    check_names(policy)
    if policy.framework:
        require(bool(policy.source.strip()), f"a policy that claims to be {policy.framework} must name its source; pass source=.")
        require(
            bool(policy.measured.strip()),
            f"a policy that claims to be {policy.framework} must say which version was measured; pass measured=.",
        )
    if policy.versions:
        from packaging.specifiers import InvalidSpecifier, SpecifierSet

        try:
            versions = SpecifierSet(policy.versions)
        except InvalidSpecifier:
            raise ConformanceError(f"versions must be a specifier such as '>=2.1,<3', got {policy.versions!r}.") from None
        for version in filter(None, (version.strip() for version in policy.measured.replace(" and ", ",").split(","))):
            require(
                versions.contains(version, prereleases=True),
                f"versions must include every measured version, got {policy.versions!r} and measured {version!r}.",
            )


def _parts(policy: LayerPolicy) -> None:
    for field in PART_FIELDS:
        policy.checked([field])  # raises for a part that is not registered or a parameter that it does not have


def _argument_names(policy: LayerPolicy) -> None:
    modes = dict(policy.mode_names)
    names = dict(policy.padding_names)
    for name in modes:
        require(name in names, f"mode_names must use names of padding_names, got {name!r}.")
    for name, rule in names.items():
        result = policy.evolve(padding=name)
        require(result.padding == Choice(rule), f"padding={name!r} must mean {rule}, got {result.padding}.")
        expected = modes.get(name, policy.padding_mode)
        require(result.padding_mode == expected, f"padding={name!r} must mean mode {expected}, got {result.padding_mode}.")


# -- shapes and dtypes ----------------------------------------------------------------------------------------------------


def _file(policy: Policy) -> None:
    """A policy that is saved as TOML, JSON, plain data or a pickle is loaded unchanged."""
    copy = policy.evolve()
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("toml", "json"):
            path = Path(folder) / f"policy.{suffix}"
            policy.save(path)
            require(load_policy(path) == copy, f"a {suffix} file must return the same policy, got {load_policy(path)}.")
    require(Policy.from_dict(policy.to_dict()) == copy, "from_dict must return the policy that to_dict wrote.")
    unpickled: Policy = pickle.loads(pickle.dumps(policy))  # noqa: S301 - pickled by this line
    require(unpickled == policy and hash(unpickled) == hash(policy), "a pickle must return the same policy, with the same hash.")


def _accepts(policy: LayerPolicy) -> None:
    tried = [Sizes(kernel, stride, 1, length) for kernel in (1, 2, 3) for stride in (1, 2) for length in (5, 8)]
    require(
        any(plan_of(policy, sizes) is not None for sizes in tried),
        f"it refuses every size, from {tried[0]} to {tried[-1]}; see policy.plan(3, length=8) for the reason.",
    )


def _initial(policy: LayerPolicy) -> None:
    """The initial weights are finite, have the right shapes, and depend on the seed only."""
    accepted = 0
    for shape in SHAPES:
        drawn: Any = [refuses(partial(policy.initial, *shape, seed=seed)) for seed in (0, 0)]
        if drawn[0] is None:
            continue
        accepted += 1
        in_channels, out_channels, kernel, groups = shape
        spec = ConvSpec(in_channels, out_channels, kernel, 1, 1, groups, policy.is_transposed)
        shapes = {"weight": spec.weight_shape, "bias": (out_channels,) if policy.bias else None}
        about = f"for in_channels {in_channels}, out_channels {out_channels}, kernel_size {kernel}, groups {groups}"
        for role, expected in shapes.items():
            one, two = (values[role] for values in drawn)
            shape_drawn = None if one is None else one.shape
            require(shape_drawn == expected, f"the initial {role} must have shape {expected}, got {shape_drawn}, {about}.")
            if one is not None:
                require(bool(np.isfinite(one).all()), f"the initial {role} contains NaN or infinity, {about}.")
                require(one.tobytes() == two.tobytes(), f"the same seed must result in the same {role}, {about}.")
    require(accepted > 0, "it has no initial weights for any size; see policy.initial(4, 8, 3) for the reason.")


# -- values ---------------------------------------------------------------------------------------------------------------


def _values(policy: LayerPolicy, sizes: Sizes) -> None:
    """A layer equals the float64 reference of what the plan pads or cuts, and has the output length of the plan."""
    plan = plan_of(policy, sizes)
    if plan is None:
        return
    signal = np.random.default_rng(sizes.length).integers(-9, 9, sizes.length).astype(float)
    bias = np.ones(1) if policy.bias else None
    ideal = _ideal(plan, signal, np.ones((1, 1, sizes.kernel)), bias)
    output = layer_of(policy, sizes)([signal])
    bound = TWO_COMPUTATIONS * reference.tolerance("float64", ideal.terms, ideal.magnitude)
    if policy.is_transposed:
        length = max(full_length(sizes.length, sizes.kernel, sizes.stride, sizes.dilation) - plan.left - plan.right, 0)
    else:
        length = output_length(sizes.length, sizes.kernel, sizes.stride, sizes.dilation, plan.left, plan.right)
    require(plan.length_out == length, f"its plan must have length_out {length}, got {plan.length_out}, for {sizes}.")
    same = output.shape == ideal.output[0].shape and bool((np.abs(output - ideal.output[0]) <= bound[0]).all())
    require(same, f"a layer returns {output[0].tolist()}, and {ideal.output[0, 0].tolist()} is expected, for {sizes}.")


def _ideal(plan: Any, signal: Any, weight: Any, bias: Any) -> reference.Reference:
    sizes = {"stride": plan.stride, "dilation": plan.dilation}
    if isinstance(plan, TransposedPlan):
        return reference.conv_transpose1d([[signal]], weight, bias, left=plan.left, right=plan.right, mode=plan.mode, **sizes)
    return reference.conv1d([[plan.padded(signal[None])[0]]], weight, bias, **sizes)

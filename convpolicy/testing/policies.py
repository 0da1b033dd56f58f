"""What a policy keeps: parts that are registered, a file that gives it back, layers that are its plan, and its properties."""

from __future__ import annotations

import pickle
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from convpolicy import reference
from convpolicy.arithmetic import output_length
from convpolicy.core.named import load_policy
from convpolicy.core.plain_data import PART_FIELDS
from convpolicy.core.policy import Policy
from convpolicy.errors import ConvPolicyError
from convpolicy.parts.choice import Choice
from convpolicy.testing.backend_cases import TWO_COMPUTATIONS
from convpolicy.testing.common import SIZES, Sizes, check_names, refuses, require, smallest
from convpolicy.testing.ladder import Check, ConformanceError
from convpolicy.testing.probe import PROPERTIES, declared, layer_of, plan_of

MAX_EXAMPLES = 50
SHAPES = ((4, 8, 3, 1), (4, 8, 3, 2), (4, 4, 1, 4))  # in, out, kernel, groups


def checks(policy: Policy, max_examples: int = MAX_EXAMPLES) -> list[Check]:
    """Return the checks of a policy, lowest rung first; what its rule and its mode declare decides which properties apply."""
    found: list[tuple[str, str, Any]] = [
        ("names", "names", partial(_names, policy)),
        ("parts", "names", partial(_parts, policy)),
        ("words", "names", partial(_words, policy)),
        ("file", "shapes and dtypes", partial(_file, policy)),
        ("accepts", "shapes and dtypes", partial(_accepts, policy)),
        ("initial-weights", "shapes and dtypes", partial(_initial, policy)),
        ("values", "values", partial(_each, policy, _values, max_examples)),
    ]
    try:
        properties = declared(policy)
    except ConvPolicyError:  # a part that is not there; check "parts" says which
        properties = []
    found += [(name, "values", partial(_each, policy, PROPERTIES[name], max_examples)) for name in properties]
    return [Check(policy, *check) for check in found]


def _each(policy: Policy, check: Any, max_examples: int) -> None:
    def line(sizes: Sizes) -> str:
        kernel, stride, dilation, length = sizes
        return (
            f"import convpolicy; print(convpolicy.policy({policy.name!r}).plan({kernel}, {stride}, {dilation}, length={length}))"
        )

    smallest(partial(check, policy), max_examples, line=line, sizes=SIZES)


# -- names ----------------------------------------------------------------------------------------------------------------


def _names(policy: Policy) -> None:
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
        for version in filter(None, (word.strip() for word in policy.measured.replace(" and ", ",").split(","))):
            require(
                versions.contains(version, prereleases=True),
                f"versions must hold what was measured, got {policy.versions!r} and measured {version!r}.",
            )


def _parts(policy: Policy) -> None:
    for field in PART_FIELDS:
        policy.checked([field])  # refuses in a sentence what is not registered, or is given a parameter it lacks


def _words(policy: Policy) -> None:
    modes = dict(policy.mode_names)
    words = dict(policy.padding_names)
    for word in modes:
        require(word in words, f"mode_names must use words of padding_names, got {word!r}, which is none.")
    for word, rule in words.items():
        meant = policy.evolve(padding=word)
        require(meant.padding == Choice(rule), f"padding={word!r} must mean {rule}, got {meant.padding}.")
        wanted = modes.get(word, policy.padding_mode)
        require(meant.padding_mode == wanted, f"padding={word!r} must mean mode {wanted}, got {meant.padding_mode}.")


# -- shapes and dtypes ----------------------------------------------------------------------------------------------------


def _file(policy: Policy) -> None:
    """TOML, JSON, plain data and a pickle all give the same policy back."""
    ours = policy.evolve()
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("toml", "json"):
            path = Path(folder) / f"policy.{suffix}"
            policy.save(path)
            require(load_policy(path) == ours, f"a {suffix} file must give the policy back, got {load_policy(path)}.")
    require(Policy.from_dict(policy.to_dict()) == ours, "from_dict must give back what to_dict wrote.")
    again: Policy = pickle.loads(pickle.dumps(policy))  # noqa: S301 - written one line above
    require(again == policy and hash(again) == hash(policy), "a pickle must give the policy back, with the same hash.")


def _accepts(policy: Policy) -> None:
    tried = [Sizes(kernel, stride, 1, length) for kernel in (1, 2, 3) for stride in (1, 2) for length in (5, 8)]
    require(
        any(plan_of(policy, sizes) is not None for sizes in tried),
        f"it refuses every size tried, from {tried[0]} to {tried[-1]}; see policy.plan(3, length=8) for the reason.",
    )


def _initial(policy: Policy) -> None:
    """The same seed gives the same finite numbers, of the weight's and the bias's shape."""
    accepted = 0
    for shape in SHAPES:
        drawn: Any = [refuses(partial(policy.initial, *shape, seed=seed)) for seed in (0, 0)]
        if drawn[0] is None:
            continue
        accepted += 1
        in_channels, out_channels, kernel, groups = shape
        shapes = {"weight": (out_channels, in_channels // groups, kernel), "bias": (out_channels,) if policy.bias else None}
        about = f"for in_channels {in_channels}, out_channels {out_channels}, kernel_size {kernel}, groups {groups}"
        for role, wanted in shapes.items():
            one, two = (values[role] for values in drawn)
            found = None if one is None else one.shape
            require(found == wanted, f"the initial {role} must have shape {wanted}, got {found}, {about}.")
            if one is not None:
                require(bool(np.isfinite(one).all()), f"the initial {role} holds a NaN or an infinity, {about}.")
                require(one.tobytes() == two.tobytes(), f"the same seed must give the same {role}, {about}.")
    require(accepted > 0, "it has no initial weights for any size tried; see policy.initial(4, 8, 3) for the reason.")


# -- values ---------------------------------------------------------------------------------------------------------------


def _values(policy: Policy, sizes: Sizes) -> None:
    """A layer is the float64 reference of the signal as the plan pads it, and as long as the plan says."""
    plan = plan_of(policy, sizes)
    if plan is None:
        return
    signal = np.random.default_rng(sizes.length).integers(-9, 9, sizes.length).astype(float)
    padded = plan.padded(signal[None])[0]
    bias = np.ones(1) if policy.bias else None
    ideal = reference.conv1d([[padded]], np.ones((1, 1, sizes.kernel)), bias, stride=sizes.stride, dilation=sizes.dilation)
    found = layer_of(policy, sizes)([signal])
    bound = TWO_COMPUTATIONS * reference.tolerance("float64", ideal.terms, ideal.magnitude)
    length = output_length(sizes.length, sizes.kernel, sizes.stride, sizes.dilation, plan.left, plan.right)
    require(plan.length_out == length, f"its plan must give {length} outputs, got {plan.length_out}, for {sizes}.")
    same = found.shape == ideal.output[0].shape and bool((np.abs(found - ideal.output[0]) <= bound[0]).all())
    require(same, f"a layer gives {found[0].tolist()}, the reference {ideal.output[0, 0].tolist()}, for {sizes}.")

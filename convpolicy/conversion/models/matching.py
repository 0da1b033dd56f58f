"""Match the modules of a model with the groups of tensors of a file: by path, else by kind, shape and order."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from convpolicy.conversion.models.by_path import by_path, by_path_alone
from convpolicy.conversion.models.by_shape import by_shape
from convpolicy.conversion.models.fitting import Fit
from convpolicy.conversion.models.groups import RECURRENT, Group
from convpolicy.conversion.models.kinds import ModelModule
from convpolicy.conversion.models.work import Fitting, Work, paths_of

WIDE = ("attention", *RECURRENT)  # kinds whose tensors contain tensors that look like another kind's


@attrs.frozen(eq=False)
class Match:
    """Result of `matched`.

    Attributes:
        fits: one for each module that has a group.
        others: modules without one.
    """

    fits: tuple[Fit, ...]
    others: tuple[ModelModule, ...]


def matched(modules: Sequence[ModelModule], groups: Sequence[Group], *, ordered: bool) -> Match:
    """Match modules with groups.

    Args:
        modules: the modules of the target model.
        groups: the groups of the file.
        ordered: True if the file has its tensors in the order of the model.

    Raises:
        InvalidValueError: tensors of the file fit several modules, and neither path nor order tells which; the message names both.
    """
    paths, fitting = paths_of(modules, groups), Fitting()
    fits: dict[int, Fit] = {}
    for wide in (True, False):  # those of several modules first: attention contains projections
        own = {at: module for at, module in enumerate(modules) if (module.kind in WIDE) == wide and module.kind}
        for step in (by_path, by_shape, by_path_alone):
            used = {name for one in fits.values() for name in one.group.names}
            free = {at for at, group in enumerate(groups) if (group.kind in WIDE) == wide and not group.names & used}
            rest = {at: module for at, module in own.items() if at not in fits}
            fits |= step(Work(rest, groups, free, paths, fitting, ordered))
    return Match(tuple(fits[at] for at in sorted(fits)), tuple(modules[at] for at in range(len(modules)) if at not in fits))

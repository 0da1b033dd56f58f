"""Which call of one model is the same module as which call of the other: by order, kind and shapes, or by name."""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from convpolicy.errors import InvalidValueError, nearest
from convpolicy.models.description import Description
from convpolicy.models.recording import Call

Pairs = list[tuple[Call | None, Call | None]]
FEW = 16  # numbers in an array that no other module has by chance
MOST = 400  # calls of a stretch that is matched by scores; longer ones are matched by equal keys only
KIND, SHAPES, OUTPUT, NAME = 4, 3, 2, 1  # scores


def matched(a: Sequence[Call], b: Sequence[Call], names: Mapping[str, str]) -> Pairs:
    """Return pairs of calls in order; a call without a partner has None.

    Args:
        a, b: the calls of two models, in the order in which they ended.
        names: path in ``a`` -> path in ``b`` of modules that belong together.

    Raises:
        InvalidValueError: a name is not the path of a recorded call.
    """
    _require_names(names, a, b)
    alike = {one: other for one, other in _with_equal_arrays(a, b).items() if one not in names and other not in names.values()}
    names = {**alike, **names}
    crossing = _crossing(a, b, names)
    apart = [(call, next(other for other in b if other.path == names[call.path])) for call in a if call.path in crossing]
    taken = {id(call) for pair in apart for call in pair}
    one, other = ([call for call in calls if id(call) not in taken] for calls in (a, b))
    return _merged(_in_order(one, other, names), apart, a)


def _in_order(a: Sequence[Call], b: Sequence[Call], names: Mapping[str, str]) -> Pairs:
    """Match calls in order; ``names`` are those of calls in the same order in both models."""
    pairs: Pairs = []
    start = 0
    used = set(names.values())
    for number, call in enumerate(a):
        if call.path in names:
            other = next((k for k in range(start, len(b)) if b[k].path == names[call.path]), None)
            if other is None:
                continue
            begin = _before(pairs, a)
            pairs += _aligned(
                [c for c in a[begin:number] if c.path not in names], [c for c in b[start:other] if c.path not in used]
            )
            pairs.append((call, b[other]))
            start = other + 1
    begin = _before(pairs, a)
    return pairs + _aligned([c for c in a[begin:] if c.path not in names], [c for c in b[start:] if c.path not in used])


def _with_equal_arrays(a: Sequence[Call], b: Sequence[Call]) -> dict[str, str]:
    """Return ``path in a -> path in b`` of modules that run once and whose arrays are equal, and those of no other module."""
    found: list[dict[bytes, str]] = []
    for calls in (a, b):
        paths: dict[bytes, list[str]] = {}
        once = Counter(call.path for call in calls)
        for path, call in ((call.path, call) for call in calls if once[call.path] == 1):
            if call.description is not None and any(array.size >= FEW for array in call.description.arrays.values()):
                paths.setdefault(_digest(call.description), []).append(path)
        found.append({digest: paths[0] for digest, paths in paths.items() if len(paths) == 1})
    return {path: found[1][digest] for digest, path in found[0].items() if digest in found[1]}


def _digest(description: Description) -> bytes:
    digest = hashlib.blake2b(description.kind.encode())
    for role, array in sorted(description.arrays.items()):
        digest.update(role.encode() + repr(array.shape).encode() + np.ascontiguousarray(array, np.float64).tobytes())
    return digest.digest()


def _crossing(a: Sequence[Call], b: Sequence[Call], names: Mapping[str, str]) -> set[str]:
    """Return the paths in ``a`` of named calls that run in another order in ``b``: those outside the longest common order."""
    places = {call.path: number for number, call in reversed(list(enumerate(b)))}
    order = [(path, places[names[path]]) for path in dict.fromkeys(call.path for call in a) if path in names]
    common = difflib.SequenceMatcher(
        None, [place for _path, place in order], sorted(place for _path, place in order), autojunk=False
    ).get_matching_blocks()
    kept = {order[at][0] for start, _other, size in common for at in range(start, start + size)}
    return {path for path, _place in order if path not in kept}


def _merged(inside: Pairs, apart: list[tuple[Call, Call]], a: Sequence[Call]) -> Pairs:
    """Return all pairs in the order of ``a``; calls of ``b`` without a partner stay behind the pair before them."""
    numbers = {id(call): number for number, call in enumerate(a)}
    rows: list[tuple[int, int, tuple[Call | None, Call | None]]] = []
    last = -1
    for place, (one, other) in enumerate(inside):
        last = last if one is None else numbers[id(one)]
        rows.append((last, 1 + place, (one, other)))
    rows += [(numbers[id(one)], 0, (one, other)) for one, other in apart]
    return [pair for _number, _place, pair in sorted(rows, key=lambda row: row[:2])]


def _before(pairs: Pairs, a: Sequence[Call]) -> int:
    """Return the number of calls of ``a`` that are in pairs already."""
    last = next((one for one, _other in reversed(pairs) if one is not None), None)
    return 0 if last is None else next(number for number, call in enumerate(a) if call is last) + 1


def _require_names(names: Mapping[str, str], a: Sequence[Call], b: Sequence[Call]) -> None:
    for side, wanted, calls in (("a", names, a), ("b", names.values(), b)):
        known = {call.path for call in calls}
        for path in wanted:
            if path not in known:
                raise InvalidValueError(
                    f"names must map paths of modules that ran, got {path!r}, which is none of {side}.{nearest(path, known)} Use the "
                    f"paths that the report without names shows."
                )


def _key(call: Call, *, output: bool = True) -> tuple[object, ...]:
    """Return what two calls that surely belong together have in common."""
    shape = _output(call) if output else ()
    if call.description is None:
        return ("", type(call.module).__name__.lower(), shape)
    return (call.description.kind, call.description.shapes, shape)


def _output(call: Call) -> tuple[int, ...]:
    """Return the sorted shape of the output, which is the same wherever the channels are."""
    return () if call.output is None else tuple(sorted(call.output.shape))


# Ways to tell that two calls belong together, and the share of calls that must agree for the way to be taken: by their paths,
# by kind and shapes, and by kind and shapes of the parameters alone, for models whose signals have other lengths.
WAYS: tuple[tuple[Callable[[Call], object], float], ...] = (
    (lambda call: (call.path, _key(call, output=False)[0]), 0.5),
    (_key, 0.7),
    (lambda call: _key(call, output=False), 0.0),
)


def _aligned(a: Sequence[Call], b: Sequence[Call], ways: Sequence[tuple[Callable[[Call], object], float]] = WAYS) -> Pairs:
    """Match calls with equal keys in order, what is between them in the next way, and the rest by scores."""
    if not ways or not a or not b:
        return _scored(a, b)
    key, share = ways[0]
    found = difflib.SequenceMatcher(None, [key(call) for call in a], [key(call) for call in b], autojunk=False)
    blocks = found.get_matching_blocks()
    if sum(size for _a, _b, size in blocks) < share * min(len(a), len(b)):
        return _aligned(a, b, ways[1:])
    pairs: Pairs = []
    at_a = at_b = 0
    for start_a, start_b, size in blocks:
        pairs += _aligned(a[at_a:start_a], b[at_b:start_b], ways[1:])
        pairs += zip(a[start_a : start_a + size], b[start_b : start_b + size], strict=True)
        at_a, at_b = start_a + size, start_b + size
    return pairs


def _score(a: Call, b: Call) -> int:
    if a.description is None or b.description is None:
        same = a.description is b.description and type(a.module).__name__.lower() == type(b.module).__name__.lower()
        return KIND * same
    if a.description.kind != b.description.kind:
        return 0
    tail = [call.path.replace("/", ".").rpartition(".")[2] for call in (a, b)]
    return (
        KIND
        + SHAPES * (a.description.shapes == b.description.shapes)
        + OUTPUT * (_output(a) == _output(b))
        + NAME * (tail[0] == tail[1])
    )


def _scored(a: Sequence[Call], b: Sequence[Call]) -> Pairs:
    """Match calls in order so that the sum of scores is largest (Needleman & Wunsch, 1970, without a gap penalty)."""
    if not a or not b or max(len(a), len(b)) > MOST:
        return [*((call, None) for call in a), *((None, call) for call in b)]
    best = np.zeros((len(a) + 1, len(b) + 1), np.int64)
    scores = np.array([[_score(one, other) for other in b] for one in a])
    for i in range(len(a) - 1, -1, -1):
        for j in range(len(b) - 1, -1, -1):
            together = best[i + 1, j + 1] + scores[i, j] if scores[i, j] else -1
            best[i, j] = max(best[i + 1, j], best[i, j + 1], together)
    pairs: Pairs = []
    i = j = 0
    while i < len(a) or j < len(b):
        if i < len(a) and j < len(b) and scores[i, j] and best[i, j] == best[i + 1, j + 1] + scores[i, j]:
            pairs.append((a[i], b[j]))
            i, j = i + 1, j + 1
        elif i < len(a) and (j == len(b) or best[i, j] == best[i + 1, j]):
            pairs.append((a[i], None))
            i += 1
        else:
            pairs.append((None, b[j]))
            j += 1
    return pairs

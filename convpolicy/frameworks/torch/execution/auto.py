"""``execution="auto"``: the implementations of a call are timed in the first call of its shape, and the fastest is used from then on.

Nothing is timed where it would be counted by somebody else or could not be: while gradients are recorded, under transforms of
``torch.func``, under dispatch modes such as counters of operations, in traces, under autocast, and for other devices than the CPU.
Such calls use the rules of ``execution="fast"``.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from convpolicy.frameworks.torch.execution import processor
from convpolicy.frameworks.torch.execution.bound import agrees, bound_of, bound_of_channels
from convpolicy.frameworks.torch.execution.frozen import Frozen
from convpolicy.frameworks.torch.execution.lowering import PLAIN, Lowered, Lowering, Work
from convpolicy.frameworks.torch.execution.rule import Table
from convpolicy.frameworks.torch.values import dtype_name
from convpolicy.layers.backend import LayerRequest
from convpolicy.tuning.results import RESULTS, Choice

LOG = logging.getLogger("convpolicy")
MOST_CALLS = 30  # all first calls together take at most as long as so many calls of the default
ROUNDS = 7  # timings of each implementation that is not clearly slower
GAIN = 0.95  # an implementation is used when its time is at most this fraction of the default's
SURE = 0.75  # an implementation above this fraction of the default's time is timed again beside it
MORE = 2  # times
SLOWER = 1.2  # an implementation is dropped after two calls that take longer than the fastest by this factor
MOST_SLOWER = 4  # an implementation is dropped after one call that takes longer than expected by this factor
DOUBTFUL = 10  # one below this factor is timed once more if there is time
CALLS_FOR_CHECK = 13  # that time the fastest again, compare its outputs with the default's, and run the call itself
LONG = 0.02  # seconds; an implementation of a longer call is dropped after its first call, if that is slower
ENOUGH = 0.2  # seconds, after which two timings of each implementation decide
OVERHEAD = 2e-4  # seconds of a check in which nothing of the layer is computed
LATEST = 0.25  # weight of the last first call among all that an implementation had
FORGET = 0.95  # factor of what first calls took, when an implementation is left out for it, so that one slow call is forgotten
TICK = 1e-7  # seconds; the least time of a call, for clocks that stand still
BYTES_PER_SECOND = 1e9  # when a weight is packed
TURN = threading.Lock()  # one thread times at a time; others use the rules meanwhile
SETUPS: dict[str, float] = {}  # implementation -> seconds of its first calls beyond the others, in this process so far
clock: Callable[[], float] = time.perf_counter


class Setting(NamedTuple):
    """What is timed: one call of a layer.

    Attributes:
        request: the request of the layer.
        table: the implementations.
        work: the plan.
        usual: name of the default implementation.
        freezes: True if packed implementations may be used.
        ruled: name of the implementation that ``execution="fast"`` uses. It is timed first, and used if there is no time for it.
    """

    request: LayerRequest
    table: Table
    work: Work
    usual: str
    freezes: bool
    ruled: str

    @property
    def legal(self) -> list[str]:
        """Names of the other implementations that can compute the plan."""
        spec, table = self.request.spec, self.table
        return [
            name
            for name in dict.fromkeys((self.ruled, *table.tried))
            if name != self.usual
            and (self.freezes or table.lowerings[name].pack is None)
            and not table.lowerings[name].why_not(self.work.plan, spec.in_channels, spec.groups)
        ]

    @property
    def tried(self) -> list[str]:
        """Names of those that may be the fastest."""
        spec, lowerings = self.request.spec, self.table.lowerings
        return [
            name
            for name in self.legal
            if name == self.ruled or not lowerings[name].is_hopeless(self.work.plan, spec.in_channels, spec.groups)
        ]

    def case(self, data: Tensor) -> str:
        """Return the text under which the result is stored."""
        spec, plan = self.request.spec, self.work.plan
        sizes = "-".join(
            map(str, (spec.in_channels, spec.out_channels, spec.kernel_size, spec.stride, spec.dilation, spec.groups))
        )
        kind = "conv_transpose1d" if spec.transposed else "conv1d"
        pads = f"{plan.left}/{plan.right} {plan.mode}"
        shape = "x".join(map(str, data.shape))
        dtype, threads = dtype_name(data.dtype), torch.get_num_threads()
        bias = "bias" if self.request.policy.bias else "no bias"
        return (
            f"{kind} {sizes} {bias}, {pads}, {self.usual}, {shape} {dtype}, {threads} threads{', frozen' if self.freezes else ''}"
        )


def is_countable(data: Any, weight: Any) -> bool:
    """Return True if calls can be timed now, and nobody else counts them."""
    return (
        type(data) in PLAIN
        and type(weight) in PLAIN
        and torch._C._len_torch_dispatch_stack() == 0
        and torch._C._functorch.peek_interpreter_stack() is None
    )


def way_of(setting: Setting, data: Tensor, weight: Tensor, bias: Tensor | None, start: float) -> Lowered | None:
    """Return the function of the fastest implementation, timed now unless a result is stored; None if another thread is timing.

    The function gets an input, a weight, a bias and the `Work`. ``start`` is the time of `clock` when the call began.
    """
    machine, case = processor.machine(), setting.case(data)
    choice, packed = RESULTS.get(machine, case), None
    if choice is None or not _is_legal(choice, setting):
        if not TURN.acquire(blocking=False):
            return None
        try:
            choice = RESULTS.get(machine, case)
            if choice is None or not _is_legal(choice, setting):
                trial = _Trial(setting, data, weight, bias, start)
                with torch.no_grad():
                    choice = trial.run(case)
                RESULTS.keep(machine, case, choice)
                packed = trial.packed.get(choice.lowering)
        finally:
            TURN.release()
    lowerings = setting.table.lowerings
    usual = lowerings[choice.thawed].run
    if choice.thawed == choice.lowering:
        return usual
    frozen = packed or Frozen(choice.lowering, lowerings[choice.lowering], usual)
    frozen.usual = usual
    return frozen


def _is_legal(choice: Choice, setting: Setting) -> bool:
    """Return True for a stored result that this version can use."""
    legal = {setting.usual, *setting.legal}
    packs = setting.table.lowerings[choice.lowering].pack if choice.lowering in legal else None
    thawed = setting.table.lowerings[choice.thawed].pack if choice.thawed in legal else "unknown"
    return choice.lowering in legal and thawed is None and (packs is not None or choice.lowering == choice.thawed)


class _Trial:
    """One comparison of implementations: the default first, the others as long as the time lasts."""

    def __init__(self, setting: Setting, data: Tensor, weight: Tensor, bias: Tensor | None, start: float) -> None:
        self.setting, self.data, self.weight, self.bias = setting, data, weight, bias
        self.start = start
        self.best: dict[str, float] = {}
        self.packed: dict[str, Frozen] = {}

    def run(self, case: str) -> Choice:
        """Time the implementations, log the result and return it."""
        setting, best = self.setting, self.best
        lowerings, usual = setting.table.lowerings, setting.usual
        ways = {usual: self._function(usual, lowerings[usual])}
        doubtful: dict[str, Any] = {}
        lacks_time = False  # for the implementation of the rules
        before = clock()
        own = ways[usual]()
        self.start += clock() - before  # any layer has this first call, which is slower
        self._timed(usual, ways[usual])
        is_long = best[usual] > LONG  # then what the first call sets up does not matter
        if not is_long:
            self._timed(usual, ways[usual])
        for name in setting.tried:
            expected = best[usual] + self._setup(name)
            if self.spent + expected + best[usual] > self._most:
                if name in SETUPS:
                    SETUPS[name] *= FORGET
                lacks_time |= name == setting.ruled
                continue
            way = self._function(name, lowerings[name])
            before = self.spent
            way()  # sets up what the other calls use
            first = self.spent - before
            self._keep_setup(name, first - best[usual])
            if first > (SLOWER * best[usual] + expected - best[usual] if is_long else MOST_SLOWER * expected):
                if first < DOUBTFUL * expected:
                    doubtful[name] = way
                continue
            ways[name] = way
            self._timed(name, way)
            if SLOWER < best[name] / best[usual] < MOST_SLOWER and self.spent + best[name] < self._most:
                self._timed(name, way)
        for name, way in doubtful.items():  # another process may have run meanwhile
            if self.spent + MOST_SLOWER * best[usual] > self._most:
                break
            self._timed(name, way)
            ways[name] = way
        self._repeat(ways)
        choice = self._fastest()
        if (
            choice.lowering != usual and best[choice.lowering] > SURE * best[usual]
        ):  # few timings, and another process may have run
            for _ in range(MORE):
                for name in (usual, choice.lowering):
                    self._timed(name, ways[name])
            choice = self._fastest()
        while choice.lowering != usual and not self._is_right(ways, choice, own):
            del best[choice.lowering]
            choice = self._fastest()
        if lacks_time and choice.lowering == usual:
            LOG.debug("auto: %s: %s, by the rules, since there is no time to measure it", case, setting.ruled)
            return Choice(setting.ruled, setting.ruled)
        calls = 2 + self.spent / best[usual]
        ratio = best[choice.lowering] / best[usual]
        LOG.debug("auto: %s: %s takes %.2f of %s, found in the time of %.0f calls", case, choice.lowering, ratio, usual, calls)
        return choice

    @property
    def _most(self) -> float:
        """The seconds that may be spent before the fastest implementation is checked."""
        return (MOST_CALLS - CALLS_FOR_CHECK) * self.best[self.setting.usual] - OVERHEAD

    def _is_right(self, ways: dict[str, Any], choice: Choice, own: Tensor) -> bool:
        """Return True if the outputs of a choice agree with ``own``, the default's."""
        setting = self.setting
        arguments = self.data, self.weight, self.bias, setting.work, setting.request.spec
        bound = bound_of_channels(*arguments)
        if not bound.isfinite().all():
            bound = bound_of(*arguments)  # infinite only where an output reads an infinite sample
        return all(agrees(own, ways[name](), bound) for name in {*choice} - {setting.usual})

    def _function(self, name: str, lowering: Lowering) -> Any:
        data, weight, bias, work = self.data, self.weight, self.bias, self.setting.work
        run: Any = lowering.run
        if lowering.pack is not None:
            run = self.packed[name] = Frozen(name, lowering, self.setting.table.lowerings[self.setting.usual].run)
        return lambda: run(data, weight, bias, work)

    def _setup(self, name: str) -> float:
        """Return the seconds that the first call of an implementation may take beyond its other calls."""
        return max(self.setting.table.lowerings[name].setup, SETUPS.get(name, 0.0)) + self._copying(name)

    def _keep_setup(self, name: str, seconds: float) -> None:
        """Remember how long the first call of an implementation took beyond a call of the default."""
        seconds = max(seconds - self._copying(name), 0.0)
        average = SETUPS.get(name, seconds)
        SETUPS[name] = average + LATEST * (seconds - average)

    def _copying(self, name: str) -> float:
        """Return the seconds in which an implementation packs the weight."""
        packs = self.setting.table.lowerings[name].pack is not None
        return self.weight.numel() * self.weight.element_size() / BYTES_PER_SECOND if packs else 0.0

    @property
    def spent(self) -> float:
        """The seconds since the call began."""
        return clock() - self.start

    def _timed(self, name: str, way: Callable[[], Any]) -> None:
        start = clock()
        way()
        self.best[name] = min(self.best.get(name, float("inf")), max(clock() - start, TICK))

    def _repeat(self, ways: dict[str, Any]) -> None:
        """Time those that are not clearly slower in turn, as long as the time lasts."""
        for _ in range(ROUNDS):
            limit = SLOWER * min(self.best.values())
            close = [name for name in ways if self.best[name] <= limit or name == self.setting.usual]
            if len(close) == 1 or self.spent > ENOUGH or self.spent + sum(self.best[name] for name in close) > self._most:
                return
            for name in close:
                self._timed(name, ways[name])

    def _fastest(self) -> Choice:
        usual, lowerings = self.setting.usual, self.setting.table.lowerings
        limit = GAIN * self.best[usual]
        quick = {name: seconds for name, seconds in self.best.items() if seconds <= limit}
        plain = {name: seconds for name, seconds in quick.items() if lowerings[name].pack is None}
        thawed = min(plain, key=plain.__getitem__, default=usual)
        first = min(quick, key=quick.__getitem__, default=usual)
        gains = first != thawed and quick[first] <= GAIN * self.best[thawed]
        return Choice(first, thawed) if gains else Choice(thawed, thawed)

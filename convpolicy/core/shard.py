"""`Shard`: what one rank owns, sends, receives and computes of a convolution whose sequence is cut over ranks."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from convpolicy.core.cuts import Transfer
from convpolicy.core.ranges import Range, count
from convpolicy.errors import InvalidValueError
from convpolicy.parts.side import CONSTANT, Side, Term


@attrs.frozen(cache_hash=True)
class Piece:
    """Consecutive outputs that one call of a convolution without padding computes.

    Its input is the elements of ``sides[0]``, the samples ``reads``, and the elements of ``sides[1]``. The window of the first output
    starts at the first element, and the window of the last output ends at the last one.

    Args:
        outputs: range of outputs.
        reads: range of samples that the windows span. A sample that no window reads may be missing; any value may take its place.
        sides: the added elements. Their sources are positions of the whole sequence.
    """

    outputs: Range
    reads: Range
    sides: tuple[Side, Side]

    @property
    def left(self) -> int:
        """The number of elements to add before the samples."""
        return self.sides[0].width

    @property
    def right(self) -> int:
        """The number of elements to add after the samples."""
        return self.sides[1].width


@attrs.frozen(cache_hash=True)
class Turn:
    """Samples whose full result contains outputs of a transposed convolution.

    Args:
        reads: range of samples that reach the outputs. A sample that reaches none of them may be missing; any value may take its
            place.
        left, right: samples to cut from the full result of these samples. A negative number adds zeros.
    """

    reads: Range
    left: int
    right: int


@attrs.frozen(cache_hash=True)
class TransposedPiece:
    """Consecutive outputs of a transposed convolution, each the sum of its turns and the bias.

    Args:
        outputs: range of outputs.
        turns: one, and with mode ``"circular"`` one for each time that the full result goes around the output.
    """

    outputs: Range
    turns: tuple[Turn, ...]

    def _turn(self) -> Turn:
        if len(self.turns) != 1:
            raise InvalidValueError(f"left and right must be read from a piece with one turn, got {len(self.turns)}; read turns.")
        return self.turns[0]

    @property
    def left(self) -> int:
        """The number of samples to cut before the outputs. A negative number adds zeros. Valid only for one turn."""
        return self._turn().left

    @property
    def right(self) -> int:
        """The number of samples to cut after the outputs. A negative number adds zeros. Valid only for one turn."""
        return self._turn().right


@attrs.frozen(cache_hash=True)
class Shard:
    """What one rank does with its part of a sequence. Print a shard to see the numbers.

    Positions are those of the whole sequence. Ranges are pairs ``(first, end)``, with ``end`` not included.

    Args:
        rank: number of the rank, from 0.
        owned: ranges of input samples that the rank owns, in the order of its data. `owns` is the range if there is one.
        produced: ranges of outputs that the rank computes, in the order of its outputs. `outputs` is the range if there is one.
        receives: for each range that the rank needs from another rank, the rank, the first position and the end.
        sends: for each range that another rank needs, the rank, the first position and the end.
        pieces: the calls of the convolution that compute ``produced``.
    """

    rank: int
    owned: tuple[Range, ...]
    produced: tuple[Range, ...]
    receives: tuple[Transfer, ...]
    sends: tuple[Transfer, ...]
    pieces: tuple[Piece, ...] | tuple[TransposedPiece, ...]

    def _one(self, name: str, fields: str, values: tuple[Any, ...]) -> Any:
        if len(values) > 1:
            raise InvalidValueError(
                f"{name} must be read from a shard with one range, got {len(values)} on rank {self.rank}; read shard.{fields}."
            )
        return values[0] if values else None

    @property
    def owns(self) -> Range:
        """The range of input samples that the rank owns. Valid only if the rank owns one range."""
        return self._one("owns", "owned", self.owned) or (0, 0)

    @property
    def outputs(self) -> Range:
        """The range of outputs that the rank computes. Valid only if the rank computes one range."""
        return self._one("outputs", "produced", self.produced) or (0, 0)

    @property
    def left(self) -> int:
        """The number of elements that the rank adds before its samples; for a transposed convolution, what it cuts."""
        piece = self._one("left", "pieces", self.pieces)
        return piece.left if piece is not None else 0

    @property
    def right(self) -> int:
        """The number of elements that the rank adds after its samples; for a transposed convolution, what it cuts."""
        piece = self._one("right", "pieces", self.pieces)
        return piece.right if piece is not None else 0

    @property
    def length(self) -> int:
        """The number of samples that the rank owns."""
        return count(self.owned)

    @property
    def length_out(self) -> int:
        """The number of outputs that the rank computes."""
        return count(self.produced)

    @property
    def received(self) -> int:
        """The number of samples of each channel that the rank receives."""
        return count(transfer[1:] for transfer in self.receives)

    @property
    def sent(self) -> int:
        """The number of samples of each channel that the rank sends."""
        return count(transfer[1:] for transfer in self.sends)

    @property
    def buffer(self) -> tuple[Transfer, ...]:
        """The ranges that the rank has after the exchange, by position, each with the rank that owns it."""
        own = [(self.rank, *each) for each in self.owned if each[0] < each[1]]
        return tuple(sorted([*own, *self.receives], key=lambda transfer: transfer[1]))

    def offset(self, position: int) -> int:
        """Return the place of a sample in the rank's own data.

        Raises:
            InvalidValueError: the rank does not own the sample.
        """
        before = 0
        for first, end in self.owned:
            if first <= position < end:
                return before + position - first
            before += end - first
        raise InvalidValueError(f"position must be one of a sample that rank {self.rank} owns, got {position}; see shard.owned.")

    def places(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the place of each sample in `buffer`. The buffer must contain the samples."""
        buffer = self.buffer
        firsts = np.array([first for _rank, first, _end in buffer], np.int64)
        before = np.cumsum([0, *(end - first for _rank, first, end in buffer)])
        found = np.searchsorted(firsts, positions, "right") - 1
        places: NDArray[np.int64] = before[found] + positions - firsts[found]
        return places

    def segments(self, reads: Range) -> list[tuple[int, int] | int]:
        """Return where the samples of a range are in `buffer`: pairs (first, end) of places, and numbers of missing samples."""
        segments: list[tuple[int, int] | int] = []
        place, here = 0, reads[0]
        for _rank, first, end in self.buffer:
            low, high = max(first, reads[0]), min(end, reads[1])
            if low < high:
                if low > here:
                    segments.append(low - here)
                start = place + low - first
                if segments and isinstance(segments[-1], tuple) and segments[-1][1] == start:
                    segments[-1] = (segments[-1][0], start + high - low)
                else:
                    segments.append((start, start + high - low))
                here = high
            place += end - first
        if here < reads[1]:
            segments.append(reads[1] - here)
        return segments

    def local(self, side: Side) -> Side:
        """Return the added elements of a piece with places in `buffer` as sources. A sample that counts 0 times becomes the constant."""
        terms = []
        for term in side.terms:
            sources = np.array(term.sources, np.int64)
            read = (sources != CONSTANT) & (np.asarray(term.coefficient) != 0)
            sources[read] = self.places(sources[read])
            terms.append(Term(term.coefficient, tuple(np.where(read, sources, CONSTANT).tolist())))
        return attrs.evolve(side, terms=tuple(terms))

    def __str__(self) -> str:
        texts = [f"rank {self.rank}: owns {_text(self.owned)}, outputs {_text(self.produced)}"]
        texts += [f"receives {_text([each[1:]])} from rank {each[0]}" for each in self.receives]
        texts += [f"sends {_text([each[1:]])} to rank {each[0]}" for each in self.sends]
        return ", ".join(texts)


def _text(ranges: Any) -> str:
    return " and ".join(f"{first}…{end - 1}" for first, end in ranges if first < end) or "none"

"""Fuzz convpolicy: ``python -m tests.fuzz --minutes 30``; one fault again: ``python -m tests.fuzz --only NAME --seed N --count 1``."""

from __future__ import annotations

import argparse
import json
import sys

import attrs

from . import running

HEAD = ("fuzzer", "inputs", "refused", "accepted", "crashes", "exceptions", "seconds")


def main() -> int:
    """Run the fuzzers and print a table; the exit status is 1 when one of them found a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, help="for all fuzzers together; 1 without --count")
    parser.add_argument("--count", type=int, help="inputs of each fuzzer")
    parser.add_argument("--only", action="append", help="the name of one fuzzer; may be repeated")
    parser.add_argument("--seed", type=int, default=0, help="of the first input")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.child:
        running.child(words.only[0], words.seed, words.count)
        return 0
    known = running.modules()
    names = words.only or list(known)
    if unknown := set(names) - set(known):
        parser.error(f"--only must name fuzzers, got {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    minutes = words.minutes or (1.0 if words.count is None else float("inf"))
    tallies = []
    for name in names:
        tallies.append(
            running.run(
                name, words.seed, words.count, 60 * minutes / len(names), lambda line: print(line, file=sys.stderr, flush=True)
            )
        )
    if words.json:
        print(json.dumps([attrs.asdict(tally) for tally in tallies], indent=2))
    else:
        rows = [HEAD, *((t.name, t.inputs, t.refused, t.accepted, t.crashes, t.exceptions, round(t.seconds)) for t in tallies)]
        for row in rows:
            print(f"{row[0]:16}" + "".join(f"{cell:>12}" for cell in row[1:]))
    return int(any(tally.faults for tally in tallies))


if __name__ == "__main__":
    sys.exit(main())

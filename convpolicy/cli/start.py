"""Entry point of the command line; Ctrl-C ends it without a traceback, even during imports."""

from __future__ import annotations

import os
import signal

from convpolicy.cli import INTERRUPTED


def main() -> None:
    """Run the command line."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # exit at once: an import might swallow KeyboardInterrupt, and nothing is open yet
        signal.signal(signal.SIGINT, lambda _number, _frame: os._exit(INTERRUPTED))
    from convpolicy.cli import group

    group.main(lambda: signal.signal(signal.SIGINT, before))

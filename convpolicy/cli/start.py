"""Where the command line starts: Ctrl-C ends it without a traceback, also while its modules are imported."""

from __future__ import annotations

import os
import signal

from convpolicy.cli import INTERRUPTED


def main() -> None:
    """Run the command line."""
    before = signal.getsignal(signal.SIGINT)
    if (
        before is signal.default_int_handler
    ):  # nothing is open yet, and an import would hide the exception or report it as its own
        signal.signal(signal.SIGINT, lambda _number, _frame: os._exit(INTERRUPTED))
    from convpolicy.cli import group

    group.main(lambda: signal.signal(signal.SIGINT, before))

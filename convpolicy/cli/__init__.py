"""The command line: click and rich are imported here and nowhere else. `convpolicy.cli.start` is its start."""

INTERRUPTED = 130  # the exit status after Ctrl-C: 128 and the number of the signal

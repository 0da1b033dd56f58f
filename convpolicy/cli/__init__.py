"""The command line, started by `convpolicy.cli.start`. No other package imports click or rich."""

INTERRUPTED = 130  # exit status after Ctrl-C: 128 plus the number of the signal

"""Run the command line as ``python -m convpolicy``."""

from convpolicy.cli.start import main

main()

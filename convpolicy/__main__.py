"""``python -m convpolicy`` is the command ``convpolicy``."""

from convpolicy.cli.start import main

main()

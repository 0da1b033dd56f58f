"""``python -m convpolicy`` is the command ``convpolicy``."""

from convpolicy.cli import main

main()

"""``python -m convpolicy`` is the command ``convpolicy``."""

from convpolicy.cli.group import main

main()

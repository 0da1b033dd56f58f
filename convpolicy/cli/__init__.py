"""The command line: click and rich are imported here and nowhere else. `convpolicy.cli.group` is its start."""

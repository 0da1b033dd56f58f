"""The marker ``grid`` and the option ``--grid``, as in convpolicy's own tests."""

pytest_plugins = ["helpers.grids"]

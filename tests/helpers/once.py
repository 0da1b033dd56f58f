"""What several test processes need is computed by the first of them."""

from __future__ import annotations

import os
import pickle

from filelock import FileLock


def once(name, factory, compute):
    """Return ``compute()``, or what another process of the same run has computed under this name.

    ``factory`` is the fixture ``tmp_path_factory``. What is computed is pickled.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return compute()
    file = factory.getbasetemp().parent / f"{name}.pickle"
    with FileLock(f"{file}.lock"):
        if not file.exists():
            file.write_bytes(pickle.dumps(compute()))
    return pickle.loads(file.read_bytes())

"""What several test processes need is computed by the first of them."""

from __future__ import annotations

import importlib.util
import os
import pickle

HAS_LOCKS = importlib.util.find_spec("filelock") is not None  # it comes with torch, not with the tests that need no framework


def once(name, factory, compute):
    """Return ``compute()``, or what another process of the same run has computed under this name.

    ``factory`` is the fixture ``tmp_path_factory``. What is computed is pickled. Without ``filelock``, each process computes it.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ or not HAS_LOCKS:
        return compute()
    from filelock import FileLock

    file = factory.getbasetemp().parent / f"{name}.pickle"
    with FileLock(f"{file}.lock"):
        if not file.exists():
            file.write_bytes(pickle.dumps(compute()))
    return pickle.loads(file.read_bytes())

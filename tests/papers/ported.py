"""The proof that a layer of `port_model` is the module it stands for."""

from __future__ import annotations

import torch


def assert_is_module(model, layers, runs):
    """Record inputs and outputs of modules while a model runs; each layer gives every bit of the outputs.

    Args:
        model: a torch model.
        layers: path of a module -> layer that stands for it.
        runs: functions without arguments that run the model.
    """
    seen: set[str] = set()
    for run in runs:
        records: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {}

        def record(path, into=records):
            return lambda _module, inputs, output: into.setdefault(path, []).append((inputs[0].clone(), output.clone()))

        handles = [model.get_submodule(path).register_forward_hook(record(path)) for path in layers]
        with torch.no_grad():
            run()
        for handle in handles:
            handle.remove()
        for path, pairs in records.items():
            for data, output in pairs:
                with torch.no_grad():
                    assert torch.equal(layers[path](data), output), (path, data.shape)
        seen |= set(records)
    assert seen == set(layers)

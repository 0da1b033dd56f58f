"""Code around MindSpore's Conv1d that ``translate`` knows: containers, wrappers, casts and similar layers."""

from __future__ import annotations

from convpolicy.translation.surroundings import Surroundings, functional

FUNCTION = functional("mindspore.nn.Conv1d")
SURROUNDINGS = Surroundings(
    layers=("mindspore.nn.*", "mindspore.mint.nn.*"),
    values=("mindspore.nn.Cell", "mindspore.nn.GraphCell", "mindspore.nn.Accuracy", "mindspore.nn.Metric", "mindspore.nn.Loss"),
    alike={
        "mindspore.mint.nn.functional.conv1d": FUNCTION,
    },
    containers=(
        "mindspore.nn.SequentialCell", "mindspore.nn.CellList", "mindspore.nn.CellDict", "mindspore.mint.nn.Sequential",
        "mindspore.mint.nn.ModuleList",
    ),
    wrappers={"mindspore.nn.TimeDistributed": "runs it on each step of another axis"},
    casts={"to": None},
    refused={"to_float": "casts its input and weight, so that it computes in that dtype"},
    methods={"set_train": "", "set_grad": "it only matters in training", "init_parameters_data": ""},
    appliers=("apply",),
)  # fmt: skip

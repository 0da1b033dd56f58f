"""A padding rule, a padding mode and an initializer of one's own, on every backend.

Installed, a plugin needs no call of `register`. Its pyproject.toml says:

    [project.entry-points.convpolicy]
    lookahead = "lookahead_plugin"       # a module with the functions below, each marked @hookimpl
"""

import mindspore
import numpy as np
import torch

import convpolicy as cp
from convpolicy import Initializer, PaddingMode, PaddingRule, hookimpl


class LookaheadPlugin:
    @hookimpl
    def convpolicy_padding_rules(self):
        # kernel, stride, dilation in samples; length is None unless the rule says needs_length=True
        return [PaddingRule("lookahead", pads=lambda kernel, stride, dilation, length: (0, (kernel - 1) * dilation))]

    @hookimpl
    def convpolicy_padding_modes(self):
        # positions: integers below 0 or from length on; returns the input position each one repeats, or -1 for the constant
        return [PaddingMode("every-other", source=lambda positions, length: np.clip(positions // 2 * 2, 0, length - 1))]

    @hookimpl
    def convpolicy_initializers(self):
        # the tensor to fill has target.shape; draws gives random numbers
        return [Initializer("binomial", draw=lambda draws, target: np.broadcast_to([0.25, 0.5, 0.25], target.shape))]


cp.register(LookaheadPlugin(), "lookahead")

policy = cp.policy("torch").evolve(
    name="mine", padding="lookahead", padding_mode="every-other", weight_init="binomial", bias=False
)
print(policy)
print(policy.plan(3, length=4))

signal = np.array([[1.0, 2.0, 3.0, 4.0]], dtype=np.float32)
print("numpy    ", cp.Conv1d(1, 1, 3, policy=policy)(signal))
print("torch    ", cp.Conv1d(1, 1, 3, policy=policy, backend="torch")(torch.from_numpy(signal)).detach().numpy())
print("mindspore", cp.Conv1d(1, 1, 3, policy=policy, backend="mindspore")(mindspore.Tensor(signal)).asnumpy())

for part in (cp.padding_rules()["lookahead"], cp.padding_modes()["every-other"], cp.initializers()["binomial"]):
    print(f"{part.kind} {part.name!r} comes from plugin {part.provider!r}")

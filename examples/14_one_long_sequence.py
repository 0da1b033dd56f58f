# %% [markdown]
# # How do I run one long sequence on several machines?
#
# Enformer reads 196 608 bases of DNA (Avsec et al., Nature Methods 18, 2021). Its convolution tower makes 1536 positions of them. Here three
# processes compute the tower, each from a third of the bases. `cp.shard` sends the samples at the borders. The weights are random and the
# channels few. The numbers are float64, so that a wrong sample cannot hide in rounding. Needs `requirements/papers.txt`.

# %%
import importlib.util
import sys
import tempfile
from unittest.mock import MagicMock

for name in ("polars", "pyfaidx"):  # enformer_pytorch reads genomes with them, which is not needed here
    if importlib.util.find_spec(name) is None:
        sys.modules[name] = MagicMock()

import torch
import torch.distributed as dist
from enformer_pytorch.config_enformer import EnformerConfig
from enformer_pytorch.modeling_enformer import SEQUENCE_LENGTH, AttentionPool, Enformer
from torch.distributed.device_mesh import init_device_mesh
from torch.multiprocessing import start_processes

import convpolicy as cp

RANKS = 3
torch.set_default_dtype(torch.float64)

# %% [markdown]
# ## The tower
#
# The stem has kernel 15 and each of the six blocks kernel 5. Each of them ends with a pooling of two samples by attention.

# %%
torch.manual_seed(0)
enformer = Enformer(EnformerConfig(dim=64, depth=1, heads=8, dim_divisible_by=8, output_heads={}))
tower = torch.nn.Sequential(enformer.stem, enformer.conv_tower).eval()
bases = torch.nn.functional.one_hot(torch.randint(4, (1, SEQUENCE_LENGTH)), 4).movedim(-1, 1).double()  # (batch, bases, length)

with torch.no_grad():
    shape = tower(bases[..., :2048]).shape
positions = SEQUENCE_LENGTH * shape[-1] // 2048
print(f"{SEQUENCE_LENGTH} bases, {positions} positions")

# %% [markdown]
# ## Three processes
#
# Each process shards its copy of the tower and passes its own bases. convpolicy does not know the pooling by attention. `blocks` says that
# it computes each output from two samples; `cp.shard` tests that. The gradients of weights are the sums over the positions of a process:
# `all_reduce` adds them up.

# %%
pools = {path: 2 for path, module in tower.named_modules() if isinstance(module, AttentionPool)}
outputs = torch.zeros(1, shape[1], positions).share_memory_()
gradients = [torch.zeros_like(parameter).share_memory_() for parameter in tower.parameters()]


def run(rank, file):
    """Compute the part of one rank."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=RANKS)
    model = cp.shard(tower, init_device_mesh("cpu", (RANKS,)), length=SEQUENCE_LENGTH, blocks=pools)
    mine, out = (slice(*cuts[rank]) for cuts in (model.cuts(), model.output_cuts()))
    result = model(bases[..., mine])
    outputs[..., out] = result.detach()
    result.square().sum().backward()
    for gradient, parameter in zip(gradients, model.parameters()):
        dist.all_reduce(parameter.grad)
        if rank == 0:
            gradient.copy_(parameter.grad)
    dist.destroy_process_group()


with tempfile.TemporaryDirectory() as folder:
    start_processes(run, args=(f"{folder}/meeting",), nprocs=RANKS, start_method="fork")

# %% [markdown]
# ## What they send
#
# The integers say it without any process. A layer with kernel 2 and stride 2 takes the place of each pooling.

# %%
layers = []
for module in tower.modules():
    if isinstance(module, torch.nn.Conv1d):
        layers.append(module)
    elif isinstance(module, AttentionPool):
        layers.append(cp.Conv1d(layers[-1].out_channels, layers[-1].out_channels, 2, 2, padding=0, bias=False))
shards = cp.chain(layers).shard(SEQUENCE_LENGTH, RANKS, exchange="each", itemsize=8)
for rank, cuts in enumerate(shards.steps[0]):
    print(f"rank {rank} has bases {cuts.owns[0]} to {cuts.owns[1]} and receives {shards.received(rank)} bytes")
print(f"the bases of one rank have {bases.nbytes // RANKS} bytes")

# %% [markdown]
# ## One process
#
# It computes the same.

# %%
whole = tower(bases)
whole.square().sum().backward()
pairs = [(own, parameter.grad) for own, parameter in zip(gradients, tower.parameters())]
errors = [((own - grad).abs().max() / grad.abs().max()).item() for own, grad in pairs]
print(f"gradients of {len(errors)} weights, largest relative difference below 1e-10:", max(errors) < 1e-10)
difference = ((outputs - whole).abs().max() / whole.abs().max()).item()
print(f"{whole.shape[-1]} positions on 3 processes and on one, largest relative difference below 1e-12:", difference < 1e-12)

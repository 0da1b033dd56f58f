"""One long input on several ranks: each computes its part of the outputs from its own samples and those of its neighbours."""

from convpolicy.shards.one_process import local
from convpolicy.shards.sharding import shard

__all__ = ["local", "shard"]

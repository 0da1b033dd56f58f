"""Streaming: a layer takes its input in chunks and gives the outputs of the whole."""

from convpolicy.chunks.building import streaming
from convpolicy.chunks.live import Live
from convpolicy.chunks.steps import Streaming

__all__ = ["Live", "Streaming", "streaming"]

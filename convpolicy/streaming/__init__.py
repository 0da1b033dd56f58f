"""Streaming: a layer takes its input in chunks and gives the outputs of the whole."""

from convpolicy.streaming.building import streaming
from convpolicy.streaming.live import Live
from convpolicy.streaming.streaming import Streaming

__all__ = ["Live", "Streaming", "streaming"]
